"""What follows a match, in rows: disclosures, corrections, reviews, outbound queries.

Knows: their life cycles, enforced in each statement.
Must not know: deadlines and texts of the law.
Start reading at: `outbound_queries.py`.
"""
