"""The second seal of the keys to details: a key a period, and what a turn of the data key does to it."""

from __future__ import annotations

import sqlite3
import tarfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from gateway.errors import InternalError, UserError
from gateway.exercises.drill.rotation import ONE
from gateway.keymanagement import reencryption as rounds
from gateway.ledger.archive import SEALED_KEY, Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf, decode, open_detail
from gateway.ledger.verify import Severity
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.local_source import Stored
from gateway.store.effects import Effect
from gateway.store.keys.reencryption import otherwise
from gateway.store.ledger import detail_periods, stored_ledger
from gateway.store.ledger.detail_periods import SECOND_SEAL, open_periods, open_stored_key, touch
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.schema import detail_keys
from gateway.store.schema import detail_periods as table
from gateway.store.times import milliseconds, moment, utc_now
from gateway.trust.partners import own_bundle
from keys.custody import FileCustody
from keys.data_encryption import TAG_BYTES, tag_of
from keys.keyset import KeyKind, Keyset, KeyState
from tests.gateway import ledger_reading

KEPT = Path(__file__).parents[1] / "promises" / "kept" / "home-7e7a644.tar.xz"
ROW = Leaf(
    Frame(type=EntryType.REFUSAL_SUMMARY, entry_class=EntryClass.OTHER, partner_id="AUS"),
    {"reason": "t"},
)


def write(gateway: Gateway, count: int = 1) -> list[int]:
    return [gateway.sequencer.commit((ROW,)).indices[0] for _ in range(count)]


def rows(gateway: Gateway) -> dict[int, bytes]:
    with gateway.database.reader() as reader:
        return {row.idx: row.sealed_dek for row in reader.execute(select(detail_keys))}


def periods(gateway: Gateway) -> dict[bytes, Any]:
    with gateway.database.reader() as reader:
        return {row.id: row for row in reader.execute(select(table))}


def shred(gateway: Gateway, *indices: int) -> None:
    these = detail_keys.c.idx.in_(indices)
    gateway.sequencer.commit((), (touch(these), Effect(delete(detail_keys).where(these))))


def sealed_keys(gateway: Gateway) -> dict[int, bytes]:
    """Return what an auditor needs of each detail; all of them open."""
    with gateway.database.reader() as reader:
        known = open_periods(reader, gateway.keys.data_key)
    found = {
        index: open_stored_key(index, stored, known) for index, stored in rows(gateway).items()
    }
    assert None not in found.values()
    return {index: key for index, key in found.items() if key is not None}


def followed(gateway: Gateway) -> bytes:
    """Have the data key followed; return the tag of the new one."""
    gateway.admin.perform(ONE, "keys.rotate", {"kind": "DATA", "reason": "t"})
    return tag_of(gateway.keyset.primary(KeyKind.DATA).kid)


def resealed(gateway: Gateway) -> None:
    for _ in range(200):
        if not gateway.keys.reencryption.step():
            return
    raise AssertionError("a turn without an end")


def left(gateway: Gateway, tag: bytes) -> int:
    with gateway.database.reader() as reader:
        return otherwise(reader, tag)


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Any:
    with Gateway.open(homes[0], secret) as found:
        yield found


def test_details_of_a_week_share_a_period_and_a_restart_goes_on_with_it(
    homes: Any, secret: Any
) -> None:
    ahead = timedelta(0)
    seen: list[bytes] = []
    for ahead in (timedelta(0), timedelta(days=6), timedelta(days=8)):
        with Gateway.open(homes[0], secret, clock=lambda: utc_now() + ahead) as gateway:  # noqa: B023
            index, other = write(gateway, 2)
            found = rows(gateway)
            assert found[index][:TAG_BYTES] == found[other][:TAG_BYTES]
            assert len(found[index]) == SEALED_KEY + SECOND_SEAL
            seen.append(found[index][:TAG_BYTES])

    assert seen[0] == seen[1] != seen[2]


def test_a_stored_key_opens_at_its_own_entry_alone(gateway: Gateway) -> None:
    one, two = write(gateway, 2)
    stored = rows(gateway)
    with gateway.database.reader() as reader:
        known = open_periods(reader, gateway.keys.data_key)

    found = open_stored_key(one, stored[one], known)
    assert found is not None
    assert len(found) == SEALED_KEY
    for index, octets in (
        (one, stored[two]),
        (one, stored[one][:-1] + bytes([stored[one][-1] ^ 1])),
        (one, bytes(TAG_BYTES) + stored[one][TAG_BYTES:]),
        (one, stored[one][:20]),
        (one, b""),
    ):
        assert open_stored_key(index, octets, known) is None


def test_a_period_that_opens_with_nothing_does_not_stop_the_ledger_and_is_named(
    homes: Any, secret: Any
) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        (first,) = write(gateway)
        broken = rows(gateway)[first][:TAG_BYTES]
        damage = update(table).where(table.c.id == broken).values(seed=b"x" * 60)
        gateway.sequencer.commit((), (Effect(damage),))
    with Gateway.open(homes[0], secret) as gateway:
        index, other = write(gateway, 2)
        found = rows(gateway)
        assert found[index][:TAG_BYTES] == found[other][:TAG_BYTES] != broken
        tag = followed(gateway)
        with pytest.raises(InternalError, match="detail_periods"):
            resealed(gateway)
        assert left(gateway, tag) == 1


def test_a_turn_costs_a_row_where_nothing_was_shredded(gateway: Gateway) -> None:
    write(gateway, 30)
    before = rows(gateway)
    tag = followed(gateway)
    size = gateway.sequencer.size
    resealed(gateway)

    after = rows(gateway)
    assert {index: after[index] for index in before} == before
    assert left(gateway, tag) == 0
    assert gateway.sequencer.size == size + 1  # the entry of one batch, people's prints among it


@pytest.mark.parametrize("window", [1, 7, 2000])
def test_what_shared_a_period_with_a_shredded_detail_leaves_it_and_opens_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(detail_periods, "WINDOW", window)
    monkeypatch.setattr(rounds, "BATCH", 5)
    mine = write(gateway, 12)
    old = rows(gateway)[mine[0]][:TAG_BYTES]
    shred(gateway, mine[3], mine[11])
    assert periods(gateway)[old].touched
    (later,) = write(gateway)
    assert rows(gateway)[later][:TAG_BYTES] != old  # nothing joins it any more
    before = sealed_keys(gateway)

    tag = followed(gateway)
    for _ in range(3):
        gateway.keys.reencryption.step()
        write(gateway)  # while it is under way
    resealed(gateway)

    assert old not in periods(gateway)
    assert not [each for each in rows(gateway).values() if each[:TAG_BYTES] == old]
    after = sealed_keys(gateway)
    assert {index: after[index] for index in before} == before
    assert left(gateway, tag) == 0


def test_a_period_that_was_deleted_is_a_fault_at_each_detail_that_went_with_it(
    gateway: Gateway,
) -> None:
    mine = write(gateway, 3)
    gateway.sequencer.commit((), (touch(detail_keys.c.idx == mine[1]),))
    followed(gateway)
    resealed(gateway)
    later = write(gateway, 2)
    assert self_check.verify_ledger(gateway.home).ok
    gone = rows(gateway)[later[0]][:TAG_BYTES]
    gateway.sequencer.commit((), (Effect(delete(table).where(table.c.id == gone)),))

    report = self_check.verify_ledger(gateway.home)

    lost = [index for index, stored in rows(gateway).items() if stored[:TAG_BYTES] == gone]
    assert set(later) <= set(lost)
    assert mine[0] not in lost
    faults = [each for each in report.findings if each.severity is Severity.FAULT]
    assert [each.index for each in faults] == sorted(lost)
    assert all("detail_periods" in each.text for each in faults)


@pytest.mark.parametrize("failing", range(4))
def test_a_commit_that_fails_once_on_the_way_out_of_a_period_loses_no_living_detail(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    monkeypatch.setattr(rounds, "BATCH", 5)
    mine = write(gateway, 12)
    shred(gateway, mine[0])
    before = sealed_keys(gateway)
    tag = followed(gateway)
    commit, tried = Sequencer.commit, 0

    def fail_once(*words: Any) -> Any:
        nonlocal tried
        tried += 1
        if tried == failing + 1:
            raise InternalError("a commit that cannot be applied")
        return commit(*words)

    monkeypatch.setattr(Sequencer, "commit", fail_once)
    with pytest.raises(InternalError, match="cannot be applied"):
        resealed(gateway)
    resealed(gateway)

    assert {index: sealed_keys(gateway)[index] for index in before} == before
    assert left(gateway, tag) == 0


def test_two_that_leave_periods_at_once_move_no_key_into_one_that_the_other_leaves(
    gateway: Gateway,
) -> None:
    """A lease keeps two processes apart; where it fails, the commit of the second is refused."""
    two, three = write(gateway, 2)
    for _ in range(2):  # so that the period of `later` is younger than the target
        shred(gateway, *write(gateway))
        followed(gateway)
        resealed(gateway)
    target = rows(gateway)[two][:TAG_BYTES]
    later = write(gateway, 3)
    shred(gateway, later[0])
    tag = followed(gateway)
    other = detail_periods.Survivors(gateway.keys.data_key, tag)
    with gateway.database.reader() as reader:
        moves = other.batch(reader, 500, milliseconds(gateway.clock()))
    assert moves
    shred(gateway, two)
    assert gateway.keys.reencryption.step()
    assert target not in periods(gateway)

    with pytest.raises(InternalError, match="next round"):
        gateway.sequencer.commit((), moves)

    resealed(gateway)
    assert {three, *later[1:]} <= sealed_keys(gateway).keys()
    assert left(gateway, tag) == 0


def test_a_detail_shredded_between_the_look_and_the_move_stays_shredded(gateway: Gateway) -> None:
    one, two, three = write(gateway, 3)
    shred(gateway, one)
    tag = followed(gateway)
    survivors = detail_periods.Survivors(gateway.keys.data_key, tag)
    with gateway.database.reader() as reader:
        effects = survivors.batch(reader, 500, 0)
    assert effects
    shred(gateway, two)

    gateway.sequencer.commit((), effects)

    assert not {one, two} & rows(gateway).keys()
    assert three in sealed_keys(gateway)


def test_a_key_that_no_period_opens_is_named_and_keeps_the_others_not_back_nor_the_period(
    gateway: Gateway,
) -> None:
    one, two, three = write(gateway, 3)
    old = rows(gateway)[one][:TAG_BYTES]
    shred(gateway, one)
    damage = update(detail_keys).where(detail_keys.c.idx == two).values(sealed_dek=old + b"x" * 90)
    gateway.sequencer.commit((), (Effect(damage),))
    tag = followed(gateway)

    with pytest.raises(InternalError, match=f"entry {two} "):
        resealed(gateway)

    assert rows(gateway)[three][:TAG_BYTES] != old
    assert left(gateway, tag) == 1
    assert old in periods(gateway)
    size = gateway.sequencer.size
    with pytest.raises(InternalError, match=f"entry {two} "):
        resealed(gateway)
    assert gateway.sequencer.size == size  # nothing moved: no entry says that something did


def test_keys_from_before_there_were_periods_open_and_are_sealed_once_more_with_the_next_data_key(
    tmp_path: Path, secret: Any
) -> None:
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    home = tmp_path / "can"
    with closing(sqlite3.connect(home / "store" / "passerelle.db")) as connection:
        told = connection.execute("SELECT idx, sealed_dek FROM detail_keys").fetchall()
        (made,) = connection.execute("SELECT MAX(time_ms) FROM leaves").fetchone()
    before = dict(told)
    back = utc_now() - moment(made) - timedelta(hours=1)

    with Gateway.open(home, secret, clock=lambda: utc_now() - back) as gateway:
        assert {index: rows(gateway)[index] for index in before} == before
        assert detail_periods.BEFORE in periods(gateway)
        tag = followed(gateway)
        old = [r.kid for r in gateway.keyset.records if r.state is KeyState.DEACTIVATED]
        assert old
        resealed(gateway)

        assert left(gateway, tag) == 0
        assert detail_periods.BEFORE not in periods(gateway)
        assert {len(each) for each in rows(gateway).values()} == {SEALED_KEY + SECOND_SEAL}
        found = sealed_keys(gateway)
        assert {index: found[index] for index in before} == before


def test_a_shredding_among_keys_from_before_there_were_periods_moves_those_of_its_span_alone_anew(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_periods, "SPAN", 10)
    monkeypatch.setattr(rounds, "BATCH", 4)
    mine = write(gateway, 40)
    before = {
        index: update(detail_keys).where(detail_keys.c.idx == index).values(sealed_dek=key)
        for index, key in sealed_keys(gateway).items()
    }
    marker = {"id": detail_periods.BEFORE, "seed": detail_periods.BEFORE, "first": 0, "begin_ms": 0}
    upgraded = delete(table), insert(table).values(**marker, moved=1, touched=1), *before.values()
    gateway.sequencer.commit((), tuple(map(Effect, upgraded)))
    followed(gateway)
    resealed(gateway)
    found = rows(gateway)
    spans: dict[bytes, set[int]] = {}
    for index in before:
        spans.setdefault(found[index][:TAG_BYTES], set()).add(index // 10)
    assert [len(each) for each in spans.values()] == [1] * len({index // 10 for index in before})
    shred(gateway, mine[20])

    followed(gateway)
    resealed(gateway)

    anew = {index for index, stored in rows(gateway).items() if found.get(index, stored) != stored}
    assert {index // 10 for index in anew} == {mine[20] // 10}
    assert {*before} - {mine[20]} <= sealed_keys(gateway).keys()


def test_a_bundle_holds_keys_as_the_auditor_opens_them(gateway: Gateway, tmp_path: Path) -> None:
    write(gateway, 3)
    with ledger_reading.read(gateway.home) as stored:
        stored.export(tmp_path / "b", since=None, reason="t", now=utc_now())
    folder = gateway.home / "auditor"
    custody = FileCustody.open(folder / "kek.json", b"the auditor's own")
    key = Keyset.load(folder / "keyset.json", custody).audit_ring()

    with Archive.open(tmp_path / "b") as volume:
        assert verify_archive(volume, own_bundle(gateway.home).log).ok
        opened = [
            open_detail(decode(held.leaf), held.ciphertext, held.sealed_dek, key)
            for held in volume.held()
            if held.ciphertext and held.sealed_dek
        ]
    assert len(opened) == len(rows(gateway))


def test_a_reading_that_was_recorded_before_a_turn_is_asked_for_again(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Its keys would be handed out as nobody opens them, which an auditor takes for damage."""
    one, *_ = write(gateway, 3)
    before = ledger_reading.periods_of(gateway.home)
    shred(gateway, one)
    followed(gateway)
    resealed(gateway)

    with Stored(gateway.home, before) as stored:
        with pytest.raises(UserError, match="ask again"):
            list(stored.held())
        with pytest.raises(UserError, match="ask again"):
            stored.export(tmp_path / "b", since=None, reason="t", now=utc_now())
    assert not (tmp_path / "b").exists()


def test_a_reading_that_a_turn_overtakes_is_asked_for_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_ledger, "PAGE", 4)
    one, *_ = write(gateway, 12)
    shred(gateway, one)

    with ledger_reading.read(gateway.home) as stored:
        entries = stored.held()
        found = [next(entries)]
        followed(gateway)
        resealed(gateway)
        with pytest.raises(UserError, match="ask again"):
            found.extend(entries)
    assert {len(each.sealed_dek) for each in found if each.sealed_dek} <= {SEALED_KEY}


def test_a_damaged_key_keeps_no_bundle_back_and_is_found_in_it(
    gateway: Gateway, tmp_path: Path
) -> None:
    one, *_ = write(gateway, 3)
    stored = rows(gateway)[one]
    damaged = stored[:-1] + bytes([stored[-1] ^ 1])
    damage = update(detail_keys).where(detail_keys.c.idx == one).values(sealed_dek=damaged)
    gateway.sequencer.commit((), (Effect(damage),))
    with ledger_reading.read(gateway.home) as source:
        source.export(tmp_path / "b", since=None, reason="t", now=utc_now())

    with Archive.open(tmp_path / "b") as archive:
        findings = verify_archive(archive, own_bundle(gateway.home).log).findings
    assert [each.index for each in findings if each.severity is Severity.FAULT] == [one]
