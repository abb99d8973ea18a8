"""The port to biometric engines, one for each modality, and the engine of fingers in this process.

Knows: samples and gallery in; candidates, threshold and what was destroyed out. Alone with extractors and the exercises it meets `matcher`.
Must not know: SQL, transactions, the law.
Start reading at: `engine.py`, then `engines.py`.
"""
