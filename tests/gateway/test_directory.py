"""Whom we know: one spelling, a fingerprint that people compare, versions that never go back."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.proof import LogIdentity
from gateway.bundle import MAX_BUNDLE
from gateway.directory import (
    BundleKey,
    BundleRefused,
    Directory,
    MalformedBundle,
    PartyBundle,
    UnknownParty,
    fingerprint,
    own_bundle,
)
from gateway.errors import Remedy
from keys.certificates import TlsKey, issue_ca, issue_leaf, pin
from keys.envelope import OpeningKey
from keys.errors import KeyNotUsable, UnknownKey
from keys.sign import LogKey, SigningKey

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
EVERY_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Party:
    """A party with its private halves."""

    bundle: PartyBundle
    signing: SigningKey
    opening: OpeningKey


def make(party: str) -> Party:
    signing, opening, log = SigningKey.generate(), OpeningKey.generate(), LogKey.generate()
    authority, leaf = TlsKey.generate(), TlsKey.generate()
    ca = issue_ca(party, authority, NOW)
    certificate = issue_leaf(party, ca, authority, leaf, NOW, days=30, hosts=["localhost"])
    bundle = PartyBundle(
        party=party,
        legal_name=f"Ministry of {party}, Département é",
        version=3,
        issue_time=NOW,
        endpoints=("127.0.0.1:7443", "[::1]:7443"),
        kem=(BundleKey(opening.public, NOW, NOW + WEEK),),
        signing=(BundleKey(signing.public, NOW, NOW + 52 * WEEK),),
        tls_ca_pem=ca,
        tls_pins=(pin(certificate),),
        log=LogIdentity.from_log_key(f"passerelle/{party}", log),
    )
    return Party(bundle, signing, opening)


@pytest.fixture(scope="session")
def aus() -> Party:
    return make("AUS")


@pytest.fixture(scope="session")
def nzl() -> Party:
    return make("NZL")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "parties"


@pytest.fixture
def directory(folder: Path) -> Directory:
    return Directory(folder, own="CAN")


def trust(directory: Directory, bundle: PartyBundle) -> PartyBundle:
    octets = bundle.to_bytes()
    return directory.import_bundle(octets, fingerprint(octets))


def put(folder: Path, name: str, octets: bytes) -> None:
    """Replace a file as an editor or a restore would: a new inode at once."""
    folder.mkdir(exist_ok=True)
    temporary = folder / f"{name}.new"
    temporary.write_bytes(octets)
    temporary.replace(folder / name)


# The bundle.


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
        ("format", "passerelle/2/party"),
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
        ("endpoints", []),
        ("endpoints", "127.0.0.1:1"),
        ("endpoints", ["a:1", "a:1"]),
        ("endpoints", [f"a:{n}" for n in range(1, 10)]),
        ("kem", []),
        ("signing", []),
        ("tls_pins", []),
        ("tls_pins", [b64(bytes(32))] * 2),
        ("tls_ca", "no certificate"),
        ("tls_ca", "é"),
    ],
)
def test_a_bundle_with_one_wrong_member_is_refused_and_the_member_is_named(
    aus: Party, name: str, value: object
) -> None:
    assert refused(spelt(tree_of(aus) | {name: value})) == name


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


def test_a_bundle_names_exactly_one_authority(aus: Party, nzl: Party) -> None:
    two = tree_of(aus)["tls_ca"] + tree_of(nzl)["tls_ca"]

    assert refused(spelt(tree_of(aus) | {"tls_ca": two})) == "tls_ca"
    assert refused(spelt(tree_of(aus) | {"tls_ca": tree_of(aus)["tls_ca"] + "x"})) == "tls_ca"


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


# The directory.


def test_a_partner_is_known_by_name_pin_and_keys(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    assert directory.party("AUS") == aus.bundle
    assert directory.parties() == (aus.bundle,)
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) == aus.bundle
    assert directory.authorities() == aus.bundle.tls_ca_pem
    assert directory.signing_key("AUS", aus.signing.key_id, NOW).key_id == aus.signing.key_id
    key, version = directory.kem_key("AUS", NOW)
    assert (key.key_id, version) == (aus.opening.key_id, 3)
    assert directory.faults == ()


def test_a_stranger_is_not_known(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    assert directory.partner_by_pin(bytes(32)) is None
    with pytest.raises(UnknownParty):
        directory.party("NZL")
    with pytest.raises(UnknownParty):
        directory.kem_key("NZL", NOW)
    with pytest.raises(UnknownKey):
        directory.signing_key("NZL", aus.signing.key_id, NOW)
    with pytest.raises(UnknownKey):
        directory.signing_key("AUS", bytes(32), NOW)


def test_a_key_counts_only_while_it_is_valid(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    with pytest.raises(KeyNotUsable):
        directory.signing_key("AUS", aus.signing.key_id, NOW + 52 * WEEK)
    with pytest.raises(KeyNotUsable, match="import its new bundle"):
        directory.kem_key("AUS", NOW - WEEK)


def test_an_import_is_on_disk_whole_and_private(
    directory: Directory, folder: Path, aus: Party
) -> None:
    trust(directory, aus.bundle)

    assert [path.name for path in folder.iterdir()] == ["AUS.json"]
    assert (folder / "AUS.json").read_bytes() == aus.bundle.to_bytes()
    assert Directory(folder, own="CAN").party("AUS") == aus.bundle


@pytest.mark.parametrize(
    "spoken", [str.lower, lambda text: text.replace(" ", "-"), lambda text: f" {text}\n"]
)
def test_a_fingerprint_may_be_written_down_as_people_do(
    directory: Directory, aus: Party, spoken: Callable[[str], str]
) -> None:
    octets = aus.bundle.to_bytes()

    assert directory.import_bundle(octets, spoken(fingerprint(octets))) == aus.bundle


@pytest.mark.parametrize("stated", ["", "AAAA", "AAAA " * 8])
def test_a_bundle_that_was_not_read_out_is_refused(
    directory: Directory, folder: Path, aus: Party, stated: str
) -> None:
    with pytest.raises(BundleRefused, match="read out"):
        directory.import_bundle(aus.bundle.to_bytes(), stated)

    assert not folder.exists()


def test_a_part_of_a_fingerprint_is_not_the_fingerprint(directory: Directory, aus: Party) -> None:
    octets = aus.bundle.to_bytes()

    with pytest.raises(BundleRefused):
        directory.import_bundle(octets, fingerprint(octets)[:-5])


def test_our_own_bundle_is_not_a_partners(folder: Path, aus: Party) -> None:
    with pytest.raises(BundleRefused, match="our own"):
        trust(Directory(folder, own="AUS"), aus.bundle)


def test_a_version_grows_or_the_bytes_are_the_same(
    directory: Directory, folder: Path, aus: Party
) -> None:
    trust(directory, aus.bundle)
    before = (folder / "AUS.json").stat().st_ino

    assert trust(directory, aus.bundle) == aus.bundle
    assert (folder / "AUS.json").stat().st_ino == before
    for rolled_back in (
        replace(aus.bundle, version=2),
        replace(aus.bundle, legal_name="The same version, other bytes"),
    ):
        with pytest.raises(BundleRefused, match="does not follow"):
            trust(directory, rolled_back)
    newer = replace(aus.bundle, version=4)
    assert trust(directory, newer) == directory.party("AUS") == newer


def test_two_partners_share_no_pin_and_no_signing_key(
    directory: Directory, aus: Party, nzl: Party
) -> None:
    trust(directory, aus.bundle)

    for stolen in (
        replace(nzl.bundle, tls_pins=(*nzl.bundle.tls_pins, *aus.bundle.tls_pins)),
        replace(nzl.bundle, signing=(*nzl.bundle.signing, *aus.bundle.signing)),
    ):
        with pytest.raises(BundleRefused, match="AUS"):
            trust(directory, stolen)
    assert trust(directory, nzl.bundle)


def test_a_new_file_counts_at_once_and_a_removed_one_no_longer(
    directory: Directory, folder: Path, aus: Party
) -> None:
    put(folder, "AUS.json", aus.bundle.to_bytes())
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) is not None

    (folder / "AUS.json").unlink()
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) is None
    with pytest.raises(UnknownParty):
        directory.party("AUS")


@pytest.mark.parametrize("octets", [b"", b"{}", bytes(MAX_BUNDLE + 5)])
def test_a_broken_file_leaves_the_last_good_one_in_force_and_is_a_fault(
    directory: Directory, folder: Path, aus: Party, octets: bytes
) -> None:
    trust(directory, aus.bundle)
    put(folder, "AUS.json", octets)

    assert directory.party("AUS") == aus.bundle
    (fault,) = directory.faults
    assert fault.file == "AUS.json"
    assert directory.faults == (fault,)

    put(folder, "AUS.json", aus.bundle.to_bytes())
    assert directory.faults == ()


def test_a_broken_file_at_the_start_trusts_nobody(folder: Path) -> None:
    put(folder, "AUS.json", b"{")

    directory = Directory(folder, own="CAN")

    assert directory.parties() == ()
    assert [fault.file for fault in directory.faults] == ["AUS.json"]


def test_a_file_that_goes_back_does_not_count(
    directory: Directory, folder: Path, aus: Party
) -> None:
    trust(directory, aus.bundle)
    put(folder, "AUS.json", replace(aus.bundle, version=2).to_bytes())

    assert directory.party("AUS").version == 3
    assert "older" in directory.faults[0].why


def test_a_file_under_another_name_does_not_count(
    directory: Directory, folder: Path, aus: Party
) -> None:
    put(folder, "NZL.json", aus.bundle.to_bytes())

    assert directory.parties() == ()
    assert directory.faults[0].file == "NZL.json"


def test_our_own_bundle_in_the_folder_does_not_count(folder: Path, aus: Party) -> None:
    put(folder, "AUS.json", aus.bundle.to_bytes())

    directory = Directory(folder, own="AUS")

    assert directory.parties() == ()
    assert len(directory.faults) == 1


def test_a_stolen_pin_on_disk_does_not_count(
    directory: Directory, folder: Path, aus: Party, nzl: Party
) -> None:
    trust(directory, aus.bundle)
    stolen = replace(nzl.bundle, tls_pins=aus.bundle.tls_pins)
    put(folder, "NZL.json", stolen.to_bytes())

    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) == aus.bundle
    assert [fault.file for fault in directory.faults] == ["NZL.json"]


def test_a_folder_in_place_of_a_file_is_a_fault(directory: Directory, folder: Path) -> None:
    (folder / "AUS.json").mkdir(parents=True)

    assert [fault.file for fault in directory.faults] == ["AUS.json"]


def test_other_files_are_not_looked_at(directory: Directory, folder: Path) -> None:
    put(folder, "README.txt", b"x")
    put(folder, ".AUS.json.tmp.json", b"x")

    assert directory.faults == ()


def test_readers_see_one_whole_version_while_it_changes(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            bundle = directory.partner_by_pin(aus.bundle.tls_pins[0])
            seen.append(0 if bundle is None else bundle.version)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(4, 14):
        trust(directory, replace(aus.bundle, version=version))
    done.set()
    reader.join()

    assert seen
    assert seen == sorted(seen)
    assert directory.party("AUS").version == 13


def test_our_own_bundle_is_read_from_our_folder(tmp_path: Path, aus: Party) -> None:
    put(tmp_path, "party.json", aus.bundle.to_bytes())
    assert own_bundle(tmp_path) == aus.bundle

    put(tmp_path, "party.json", replace(aus.bundle, version=4).to_bytes())
    assert own_bundle(tmp_path).version == 4

    (tmp_path / "party.json").unlink()
    with pytest.raises(Remedy, match="passerelle init"):
        own_bundle(tmp_path)
