"""The ledger as mathematics: entries, Merkle tree, checkpoints, proofs, verification. It runs anywhere.

Knows: what an entry may say and in which order, and how somebody else checks it.
Must not know: the database that holds it, the gateway that writes it.
Start reading at: `entry.py` and `events.py`, then `verify.py`.
"""
