"""What every room's tests share: Hypothesis profiles and the reference data beside the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import gateway.server  # noqa: F401 - first of all: it settles which TLS gRPC speaks

ROOT = Path(__file__).resolve().parents[1]

# No deadline: two busy cores make one example slow without making it wrong. A failure prints the blob
# that repeats it. On CI the examples are the same in every run, so a red run is red for its change.
settings.register_profile(
    "desk", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data: PASSERELLE_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("PASSERELLE_SHARED") or ROOT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}; name its folder in PASSERELLE_SHARED")
    return folder
