"""Commands on agreements, the directory, staff and proposals.

Knows: options and tables.
Must not know: who may; the gateway decides.
Start reading at: `staff.py`.
"""
