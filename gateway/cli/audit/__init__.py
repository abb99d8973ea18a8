"""An auditor's commands: each question, the report, the replay, the console.

Knows: options and tables.
Must not know: a gateway's keys.
Start reading at: `explain.py`, then `period_questions.py`.
"""
