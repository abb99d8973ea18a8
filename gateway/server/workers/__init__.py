"""Threads beside the calls: periodic jobs, sending, publishing, stamping, the watchdog over them.

Knows: when something runs.
Must not know: what it does.
Start reading at: `periodic_jobs.py`.
"""
