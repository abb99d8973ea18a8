"""Faces as feature vectors: their record, models, galleries and search. Vectors of two models never meet.

Knows: unit vectors of a named model, exact cosines, what a cosine of each model is worth.
Must not know: pictures, files, clocks, keys, the gateway.
Start reading at: `gallery.py`.
"""
