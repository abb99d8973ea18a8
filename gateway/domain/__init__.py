"""Values that every part of the gateway speaks of: frozen, checked where they are made.

Knows: the messages of a query, persons, corrections, outbound queries.
Must not know: bytes, disks, clocks, keys.
Start reading at: `messages.py`.
"""
