"""What partners ask: one pipeline of numbered steps, and the operations that pass through it.

Knows: the order of checks, search, destruction and answer.
Must not know: gRPC, SQL.
Start reading at: `pipeline.py`, then `query.py`.
"""
