"""People: subjects of the gallery, their records, our staff and what they propose.

Knows: sealed rows.
Must not know: prints as a matcher sees them.
Start reading at: `subjects.py`.
"""
