"""Which agreements are in force here, and who signed them.

Knows: versions, signatures, the day they begin.
Must not know: what their clauses permit; that is `law`.
Start reading at: `active.py`.
"""
