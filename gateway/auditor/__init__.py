"""The auditor's tools: what an auditor reads out of what was handed over.

Knows: a sealed index, reconciliation, an independent witness.
Must not know: the gateway, its database, gRPC.
Start reading at: `index.py`.
"""
