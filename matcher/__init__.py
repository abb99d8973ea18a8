"""Biometric comparison as arithmetic: numpy and nothing else.

Knows: records, templates, scores and calibration; one folder a modality (`finger`, `face`, `iris`).
Must not know: files, clocks, keys, partners, the law.
Start reading at: `finger/search_cascade.py`.
"""
