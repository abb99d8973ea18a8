"""The auditor's questions over a period: one module a question, each a table and its findings.

Knows: what law.md section 9 asks.
Must not know: how a table is printed.
Start reading at: `refusals.py`.
"""
