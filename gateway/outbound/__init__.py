"""What we send to partners: queries, requests for details, corrections.

Knows: what is sealed, sent, believed and recorded.
Must not know: gRPC; `server` brings the transport.
Start reading at: `query_sender.py`.
"""
