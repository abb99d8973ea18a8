"""The auditor's desk: what an auditor reads, out of what was handed over; no gateway, no database of ours."""
