"""The port to biometric engines, and the engine in this process.

Knows: probe and gallery in, candidates out.
Must not know: SQL, transactions, the law.
Start reading at: `engine.py`.
"""
