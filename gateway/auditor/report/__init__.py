"""The report for those who look rather than read: figures, charts, two languages, one page.

Knows: small cells, scales, labels.
Must not know: single people.
Start reading at: `page.py`.
"""
