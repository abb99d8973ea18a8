"""The store on a disk that loses power: what was promised must be there afterwards.

Knows: a file system for SQLite that forgets.
Must not know: production; nothing here is imported by the gateway.
Start reading at: `powercut.py`.
"""
