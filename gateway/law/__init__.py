"""What Part 19.1 and an agreement allow: values in, a decision out.

Knows: agreements, directions, limits, what may be disclosed, kept and told.
Must not know: databases, bytes of messages, clocks; whoever asks brings `now`.
Start reading at: `agreement.py`, then `query_policy.py`.
"""
