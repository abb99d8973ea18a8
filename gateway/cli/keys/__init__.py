"""Commands on keys: the life cycle, compromise, custody.

Knows: options, plans and their tables.
Must not know: key bytes.
Start reading at: `lifecycle.py`.
"""
