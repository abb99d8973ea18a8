"""Protobuf bytes to values of the domain and back: the one parser of what others send.

Knows: the canonical form, signed envelopes, one payload a module.
Must not know: earlier messages, the law, what is done with a value.
Start reading at: `signed_envelope.py`.
"""
