"""What must be noticed before it hurts: alarms, expiry, quotas that run out.

Knows: alarms, raised once and cleared once.
Must not know: how to mend it.
Start reading at: `alarms.py`.
"""
