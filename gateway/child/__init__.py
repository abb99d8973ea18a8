"""A Python process of our own: started with nothing of our environment, bound to us, shut in by the kernel, ended with us.

Knows: how one is started, spoken to over two pipes and ended; what it gives up. What it is for is said by whoever starts it:
`gateway/extraction` decodes pictures in some, `gateway/matching/workers` searches in others.
Must not know: what goes through the pipes.
Start reading at: `process.py`, then `sandbox.py`.
"""
