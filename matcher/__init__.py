"""Arithmetic of fingerprints: numpy and nothing else."""
