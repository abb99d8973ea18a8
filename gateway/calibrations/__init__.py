"""Which calibrations of faces and irises count here, and their adoption by two operators.

Knows: the ledger's entries of what was adopted, the texts that are kept, the alarm where one is not as it was adopted.
Must not know: how scores are reckoned; that is `matching`.
Start reading at: `adopted.py`.
"""
