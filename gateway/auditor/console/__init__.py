"""The auditors' console: pages over an index, on this machine alone, read-only.

Knows: sessions, pages, a log of each view, written before it is shown.
Must not know: the ledger's files.
Start reading at: `app.py`.
"""
