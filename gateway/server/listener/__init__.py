"""Listeners and what guards them: TLS, admission, limits of connections, the access log.

Knows: addresses, certificates, calls.
Must not know: payloads.
Start reading at: `listeners.py`.
"""
