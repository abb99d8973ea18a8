"""Whom we know: one spelling, a fingerprint that people compare, versions that never go back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import UserError
from gateway.trust.bundle import MAX_BUNDLE
from gateway.trust.partners import (
    BundleRefused,
    Directory,
    PartyBundle,
    UnknownParty,
    fingerprint,
    own_bundle,
)
from keys.certificates import issue_ca, pin
from keys.errors import KeyNotUsable, UnknownKey

if TYPE_CHECKING:
    from tests.gateway.trust.conftest import Party

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


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


def test_a_partner_is_known_by_name_pin_and_keys(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    assert directory.party("AUS") == aus.bundle
    assert directory.parties() == (aus.bundle,)
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) == aus.bundle
    assert directory.authorities() == aus.bundle.tls_ca_pem
    assert directory.signing_key("AUS", aus.signing.key_id, NOW).key_id == aus.signing.key_id
    key = directory.party("AUS").sealing_key(NOW)
    assert key is not None
    assert (key.key_id, directory.party("AUS").version) == (aus.opening.key_id, 3)
    assert directory.faults == ()


def test_what_is_refused_is_read_once_for_all_partners_and_anew_each_time(
    folder: Path, aus: Party, nzl: Party
) -> None:
    """Whoever opens connections without end makes us read the store once for each, not once for each partner."""
    asked: list[dict[str, frozenset[bytes]]] = []
    refused: dict[str, frozenset[bytes]] = {}

    def blocked() -> dict[str, frozenset[bytes]]:
        asked.append(refused)
        return refused

    directory = Directory(folder, own="CAN", blocked=blocked)
    for one in (aus, nzl):
        trust(directory, one.bundle)
    asked.clear()

    assert directory.authorities() == aus.bundle.tls_ca_pem + nzl.bundle.tls_ca_pem
    assert len(asked) == 1

    refused["AUS"] = frozenset({aus.signing.key_id})
    with pytest.raises(KeyNotUsable, match="refused here"):
        directory.signing_key("AUS", aus.signing.key_id, NOW)


def test_an_unknown_person_is_not_known(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    assert directory.partner_by_pin(bytes(32)) is None
    with pytest.raises(UnknownParty):
        directory.party("NZL")
    with pytest.raises(UnknownKey):
        directory.signing_key("NZL", aus.signing.key_id, NOW)
    with pytest.raises(UnknownKey):
        directory.signing_key("AUS", bytes(32), NOW)


def test_a_key_counts_only_while_it_is_valid(directory: Directory, aus: Party) -> None:
    trust(directory, aus.bundle)

    with pytest.raises(KeyNotUsable):
        directory.signing_key("AUS", aus.signing.key_id, NOW + 52 * WEEK)
    assert directory.party("AUS").sealing_key(NOW - WEEK) is None


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


def test_two_partners_share_no_authority_s_key(
    directory: Directory, aus: Party, nzl: Party
) -> None:
    """Nor is one's authority the other's leaf: whoever holds the key could speak for both."""
    trust(directory, aus.bundle)
    twin = issue_ca("NZL", aus.authority, NOW)

    for stolen in (
        replace(nzl.bundle, tls_ca_pem=twin),
        replace(nzl.bundle, tls_pins=(*nzl.bundle.tls_pins, pin(aus.bundle.tls_ca_pem))),
    ):
        with pytest.raises(BundleRefused, match="AUS"):
            trust(directory, stolen)


def test_a_new_file_counts_at_once_and_a_removed_one_no_longer(
    directory: Directory, folder: Path, aus: Party
) -> None:
    put(folder, "AUS.json", aus.bundle.to_bytes())
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) is not None

    (folder / "AUS.json").unlink()
    assert directory.partner_by_pin(aus.bundle.tls_pins[0]) is None
    with pytest.raises(UnknownParty):
        directory.party("AUS")


@pytest.mark.parametrize("name", ["AUS.json", "ZZZ.json", "AUS.waiting"])
def test_an_entry_of_which_nothing_can_be_read_is_named_and_waited_for_by_nobody(
    directory: Directory, folder: Path, aus: Party, pipe: Any, name: str
) -> None:
    trust(directory, aus.bundle)
    assert directory.party("AUS") == aus.bundle
    (folder / name).unlink(missing_ok=True)
    pipe(folder / name)

    assert directory.party("AUS") == aus.bundle
    (fault,) = directory.faults
    assert fault.file == name
    assert fault.why.startswith(("no regular file", "cannot be read"))


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
    with pytest.raises(UserError, match="passerelle init"):
        own_bundle(tmp_path)
