"""Fingers: minutiae records of other makers, templates, and the search of a gallery.

Knows: the record formats, the comparison of two minutiae sets, the order of candidates.
Must not know: whose finger it is, why it is searched, what follows from a score.
Start reading at: `record_formats.py` (bytes → record), then `search_cascade.py` (probe → candidates).
"""
