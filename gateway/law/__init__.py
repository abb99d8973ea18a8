"""May it be said? Pure: values in, a decision out."""
