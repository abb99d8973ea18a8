"""Commands on who can be found: gallery, registry, retention, and the files they read.

Knows: files of other makers, manifests.
Must not know: how prints are compared.
Start reading at: `gallery.py`.
"""
