"""Keys and their life cycle: cryptography and nothing else.

Knows: seeds, envelopes, signatures, certificates, custody; the state of a key and what comes next; who approves what.
Must not know: queries, partners' messages, the time of day, logs.
Start reading at: `keyset.py` (what a party holds), then `lifecycle.py` (what becomes of a key).
"""
