"""Our entry and our partners', published by The Update Framework.

Knows: metadata, publication, root key holders.
Must not know: how a partner reads it.
Start reading at: `repository.py`.
"""
