"""Whose keys are believed: partners' bundles, our directory's files, their signers and roles.

Knows: bundles, pins, endpoints, the roles of a directory.
Must not know: what a partner may ask.
Start reading at: `partners.py`.
"""
