"""What our own people do."""
