"""Who can be found: enrolment, and the records beside the prints.

Knows: rows of the registry, groups for fairness figures.
Must not know: queries.
Start reading at: `enrolment.py`.
"""
