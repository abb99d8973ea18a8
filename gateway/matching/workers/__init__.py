"""Galleries in processes of their own: each holds everybody, is searched beside the others, and is replaced when it dies.

Knows: the engines in this process, which are what a worker process runs and what it must agree with to the last bit
(`trial`); which process is asked, what became of its answer, what it missed while it was loaded.
Must not know: what decides, who asks, SQL.
Start reading at: `engine.py`, then `pool.py`; `worker.py` is what runs in the process.
"""
