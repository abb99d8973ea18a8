"""A partner's commands: query, state, details.

Knows: the client library.
Must not know: a gateway's home directory.
Start reading at: `query.py`.
"""
