"""Containers of images: headers only, strictly; no pixel is decoded here.

Knows: what each standard says before the picture, and how far the picture's own headers agree.
Must not know: decoders, processes, records of minutiae.
Start reading at: `image.py`, then `formats.py`.
"""
