"""The ledger in the database: its only writer, and its readers.

Knows: batches, rows of entries, evidence of witnesses.
Must not know: what an entry is about.
Start reading at: `sequencer.py`.
"""
