"""Commands on the ledger: verify, show, prove, reconcile, witness.

Knows: files and tables.
Must not know: names behind pseudonyms.
Start reading at: `verify.py`.
"""
