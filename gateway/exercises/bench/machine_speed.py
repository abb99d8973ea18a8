"""How fast this machine is at what a query is made of, so that figures of two machines can be compared.

Two kernels on one idle process: composite signatures, which is what sealing and signing mostly cost, and a
matrix product, which is what a search mostly costs. Ratios to them hold where seconds do not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keys.signatures import REQUEST, SigningKey

SECONDS = 0.4  # for each kernel
SIDE = 768  # rows and columns of the product; larger than a cache, smaller than a wait
MESSAGE = bytes(65_536)  # bytes; the smallest query


@dataclass(frozen=True, slots=True)
class MachineSpeed:
    """Signatures (ML-DSA-65 with Ed25519, one thread) per second; GFLOP/s of sgemm, threads as BLAS has them."""

    signatures_per_s: float
    sgemm_gflops: float


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure() -> MachineSpeed:
    """Run both kernels; about a second."""
    key = SigningKey.generate()
    left = np.random.default_rng(1).standard_normal((SIDE, SIDE)).astype(np.float32)
    signed = _rate(lambda: key.sign(MESSAGE, REQUEST))
    multiplied = _rate(lambda: left @ left)
    return MachineSpeed(round(signed, 1), round(multiplied * 2 * SIDE**3 / 1e9, 1))


def _rate(work: Callable[[], object]) -> float:
    """Return how often a second `work` can be done, after it was done once."""
    work()
    started, done = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SECONDS or not done:
        work()
        done += 1
    return done / elapsed
