"""Everything that is durable, in SQL: rows, and the ledger's leaves among them.

Knows: schema, migrations, one folder a subject.
Must not know: why a row is written.
Start reading at: `ledger/sequencer.py`, the only writer.
"""
