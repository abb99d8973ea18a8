"""For whoever must trust the gateway: demonstration, drills, benches, evaluation, crash trials.

Knows: scratch gateways of their own.
Must not know: a real gateway.
Start reading at: `demo/scenario.py`.
"""
