"""A gateway in one sealed file, and back.

Knows: the archive, detail keys, what a restored gateway must say.
Must not know: who ordered it.
Start reading at: `archive.py`.
"""
