"""What our officials do with a match: outbound queries, use, review, withholding, correction.

Knows: the operations and what each must have before it.
Must not know: partners' calls as they come in.
Start reading at: `outbound_queries.py`, then `corrections.py`.
"""
