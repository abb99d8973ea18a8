"""Secrets: cryptography and nothing else."""
