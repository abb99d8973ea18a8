"""Nothing is kept longer than the law allows: erasure, holds, and the watchdog over both.

Knows: what is due and in which order it goes.
Must not know: why it was collected.
Start reading at: `erasure.py`.
"""
