"""Every way to falsify a small ledger, and what the verifier says of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.entry import EntryType, encode
from gateway.ledger.merkle import EMPTY_ROOT, leaf_hash, root
from gateway.ledger.signed_note import Checkpoint, LogIdentity, parse_note, sign_checkpoint
from gateway.ledger.verify import MAX_FINDINGS, Finding, Place, Report, Severity, verify_log
from keys.signatures import LogKey

if TYPE_CHECKING:
    from conftest import Ledger, Words


def judged(ledger: Ledger) -> Report:
    return verify_log(ledger.leaves, ledger.notes, ledger.log, ledger.details.get)


def places(report: Report) -> list[tuple[Place, int]]:
    return [(finding.place, finding.index) for finding in report.findings]


def said(report: Report) -> str:
    return "\n".join(map(str, report.findings))


# --- what is whole ---


def test_an_honest_ledger_is_whole(ledger: Ledger) -> None:
    report = judged(ledger)

    assert report.ok
    assert report.findings == ()
    assert report.size == len(ledger.leaves) == 6
    assert report.root == root(map(leaf_hash, ledger.leaves))
    assert report.checkpoints == 5
    assert report.last is not None
    assert report.last.root == report.root


def test_a_ledger_is_read_once_and_as_it_comes(ledger: Ledger) -> None:
    report = verify_log(iter(ledger.leaves), iter(ledger.notes), ledger.log)

    assert report.ok


def test_nothing_is_not_whole(ledger: Ledger) -> None:
    """Empty sets refuse (style 2, rule 10)."""
    report = verify_log([], [], ledger.log)

    assert not report.ok
    assert "nothing to verify" in said(report)


def test_a_new_ledger_that_was_signed_empty_is_whole(empty_ledger: Ledger, words: Words) -> None:
    empty_ledger.notes.append(empty_ledger.sign())
    assert judged(empty_ledger).ok
    assert judged(empty_ledger).root == EMPTY_ROOT

    empty_ledger.commit(words.own())
    assert judged(empty_ledger).ok


def test_a_checkpoint_signed_again_is_no_fault(ledger: Ledger) -> None:
    ledger.now += timedelta(hours=1)
    ledger.notes.append(ledger.sign())

    assert judged(ledger).ok


def test_an_old_checkpoint_that_a_partner_held_fits_in(ledger: Ledger) -> None:
    ledger.notes.insert(3, ledger.sign(4))

    assert judged(ledger).ok


# --- leaves ---


@pytest.mark.parametrize(
    ("index", "before", "after"), [(0, 0, 1), (1, 1, 2), (2, 2, 4), (3, 2, 4), (4, 4, 5), (5, 5, 6)]
)
def test_every_flipped_byte_of_every_leaf_is_found_at_its_place(
    ledger: Ledger, index: int, before: int, after: int
) -> None:
    """One byte after the other; what is said names the leaf, or the leaves of its commit."""
    sizes = (1, 2, 4, 5, 6)
    notes = [
        note for note, size in zip(ledger.notes, sizes, strict=True) if size in {before, after}
    ]
    leaves = ledger.leaves[:after]

    for at, byte in enumerate(ledger.leaves[index]):
        leaves[index] = (
            ledger.leaves[index][:at] + bytes([byte ^ 1]) + ledger.leaves[index][at + 1 :]
        )
        report = verify_log(leaves, notes, ledger.log)
        assert not report.ok, at
        assert f"of the leaves {before} to {after - 1}, one was changed" in said(report), at


def test_a_changed_leaf_is_placed_in_the_commit_that_wrote_it(ledger: Ledger, words: Words) -> None:
    ledger.leaves[3] = encode(replace(words.response(), time=ledger.now, agreement_version=2))

    report = judged(ledger)

    assert (Place.LEAF, 2) in places(report)
    assert "of the leaves 2 to 3, one was changed, moved, dropped or added" in said(report)
    assert report.last is not None
    assert report.last.size == 2


@pytest.mark.parametrize("index", range(5))
def test_leaves_that_changed_places_are_found(ledger: Ledger, index: int) -> None:
    rows = ledger.leaves
    rows[index], rows[index + 1] = rows[index + 1], rows[index]

    report = judged(ledger)

    assert not report.ok
    assert "moved" in said(report)


@pytest.mark.parametrize("index", range(6))
def test_a_dropped_leaf_is_found(ledger: Ledger, index: int) -> None:
    del ledger.leaves[index]

    report = judged(ledger)

    assert not report.ok
    assert "the end was cut off" in said(report)


@pytest.mark.parametrize("index", range(6))
def test_a_doubled_leaf_is_found(ledger: Ledger, index: int) -> None:
    ledger.leaves.insert(index, ledger.leaves[index])

    report = judged(ledger)

    assert not report.ok
    assert (Place.LEDGER, 7) in places(report)


@pytest.mark.parametrize("kept", range(6))
def test_a_ledger_cut_off_before_its_last_checkpoint_is_found(ledger: Ledger, kept: int) -> None:
    del ledger.leaves[kept:]

    report = judged(ledger)

    assert not report.ok
    assert f"only {kept} are here: the end was cut off" in said(report)


def test_a_ledger_cut_off_with_its_checkpoints_is_found_by_one_that_a_partner_held(
    ledger: Ledger,
) -> None:
    held = ledger.notes[-1]
    del ledger.leaves[4:], ledger.notes[3:]
    assert judged(ledger).ok

    ledger.notes.append(held)

    assert not judged(ledger).ok
    assert (Place.CHECKPOINT, 3) in places(judged(ledger))


def test_leaves_that_nobody_signed_are_found(ledger: Ledger, words: Words) -> None:
    ledger.append(words.own(EntryType.STOP))

    report = judged(ledger)

    assert not report.ok
    assert "no valid checkpoint covers the leaves 6 to 6" in said(report)
    assert report.last is not None
    assert report.last.size == 6


def test_an_answer_that_nobody_signed_is_held_to_the_sequence_rules_all_the_same(
    ledger: Ledger, words: Words
) -> None:
    ledger.append(words.request(7))
    ledger.append(words.response(7))

    assert "leaf 6  a query was answered and its prints were never destroyed" in said(
        judged(ledger)
    )


def test_two_ledgers_spliced_are_found(ledger: Ledger, empty_ledger: Ledger, words: Words) -> None:
    empty_ledger.commit(words.own())
    empty_ledger.exchange(3)
    empty_ledger.exchange(4)
    ledger.leaves[3:] = empty_ledger.leaves[3:]
    ledger.notes[2:] = empty_ledger.notes[2:]

    assert not judged(ledger).ok


def test_time_that_falls_is_found(empty_ledger: Ledger, words: Words) -> None:
    """A gateway that turns back its clock signs what it did, and is found all the same."""
    empty_ledger.commit(words.own())
    empty_ledger.now -= timedelta(milliseconds=1001)
    empty_ledger.commit(words.own(EntryType.STOP))

    report = judged(empty_ledger)

    assert places(report) == [(Place.LEAF, 1)]
    assert "older than the one before" in said(report)


def test_a_leaf_that_the_gateway_signed_malformed_is_found(ledger: Ledger) -> None:
    ledger.leaves.append(bytes(512))
    checkpoint = Checkpoint(ledger.origin, 7, root(map(leaf_hash, ledger.leaves)))
    ledger.notes.append(sign_checkpoint(checkpoint, ledger.key, ledger.now))

    report = judged(ledger)

    assert places(report) == [(Place.LEAF, 6)]
    assert "malformed" in said(report)


# --- checkpoints ---


def test_every_flipped_byte_of_a_checkpoint_is_found_at_its_place(ledger: Ledger) -> None:
    """The middle one, so that those around it still hold."""
    number, (leaves, notes) = 1, (ledger.leaves[:4], ledger.notes[:3])
    for at in range(0, len(notes[number]), 7):
        damaged = list(notes)
        damaged[number] = (
            notes[number][:at] + bytes([notes[number][at] ^ 1]) + notes[number][at + 1 :]
        )
        report = verify_log(leaves, damaged, ledger.log)
        assert not report.ok, at
        assert (Place.CHECKPOINT, number) in places(report)


def test_a_checkpoint_with_one_signature_is_found(ledger: Ledger) -> None:
    """The Ed25519 forger's note carries a root of the forger's choice; alone it counts for nothing."""
    note = parse_note(ledger.notes[-1])
    for kept in (0, 1):
        ledger.notes[-1] = replace(note, signatures=(note.signatures[kept],)).format()
        report = judged(ledger)
        assert places(report) == [(Place.CHECKPOINT, 4), (Place.LEDGER, 6)]


def test_a_history_signed_anew_by_another_key_is_found(ledger: Ledger) -> None:
    identity = ledger.log
    ledger.key = LogKey.from_seed(bytes(64))
    ledger.notes = [ledger.sign(size) for size in (1, 2, 4, 5, 6)]
    assert judged(ledger).ok

    report = verify_log(ledger.leaves, ledger.notes, identity)

    assert not report.ok
    assert report.last is None
    assert places(report) == [*((Place.CHECKPOINT, at) for at in range(5)), (Place.LEDGER, 6)]


def test_checkpoints_of_another_epoch_are_found(ledger: Ledger) -> None:
    other = LogIdentity.from_log_key(ledger.origin + "/2", ledger.key)

    assert not verify_log(ledger.leaves, ledger.notes, other).ok


@pytest.mark.parametrize("number", range(4))
def test_checkpoints_out_of_order_are_found(ledger: Ledger, number: int) -> None:
    notes = ledger.notes
    notes[number], notes[number + 1] = notes[number + 1], notes[number]

    report = judged(ledger)

    assert not report.ok
    assert (Place.CHECKPOINT, number + 1) in places(report)
    assert "smaller than the one before" in said(report)


def test_checkpoints_beyond_the_end_keep_their_order(ledger: Ledger) -> None:
    del ledger.leaves[2:]
    ledger.notes[2:] = [ledger.notes[4], ledger.notes[3]]

    report = judged(ledger)

    assert places(report)[:2] == [(Place.CHECKPOINT, 2), (Place.CHECKPOINT, 3)]
    assert "smaller" in said(report)


def test_a_fork_that_the_gateway_signed_is_found(ledger: Ledger) -> None:
    """Both keys, one log, one size, two roots: the gateway shows two histories."""
    fork = Checkpoint(ledger.origin, 4, bytes(32))
    ledger.notes.insert(3, sign_checkpoint(fork, ledger.key, ledger.now))

    report = judged(ledger)

    assert not report.ok
    assert "what was signed is not what is here" in said(report)
    assert report.last is not None
    assert report.last.size == 6


def test_a_fault_of_the_past_is_told_once(ledger: Ledger) -> None:
    ledger.leaves[0] = ledger.leaves[1]

    told = [f for f in judged(ledger).findings if "what was signed" in f.text]

    assert len(told) == 1
    assert told[0].index == 0


# --- details ---


def test_every_flipped_byte_of_a_detail_is_found_at_its_leaf(ledger: Ledger) -> None:
    index = max(ledger.details)
    sealed = ledger.details[index]
    for at in range(0, len(sealed), 101):
        ledger.details[index] = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert places(judged(ledger)) == [(Place.LEAF, index)]


def test_a_missing_or_foreign_or_uncalled_for_detail_is_found(ledger: Ledger) -> None:
    del ledger.details[1]
    ledger.details[3] = ledger.details[2]
    ledger.details[0] = b"more"

    report = judged(ledger)

    assert places(report) == [(Place.LEAF, 0), (Place.LEAF, 1), (Place.LEAF, 3)]
    assert "missing" in said(report)


def test_without_the_details_the_rest_is_still_verified(ledger: Ledger) -> None:
    ledger.details.clear()

    assert verify_log(ledger.leaves, ledger.notes, ledger.log).ok
    assert not judged(ledger).ok


# --- the report ---


def test_a_flood_of_findings_is_counted_and_not_kept(ledger: Ledger) -> None:
    report = verify_log([b"row"] * (MAX_FINDINGS + 5), [], ledger.log)

    assert not report.ok
    assert len(report.findings) == MAX_FINDINGS
    assert report.omitted == 6


def test_a_finding_reads_as_a_line() -> None:
    fault, notice = Severity.FAULT, Severity.NOTICE

    assert str(Finding(fault, 3, "it is so")) == "fault  leaf 3  it is so"
    assert str(Finding(notice, 0, "it is so", Place.LEDGER)) == "notice  ledger  it is so"


def test_a_notice_alone_leaves_the_ledger_whole(ledger: Ledger, words: Words) -> None:
    ledger.commit(words.request(9))

    report = judged(ledger)

    assert report.ok
    assert [f.severity for f in report.findings] == [Severity.NOTICE]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=20) | st.binary(min_size=512, max_size=512), max_size=4),
    st.lists(st.binary(max_size=80), max_size=3),
)
def test_no_rows_bring_down_the_verifier(leaves: list[bytes], notes: list[bytes]) -> None:
    log = LogIdentity.from_log_key("log", LogKey.from_seed(bytes(64)))

    assert not verify_log(leaves, notes, log).ok


def test_an_auditors_laptop_needs_no_gateway() -> None:
    """`gateway.ledger` imports neither grpc nor numpy nor SQL (ledger 1, 7)."""
    code = (
        "import sys, gateway.ledger.verify;"
        "print(sorted({'grpc', 'numpy', 'sqlalchemy', 'matcher', 'pydantic'} & set(sys.modules)))"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
