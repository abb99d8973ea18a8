"""The auditor's questions over a period (law.md section 9): one module a question, each a table and its findings."""
