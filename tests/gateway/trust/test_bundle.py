"""A party's public bundle: one spelling, dated keys, and a fingerprint that people compare."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trust.bundle import MAX_BUNDLE
from gateway.trust.partners import BundleKey, MalformedBundle, PartyBundle, fingerprint
from keys.envelope import OpeningKey

if TYPE_CHECKING:
    from tests.gateway.trust.conftest import Party

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
EVERY_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_bundle_reads_as_it_was_written(aus: Party) -> None:
    octets = aus.bundle.to_bytes()

    assert PartyBundle.parse(octets) == aus.bundle
    assert PartyBundle.parse(octets).to_bytes() == octets
    assert octets.isascii()
    assert len(octets) < MAX_BUNDLE


def tree_of(party: Party) -> dict[str, Any]:
    return dict(json.loads(party.bundle.to_bytes()))


def spelt(tree: object) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":")).encode()


def refused(octets: bytes) -> str:
    with pytest.raises(MalformedBundle) as caught:
        PartyBundle.parse(octets)
    return caught.value.element


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "passerelle/1/party"),
        ("party", "aus"),
        ("party", ""),
        ("party", 3),
        ("legal_name", ""),
        ("legal_name", "x" * 201),
        ("legal_name", "right \u202e to left"),
        ("legal_name", "\ud800"),
        ("version", 0),
        ("version", 1.0),
        ("version", True),
        ("version", 2**63),
        ("issue_time", "2026-07-01T12:00:00Z"),
        ("issue_time", "2026-02-30T12:00:00.000Z"),
        ("issue_time", None),
        ("issue_time", "0001-01-01T00:00:00.000Z"),
        ("issue_time", "1969-12-31T23:59:59.999Z"),
        ("issue_time", "2200-01-01T00:00:00.000Z"),
        ("issue_time", "9999-12-31T23:59:59.999Z"),
        ("endpoints", []),
        ("endpoints", "127.0.0.1:1"),
        ("endpoints", ["a:1", "a:1"]),
        ("endpoints", [f"a:{n}" for n in range(1, 10)]),
        ("kem", []),
        ("signing", []),
        ("tls_pins", []),
        ("tls_pins", [b64(bytes(32))] * 2),
        ("tls_ca", "no list"),
        ("tls_ca", []),
        ("root", 5),
    ],
)
def test_a_bundle_with_one_wrong_member_is_refused_and_the_member_is_named(
    aus: Party, name: str, value: object
) -> None:
    assert refused(spelt(tree_of(aus) | {name: value})) == name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "party",
            "aus",
            "party: not the name of a party, 2 to 32 of A-Z, 0-9 and hyphen, e.g. AUS",
        ),
        (
            "issue_time",
            "2026-07-01T12:00:00Z",
            "issue_time: not a time such as 2026-03-01T12:00:00.000Z",
        ),
        ("legal_name", "x" * 201, "legal_name: not one line of 1 to 200 printable characters"),
        ("endpoints", [5], "endpoints[0]: not one line of 1 to 8192 characters"),
    ],
)
def test_a_bundle_with_a_wrong_member_is_told_what_it_should_be(
    aus: Party, name: str, value: object, said: str
) -> None:
    with pytest.raises(MalformedBundle) as told:
        PartyBundle.parse(spelt(tree_of(aus) | {name: value}))

    assert str(told.value) == said


@pytest.mark.parametrize(
    ("name", "value", "element"),
    [
        ("endpoints", ["localhost"], "endpoints[0]"),
        ("endpoints", ["a:0"], "endpoints[0]"),
        ("tls_pins", [b64(bytes(31))], "tls_pins[0]"),
        ("tls_pins", ["!!!!"], "tls_pins[0]"),
        ("tls_pins", [b64(bytes(32)), 5], "tls_pins[1]"),
        ("kem", [5], "kem[0]"),
        ("kem", [{"public": "", "not_before": "x"}], "kem[0]"),
        ("log", None, "log"),
        ("log", {"origin": "x", "ed25519": "x", "mldsa44": "x"}, "log"),
        ("log", {"origin": "x", "ed25519": "x", "mldsa44": "x", "past": []}, "log"),
        ("tls_ca", ["no certificate"], "tls_ca[0]"),
        ("tls_ca", ["é"], "tls_ca[0]"),
        ("root", {"version": 0, "sha256": "0" * 64}, "root.version"),
        ("root", {"version": 1, "sha256": "0" * 63}, "root.sha256"),
    ],
)
def test_what_is_wrong_inside_a_member_has_its_path(
    aus: Party, name: str, value: object, element: str
) -> None:
    assert refused(spelt(tree_of(aus) | {name: value})) == element


@pytest.mark.parametrize("kind", ["kem", "signing"])
def test_a_key_is_a_key_with_dates(aus: Party, kind: str) -> None:
    for change, element in (
        ({"public": b64(bytes(100))}, "public"),
        ({"public": "====="}, "public"),
        ({"not_after": "2026-07-01T12:00:00.000Z"}, "not_after"),
        ({"not_before": "now"}, "not_before"),
    ):
        tree = tree_of(aus)
        tree[kind][0] |= change
        assert refused(spelt(tree)) == f"{kind}[0].{element}"


def test_each_authority_of_a_bundle_is_one_certificate_of_its_own_party(
    aus: Party, nzl: Party
) -> None:
    [mine], [theirs] = tree_of(aus)["tls_ca"], tree_of(nzl)["tls_ca"]

    assert refused(spelt(tree_of(aus) | {"tls_ca": [mine, theirs]})) == "tls_ca[1]"
    assert refused(spelt(tree_of(aus) | {"tls_ca": [mine + theirs]})) == "tls_ca[0]"
    assert refused(spelt(tree_of(aus) | {"tls_ca": [mine + "x"]})) == "tls_ca[0]"
    assert refused(spelt(tree_of(aus) | {"tls_ca": [mine, mine]})) == "tls_ca"


def test_an_authority_that_copies_another_partner_s_is_no_authority(aus: Party, nzl: Party) -> None:
    """TLS finds an issuer by name and key identifier; two of the same would cut one of them off."""
    copied = spelt(tree_of(nzl) | {"tls_ca": tree_of(aus)["tls_ca"]})

    assert refused(copied) == "tls_ca[0]"


def test_a_member_too_many_or_too_few_is_refused(aus: Party) -> None:
    tree = tree_of(aus)
    without = {name: value for name, value in tree.items() if name != "log"}

    for wrong in (tree | {"rights": []}, without, [], None, 5):
        assert refused(spelt(wrong)) == "bundle"


def test_a_second_spelling_is_refused(aus: Party) -> None:
    octets = aus.bundle.to_bytes()

    for other in (
        octets + b"\n",
        octets.replace(b'"version":3', b'"version": 3'),
        octets.replace(b'"version":3', b'"version":2,"version":3'),
        octets.replace(b"\\u00e9", b"\\u00E9"),
        octets.replace(b'"Ministry', b'"\\u004dinistry'),
    ):
        assert other != octets
        assert refused(other) == ""


@pytest.mark.parametrize(
    "octets", [b"", b"\xff", b"{", b"[" * 60_000, b"9" * 10_000, b" " * (MAX_BUNDLE + 1)]
)
def test_what_is_no_bundle_is_refused(octets: bytes) -> None:
    refused(octets)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(octets: bytes) -> None:
    refused(octets)


@EVERY_EXAMPLE
@given(at=st.integers(0, 20_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_changes_the_fingerprint(aus: Party, at: int, bit: int) -> None:
    whole = aus.bundle.to_bytes()
    octets = bytearray(whole)
    octets[at % len(octets)] ^= 1 << bit
    try:
        read = PartyBundle.parse(bytes(octets))
    except MalformedBundle:
        return
    assert read != aus.bundle
    assert fingerprint(bytes(octets)) != fingerprint(whole)


def test_a_fingerprint_is_eight_groups_of_four() -> None:
    text = fingerprint(b"")

    # SHA-256 of nothing begins e3b0c442 98fc1c14 9afbf4c8 996fb924 27ae41e4 (FIPS 180-4).
    assert base64.b32decode(text.replace(" ", "")).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4"
    )
    assert [len(group) for group in text.split(" ")] == [4] * 8


def test_the_newest_valid_key_is_sealed_to_and_a_late_successor_does_not_stop_the_exchange(
    aus: Party,
) -> None:
    """keys.md 5: an epoch whose successor is late stays primary; KEY_STALE is the recipient's to say."""
    later = OpeningKey.generate()
    both = replace(
        aus.bundle,
        kem=(BundleKey(later.public, NOW + WEEK / 2, NOW + 2 * WEEK), *aus.bundle.kem),
    )

    def sealed_to(at: datetime) -> bytes | None:
        key = both.sealing_key(at)
        return None if key is None else key.key_id

    assert sealed_to(NOW - timedelta(milliseconds=1)) is None
    assert sealed_to(NOW) == aus.opening.key_id
    assert sealed_to(NOW + WEEK / 2) == later.key_id
    assert sealed_to(NOW + 3 * WEEK) == later.key_id


def test_a_signing_key_counts_while_it_is_valid(aus: Party) -> None:
    kid = aus.signing.key_id

    found = aus.bundle.signing_key(kid, NOW)

    assert found is not None
    assert found.key_id == kid
    assert aus.bundle.signing_key(kid, NOW + 52 * WEEK) is None
    assert aus.bundle.signing_key(bytes(32), NOW) is None


def test_a_bundle_does_not_show_its_keys(aus: Party) -> None:
    assert "BEGIN" not in repr(aus.bundle)
    assert len(repr(aus.bundle)) < 500
