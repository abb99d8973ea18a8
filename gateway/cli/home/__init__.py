"""Commands on a gateway's home directory: found, check, serve, status, backup, parties.

Knows: the home directory.
Must not know: the law.
Start reading at: `init.py`.
"""
