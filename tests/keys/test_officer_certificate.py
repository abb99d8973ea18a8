"""An officer certificate says who of ours connects; nothing else passes for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.certificates import TlsKey, issue_ca, issue_leaf
from keys.errors import CertificateFault
from keys.officer_certificate import MOST_DAYS, OfficerCertificate, badge, issue_badge, read_badge

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CA_KEY = TlsKey.generate()
CA = issue_ca("CAN", CA_KEY, NOW)
EXAMINER = badge("P-7", ["examiner", "auditor", "examiner"])


def issued(bearer: OfficerCertificate = EXAMINER, **how: object) -> bytes:
    return issue_badge(bearer, CA, CA_KEY, TlsKey.generate().public, NOW, **how)


def test_a_badge_says_person_and_roles() -> None:
    assert read_badge(issued(), CA, NOW) == OfficerCertificate("P-7", ("auditor", "examiner"))


@given(
    st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), min_size=1, max_size=5),
)
def test_whatever_a_badge_can_name_is_read_back(person: str, roles: list[str]) -> None:
    made = badge(person, roles)

    assert read_badge(issued(made), CA, NOW) == made


@pytest.mark.parametrize(
    ("person", "roles"),
    [("", ["examiner"]), ("P 7", ["examiner"]), ("P-7", []), ("P:7", ["a"]), ("P-7", ["A+B"])],
)
def test_a_name_that_could_be_read_two_ways_is_not_issued(person: str, roles: list[str]) -> None:
    with pytest.raises(CertificateFault):
        badge(person, roles)


def test_another_authority_issues_no_badge_of_ours() -> None:
    other = TlsKey.generate()
    stolen = issue_badge(
        EXAMINER, issue_ca("CAN", other, NOW), other, TlsKey.generate().public, NOW
    )

    with pytest.raises(CertificateFault, match="not of our authority"):
        read_badge(stolen, CA, NOW)


def test_the_gateway_leaf_is_no_badge() -> None:
    leaf = issue_leaf("CAN", CA, CA_KEY, TlsKey.generate(), NOW, hosts=("127.0.0.1",))

    for certificate in (leaf, CA):
        with pytest.raises(CertificateFault):
            read_badge(certificate, CA, NOW)


def test_a_badge_lives_ninety_days_at_most() -> None:
    assert read_badge(issued(days=1), CA, NOW + timedelta(hours=23))
    for days in (0, MOST_DAYS + 1):
        with pytest.raises(CertificateFault):
            issued(days=days)
    for late in (timedelta(days=MOST_DAYS), timedelta(hours=-1)):
        with pytest.raises(CertificateFault, match="out of date"):
            read_badge(issued(), CA, NOW + late)


def test_a_badge_never_outlives_its_authority() -> None:
    short = issue_ca("CAN", CA_KEY, NOW, days=2)
    made = issue_badge(EXAMINER, short, CA_KEY, TlsKey.generate().public, NOW)

    with pytest.raises(CertificateFault, match="out of date"):
        read_badge(made, short, NOW + timedelta(days=3))
    with pytest.raises(CertificateFault, match="expired"):
        issue_badge(EXAMINER, short, CA_KEY, TlsKey.generate().public, NOW + timedelta(days=3))
    with pytest.raises(CertificateFault, match="do not belong together"):
        issue_badge(EXAMINER, CA, TlsKey.generate(), TlsKey.generate().public, NOW)


@given(st.binary(max_size=120))
def test_bytes_that_are_no_key_get_no_badge(octets: bytes) -> None:
    with pytest.raises(CertificateFault):
        issue_badge(EXAMINER, CA, CA_KEY, octets, NOW)
