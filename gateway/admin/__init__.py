"""Operations of our own people: what they are, who may call them, what takes two persons.

Knows: roles, arguments, proposals, pages, the entry of who was shown what.
Must not know: what an operation does.
Start reading at: `operation.py`.
"""
