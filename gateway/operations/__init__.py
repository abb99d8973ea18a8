"""What our own people may ask of the gateway: each operation declared once.

Knows: an operation's name, roles, arguments with their forms, two-person rule, help and examples. The admin listener
reads requests by it, the command line makes its commands of it, and the table in docs/operations.md is written from it.
Must not know: how an operation is done; the parts that do it are handed the request, read.
Start reading at: `declaration.py`, then `keys.py`.
"""
