"""What is kept, until when, and what holds it.

Knows: classes of data, due dates, holds.
Must not know: the order of an erasure.
Start reading at: `due.py`.
"""
