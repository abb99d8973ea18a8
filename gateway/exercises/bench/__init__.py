"""How fast this machine does the gateway's work.

Knows: measurements side by side with a kernel.
Must not know: limits; nothing is asserted on time.
Start reading at: `exchange.py`.
"""
