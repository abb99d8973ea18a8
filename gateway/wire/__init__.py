"""The only parser of what strangers send."""
