"""Irises: their codes with masks, the coders that make them, one record layout, the gallery and its search.

Knows: binary codes, rotations, Hamming distances and their normalisation.
Must not know: pictures of eyes, other modalities' templates.
Start reading at: `coders.py`, then `gallery.py`.
"""
