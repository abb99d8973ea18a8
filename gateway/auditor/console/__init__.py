"""The auditors' console: pages over an index, on this machine alone, read-only, each view recorded before it is shown."""
