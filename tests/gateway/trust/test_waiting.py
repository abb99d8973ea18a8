"""A newer entry that drops what we rely on waits for people; an ordinary rotation passes by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway import config
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.signed_note import LogIdentity
from gateway.server import self_check
from gateway.store.ledger import stored_ledger
from gateway.store.times import utc_now
from gateway.trust.bundle import MAX_KEYS, dropped
from gateway.trust.configured import directory_of
from gateway.trust.partners import Directory, EntryWaits, PartyBundle, fingerprint, own_bundle
from keys.envelope import OpeningKey
from keys.signatures import LogKey, SigningKey

if TYPE_CHECKING:
    from tests.gateway.trust.conftest import Party

ORIGIN = "passerelle/AUS"
OLD, NEW, OTHER = LogKey.generate(), LogKey.generate(), LogKey.generate()


def held(aus: Party, **log: Any) -> PartyBundle:
    return replace(aus.bundle, log=LogIdentity.from_public(ORIGIN, OLD.public, **log))


def newer(
    bundle: PartyBundle, signs: LogKey, past: tuple[LogKey, ...] = (), **other: Any
) -> PartyBundle:
    log = LogIdentity.from_public(
        other.pop("origin", ORIGIN),
        signs.public,
        [key.public for key in past],
        other.pop("stopped", ()),
    )
    return replace(bundle, version=bundle.version + 1, log=log, **other)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "parties", own="CAN")


def trust(directory: Directory, bundle: PartyBundle) -> PartyBundle:
    octets = bundle.to_bytes()
    return directory.import_bundle(octets, fingerprint(octets))


def later(bundle: PartyBundle, **time: float) -> int:
    return int((bundle.issue_time + timedelta(**time)).timestamp())


def test_a_successor_is_announced_takes_over_and_the_old_pair_leaves(
    directory: Directory, aus: Party
) -> None:
    """The ordinary rotation: nobody has to do anything on this side."""
    first = trust(directory, held(aus))
    announced = newer(first, OLD, (NEW,))
    promoted = newer(announced, NEW, (OLD,))
    retired = newer(promoted, NEW, stopped=[(OLD.public, later(first, days=2))])

    for step in (announced, promoted, retired):
        assert directory.update_bundle(step.to_bytes()) == step
    assert directory.faults == ()


def test_a_stolen_pair_is_stopped_at_once_and_another_signs(
    directory: Directory, aus: Party
) -> None:
    """A key compromise: partners must not wait for people to stop believing a thief."""
    first = trust(directory, held(aus))
    stopped = newer(first, NEW, stopped=[(OLD.public, later(first, minutes=1))])

    assert directory.update_bundle(stopped.to_bytes()) == stopped


def attack(name: str, first: PartyBundle) -> PartyBundle:
    return {
        "another pair alone": newer(first, NEW),
        "another ledger": newer(first, OLD, origin="passerelle/AUS/2"),
        "the pair is disowned from the beginning": newer(first, NEW, stopped=[(OLD.public, 1)]),
        "half of the pair": replace(
            newer(first, OLD),
            log=LogIdentity(
                ORIGIN,
                first.log.ed25519_vkey,
                LogIdentity.from_public(ORIGIN, NEW.public).mldsa44_vkey,
            ),
        ),
    }[name]


ATTACKS = (
    "another pair alone",
    "another ledger",
    "the pair is disowned from the beginning",
    "half of the pair",
)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_entry_that_drops_the_known_pair_waits_and_the_old_one_stays(
    directory: Directory, tmp_path: Path, aus: Party, name: str
) -> None:
    first = trust(directory, held(aus))
    bad = attack(name, first)

    for _ in range(3):
        with pytest.raises(EntryWaits, match="waits for people"):
            directory.update_bundle(bad.to_bytes())

    assert directory.party("AUS") == first
    (fault,) = directory.faults
    assert fault.file == "AUS.waiting"
    assert fingerprint(bad.to_bytes()).replace(" ", "-") in fault.why
    assert "party import DIR parties/AUS.waiting" in fault.why
    assert Directory(tmp_path / "parties", own="CAN").faults == (fault,)  # after a restart too


def test_people_who_compare_its_fingerprint_take_it(
    directory: Directory, tmp_path: Path, aus: Party
) -> None:
    first = trust(directory, held(aus))
    bad = newer(first, NEW)
    with pytest.raises(EntryWaits):
        directory.update_bundle(bad.to_bytes())

    assert (
        trust(directory, PartyBundle.parse((tmp_path / "parties/AUS.waiting").read_bytes())) == bad
    )
    assert directory.faults == ()
    assert not (tmp_path / "parties" / "AUS.waiting").exists()


def test_a_later_entry_that_drops_nothing_ends_the_waiting(
    directory: Directory, aus: Party
) -> None:
    first = trust(directory, held(aus))
    with pytest.raises(EntryWaits):
        directory.update_bundle(newer(first, NEW).to_bytes())
    good = replace(newer(first, NEW, (OLD,)), version=first.version + 2)

    assert directory.update_bundle(good.to_bytes()) == good
    assert directory.faults == ()


def test_a_file_that_is_put_aside_is_one_of_each_partner_and_bounded(
    directory: Directory, tmp_path: Path, aus: Party
) -> None:
    """A partner that makes entry after entry fills no disk."""
    first = trust(directory, held(aus))
    for version in range(4, 12):
        with pytest.raises(EntryWaits):
            directory.update_bundle(replace(newer(first, NEW), version=version).to_bytes())

    assert sorted(path.name for path in (tmp_path / "parties").iterdir()) == [
        "AUS.json",
        "AUS.waiting",
    ]


def test_a_stopped_pair_signs_no_more_and_leaves_only_a_full_list(aus: Party) -> None:
    gone = [(OTHER.public, later(aus.bundle, days=-1))]
    first = held(aus, stopped=gone)
    full = [(LogKey.generate().public, later(first)) for _ in range(MAX_KEYS)]

    assert "signs again" in dropped(first, newer(first, OLD, (OTHER,)))
    assert "was stopped" in dropped(first, newer(first, OLD))
    assert dropped(first, newer(first, OLD, stopped=gone)) == ""
    assert dropped(first, newer(first, OLD, stopped=full)) == ""


def test_keys_of_today_may_be_replaced_at_once(
    directory: Directory, aus: Party, nzl: Party
) -> None:
    """Signing and sealing keys, TLS authority and leaves prove the present: a stolen one must go without people."""
    first = trust(directory, held(aus))
    fresh = newer(
        first,
        OLD,
        signing=(replace(first.signing[0], public=SigningKey.generate().public),),
        kem=(replace(first.kem[0], public=OpeningKey.generate().public),),
        tls_pins=(bytes(32),),
    )

    assert directory.update_bundle(fresh.to_bytes()) == fresh


def test_one_bad_file_keeps_no_other_partner_out(
    directory: Directory, tmp_path: Path, aus: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that leads nowhere, and a file that fails as nobody foresaw."""
    trust(directory, aus.bundle)
    (tmp_path / "parties" / "NZL.json").symlink_to(tmp_path / "nowhere")
    assert directory.party("AUS") == aus.bundle
    assert [fault.file for fault in directory.faults] == ["NZL.json"]

    real = PartyBundle.parse

    def parse(octets: bytes) -> PartyBundle:
        if octets == b"odd":
            raise LookupError("nobody foresaw this")
        return real(octets)

    monkeypatch.setattr(PartyBundle, "parse", staticmethod(parse))
    (tmp_path / "parties" / "USA.json").write_bytes(b"odd")
    assert directory.party("AUS") == aus.bundle
    assert {fault.file: fault.why for fault in directory.faults}["USA.json"].endswith("LookupError")


def test_a_partner_whose_directory_drops_its_pair_is_asked_as_before(
    pair: Any, people: Any
) -> None:
    """The entry comes through TUF, well signed: the answers go on under the one in force."""
    folder = Directory(pair.asker / "parties", "AUS")
    partner = pair.partner()
    partner._dialogue._freshness._keep = folder.update_bundle
    own = own_bundle(pair.home)
    bad = replace(own, version=own.version + 1, log=LogIdentity.from_log_key(own.log.origin, NEW))
    (pair.home / "party.json").write_bytes(bad.to_bytes())
    pair.gateway.directory.publication.settle()
    (pair.home / "party.json").write_bytes(own.to_bytes())

    assert not partner.refresh()

    assert folder.party("CAN").log == own.log
    assert [fault.file for fault in folder.faults] == ["CAN.waiting"]
    assert partner.send(partner.compose(people.samples(1), **people.matter())).receipt


def test_an_entry_that_waits_is_one_alarm_until_it_is_decided(pair: Any) -> None:
    own = own_bundle(pair.asker)
    bad = replace(own, version=own.version + 1, log=LogIdentity.from_log_key(own.log.origin, NEW))
    with pytest.raises(EntryWaits):
        pair.gateway.directory.partners.update_bundle(bad.to_bytes())
    told = [
        check
        for check in self_check.check(pair.home, lambda: b"", utc_now())
        if check.name == "partners"
    ]
    assert not told[0].ok
    assert "AUS.waiting" in told[0].detail

    for _ in range(3):
        pair.serving.run_jobs()
    trust(directory_of(config.load(pair.home)), bad)
    pair.serving.run_jobs()

    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database)]
    alarms = [frame.subject_reference for frame in frames if frame.type is EntryType.ALARM]
    assert alarms == ["RAISE/PARTNER_FILE/AUS.waiting", "CLEAR/PARTNER_FILE/AUS.waiting"]
    adopted = [frame for frame in frames if frame.type is EntryType.DIRECTORY]
    assert (adopted[-1].partner_id, adopted[-1].directory_version) == ("AUS", bad.version)
