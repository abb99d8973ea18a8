"""Caseworkers' and officials' commands: ask, use, corrections, decisions, reviews.

Knows: options and tables.
Must not know: how a case is decided.
Start reading at: `ask.py`.
"""
