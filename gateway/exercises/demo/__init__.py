"""The main job shown in order, each promise checked as it goes.

Knows: two invented parties and invented people.
Must not know: real people.
Start reading at: `scenario.py`.
"""
