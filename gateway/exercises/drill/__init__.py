"""What operators rehearse: rotation, compromise, restore, tampering, pressure.

Knows: scratch gateways and what must hold meanwhile.
Must not know: a real gateway.
Start reading at: `rotation.py`.
"""
