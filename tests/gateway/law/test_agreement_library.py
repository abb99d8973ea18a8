"""Versions of an agreement follow each other, and one alone is in force."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.law.agreement import Agreement
from gateway.law.agreement_library import load_agreements, packaged
from gateway.law.toml_reader import MalformedAgreement

PLAIN = packaged()["au.toml"].decode()


def version(number: int, start: str, end: str = "") -> bytes:
    ends = f"\nuntil = {end}" if end else ""
    return (
        PLAIN.replace("version = 1", f"version = {number}")
        .replace("in_force = 2026-01-01", f"in_force = {start}{ends}")
        .encode()
    )


def in_force(versions: tuple[Agreement, ...], moment: str) -> list[int]:
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return [agreement.version for agreement in versions if agreement.covers(now)]


def test_a_version_ends_where_its_successor_begins() -> None:
    loaded = load_agreements(
        {"a.toml": version(1, "2026-01-01"), "b.toml": version(2, "2026-06-01", "2027-01-01")}
    )["au"]

    assert in_force(loaded, "2025-12-31") == []
    assert in_force(loaded, "2026-05-31T23:59:59") == [1]
    assert in_force(loaded, "2026-06-01") == [2]
    assert in_force(loaded, "2027-01-01") == []


@given(st.permutations([2026, 2027, 2028]), st.integers(2025, 2029))
def test_two_versions_are_never_in_force_at_one_moment(starts: list[int], year: int) -> None:
    texts = {f"{n}.toml": version(n, f"{start}-01-01") for n, start in enumerate(starts, 1)}

    loaded = load_agreements(texts)["au"]

    assert len(in_force(loaded, f"{year}-06-01")) <= 1
    assert in_force(loaded, "2029-06-01") == [3]


def test_two_files_of_one_version_are_refused() -> None:
    with pytest.raises(MalformedAgreement, match="another file"):
        load_agreements({"a.toml": PLAIN.encode(), "b.toml": PLAIN.encode()})


def test_versions_of_one_agreement_have_the_same_parties() -> None:
    other = version(2, "2027-01-01").replace(b'"AUS"', b'"NZL"')

    with pytest.raises(MalformedAgreement, match="names others"):
        load_agreements({"a.toml": PLAIN.encode(), "b.toml": other})
