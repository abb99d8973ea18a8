"""The life of our keys and of partners': rotation, compromise, custody, blocking.

Knows: which keyset is active and each step between two.
Must not know: what the keys protect.
Start reading at: `active_keyset.py`, then `operations.py`.
"""
