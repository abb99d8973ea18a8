"""What the exchange must remember of messages: repetitions, transactions, quotas, versions seen.

Knows: rows keyed by partner and message.
Must not know: whether a question is allowed.
Start reading at: `transactions.py`.
"""
