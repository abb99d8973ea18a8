"""How well the matcher separates people on records of known fingers (ISO/IEC 19795-1).

Knows: files, scores, error rates, one comparison explained.
Must not know: the gateway.
Start reading at: `evaluate.py`.
"""
