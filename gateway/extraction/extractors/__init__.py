"""The extractors that come along; each is imported in a child process alone, by its entry point.

Knows: one package each, and the record that it makes.
Must not know: containers, processes, the gateway.
Start reading at: `leader.py`.
"""
