"""The gRPC services: one module a service.

Knows: status codes, generated messages.
Must not know: decisions; each call is handed on.
Start reading at: `exchange.py`.
"""
