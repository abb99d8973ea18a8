"""What one of two parties never recorded is found, exactly, and nobody learns what the other recorded."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.auditor import statement_receipt
from gateway.auditor.reconcile import (
    EDGE_MS,
    Message,
    Part,
    Statement,
    StatementRefused,
    compare,
    state,
)
from gateway.cli.ledger import reconcile
from gateway.cli.main import app
from gateway.ledger.entry import decode
from gateway.trust.bundle import PartyBundle
from tests.gateway import ledger_reading

SINCE, UNTIL = 1_700_000_000_000, 1_700_086_400_000
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def message(number: int, *, time_ms: int | None = None, sure: bool = True) -> Message:
    middle = SINCE + EDGE_MS + number * 1000
    return Message(
        list(Part)[number % 3],
        "AUS" if number % 2 else "CAN",
        f"20260301-{number:020x}",
        number.to_bytes(16, "big"),
        bytes([number % 256]) * 32,
        middle if time_ms is None else time_ms,
        sure,
    )


def stated(messages: list[Message], us: str = "AUS", other: str = "CAN") -> Statement:
    salt = secrets.token_bytes(32)
    made = state(messages, us, other, (SINCE, UNTIL), salt=salt, made=NOW, checkpoint=b"")
    return Statement.parse(made.to_bytes())


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_what_either_side_lacks_is_found_exactly(
    ours: set[int], theirs: set[int], other_bytes: set[int]
) -> None:
    mine = [message(n) for n in sorted(ours)]
    said = [
        replace(message(n), transcript=b"x" * 32) if n in other_bytes else message(n)
        for n in sorted(theirs)
    ]

    found = compare(mine, "CAN", stated(said))

    assert [int(m.number[9:], 16) for m in found.only_here] == sorted(ours - theirs)
    assert [int(m.number[9:], 16) for m in found.differing] == sorted(ours & theirs & other_bytes)
    assert found.only_there == len(theirs - ours)
    assert found.both == len((ours & theirs) - other_bytes)
    assert found.clean is (not (ours ^ theirs) and not (ours & theirs & other_bytes))


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_what_was_sent_and_perhaps_never_came_is_no_finding(sent: set[int], came: set[int]) -> None:
    """Of what is not known to have come nothing is missing; what did come is held against it."""
    mine = [message(n, sure=False) for n in sorted(sent)]
    theirs = [message(n) for n in sorted(came)]

    found = compare(mine, "CAN", stated(theirs))
    told_again = {n for n in sent - came if message(n).part is Part.ANSWER}
    assert (found.only_here, found.unanswered) == ((), len(sent - came - told_again))
    assert found.only_there == len(came - sent)

    back = compare(theirs, "AUS", stated(mine, "CAN", "AUS"))
    assert {int(m.number[9:], 16) for m in back.only_here} == came - sent
    assert (back.only_there, back.both) == (0, len(came & sent))
    other_bytes = [replace(each, transcript=b"x" * 32) for each in mine]
    spoilt = compare(theirs, "AUS", stated(other_bytes, "CAN", "AUS"))
    assert {int(m.number[9:], 16) for m in spoilt.differing} == came & sent


def test_what_is_under_way_at_an_edge_is_no_finding() -> None:
    late, early = message(1, time_ms=UNTIL - 1), message(2, time_ms=SINCE + 1)

    found = compare([late, early, message(3)], "CAN", stated([message(3)]))

    assert found.clean
    assert found.edge == 2


def test_a_message_that_they_saw_just_before_the_end_is_ours_just_after() -> None:
    """Clocks differ: it lies in their period, and in ours no more."""
    theirs = message(1, time_ms=UNTIL - 10)

    assert compare([replace(theirs, time_ms=UNTIL + 10)], "CAN", stated([theirs])).clean


def test_a_letter_that_was_carried_over_the_edge_accuses_nobody() -> None:
    """Taken in one period, its answer lost, and answered in the next: both ledgers are right, in both periods."""
    here = replace(message(2), part=Part.CORRECTION, time_ms=UNTIL + 2 * EDGE_MS)
    there = replace(here, time_ms=UNTIL - 2 * EDGE_MS)

    assert compare([here], "CAN", stated([there])).clean
    seen = compare([there], "AUS", stated([here], "CAN", "AUS"))
    assert (seen.clean, seen.both) == (True, 1)
    opened = replace(here, sure=False, time_ms=SINCE - 2 * EDGE_MS)
    assert compare([there], "AUS", stated([opened], "CAN", "AUS")).clean


def test_what_only_they_have_at_an_edge_is_no_finding() -> None:
    """Whom we would ask to name it calls it an edge too."""
    lost = replace(message(1), part=Part.ANSWER, time_ms=UNTIL - EDGE_MS // 2)

    assert compare([], "CAN", stated([lost])).clean
    assert compare([lost], "AUS", stated([], "CAN", "AUS")).edge == 1


def test_a_statement_shows_nothing_of_what_it_states() -> None:
    one = message(1)
    octets = stated([one]).to_bytes()

    for secret in (
        one.number.encode(),
        one.message_id.hex().encode(),
        one.transcript.hex().encode(),
    ):
        assert secret not in octets


def test_two_statements_of_the_same_cannot_be_joined() -> None:
    first, second = stated([message(1)]), stated([message(1)])

    assert not first.rows & second.rows


def test_a_statement_for_somebody_else_is_refused() -> None:
    with pytest.raises(StatementRefused, match="not for CAN"):
        compare([], "CAN", stated([message(1)], us="AUS", other="NZL"))


def test_a_statement_that_the_ledger_did_not_sign_for_is_refused(archive: Any) -> None:
    log = PartyBundle.parse((archive.home / "party.json").read_bytes()).log
    with pytest.raises(StatementRefused, match="checkpoint"):
        stated([message(1)]).signed_size(log)


@given(st.binary(max_size=300) | st.just(b"[" * 5000))
def test_bytes_of_anybody_are_no_statement(octets: bytes) -> None:
    with pytest.raises(StatementRefused):
        Statement.parse(octets)


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_flipped_byte_is_no_statement_or_another(at: int, value: int) -> None:
    octets = bytearray(FIXED)
    octets[at % len(octets)] = value
    try:
        found = Statement.parse(bytes(octets))
    except StatementRefused:
        return
    assert found.to_bytes() == bytes(octets)


FIXED = stated([message(n, sure=n < 3) for n in range(5)]).to_bytes()


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


def refused(*words: object, why: str) -> bool:
    code, told = run(*words)
    assert (code, why in told["error"]["message"]) == (2, True), told
    return True


def test_a_gateway_and_a_party_that_recorded_nothing(
    archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The asker of this archive keeps no ledger of its own: every question of it is missing there."""
    now = datetime.now(UTC)
    # What lies near an end of the period is in doubt, and it may be midnight.
    since, until = (f"{now + timedelta(days=days):%Y-%m-%d}" for days in (-1, 1))
    live = (
        *(archive.home, "--with", "AUS", "--reason", "a test"),
        *("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass"),
    )
    words = ("ledger", "reconcile", *live, "--since", since, "--until", until)

    assert refused(*words, "-o", tmp_path / "none", why="the period is not over")
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(reconcile, "_now", lambda: now + timedelta(days=2))
    code, told = run(*words, "-o", tmp_path / "can.statement")
    assert (code, told["questions"] >= 2) == (0, True), told
    mine = Statement.parse((tmp_path / "can.statement").read_bytes())
    empty = replace(mine, party="AUS", other="CAN", rows=frozenset(), made=mine.until)
    (tmp_path / "aus.statement").write_bytes(empty.to_bytes())
    words = ("ledger", "reconcile", *live)
    code, told = run(*words, "--against", tmp_path / "aus.statement")

    assert code == 1
    missing = {row["transaction"] for row in told["missing_there"]}
    late = told["at_the_edge"]
    assert {archive.matched, archive.unmatched} <= missing or late
    early = replace(empty, made=mine.since)
    (tmp_path / "early").write_bytes(early.to_bytes())
    assert refused(*words, "--against", tmp_path / "early", why="before its period ended")
    last_year = ("--since", "2025-01-01", "--against", tmp_path / "aus.statement")
    assert refused(*words, *last_year, why="of another period")


def test_a_statement_is_believed_by_the_receipt_of_its_ledger_alone(
    archive: Any, tmp_path: Path
) -> None:
    """A checkpoint is public: whoever has one could otherwise state anything in its owner's name."""
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    live = (
        *("--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass"),
        *("--reason", "a test", "--since", day, "--until", day),
    )
    file = tmp_path / "can.statement"
    code, _ = run("ledger", "reconcile", archive.home, "--with", "AUS", *live, "-o", file)
    assert code == 0
    party = ("--party", archive.home / "party.json")
    words = ("ledger", "reconcile", archive.root / "aus", "--with", "CAN", "--against", file)
    log = PartyBundle.parse((archive.home / "party.json").read_bytes()).log
    receipt, statement = tmp_path / "can.statement.receipt", file.read_bytes()
    said = receipt.read_bytes()
    now = datetime.now(UTC)

    assert statement_receipt.verify(said, statement, us="AUS", log=log, now=now) > 0
    for at in range(0, len(said), 3):
        spoilt = bytearray(said)
        spoilt[at] ^= 2
        with suppress(StatementRefused):
            # White space of the JSON is nobody's; all else is signed or refused.
            statement_receipt.verify(bytes(spoilt), statement, us="AUS", log=log, now=now)
            assert json.loads(spoilt) == json.loads(said), at
    forged = replace(Statement.parse(statement), rows=frozenset({(b"a" * 16, b"b" * 16)}))
    for us, octets, when in (
        ("NZL", statement, now),
        ("AUS", forged.to_bytes(), now),
        ("AUS", statement, now - timedelta(days=1)),
    ):
        with pytest.raises(StatementRefused, match="does not hold"):
            statement_receipt.verify(said, octets, us=us, log=log, now=when)
    file.write_bytes(forged.to_bytes())
    code, told = run(*words, *party)
    assert (code, "another statement" in told["error"]["message"]) == (2, True), told
    receipt.unlink()
    code, told = run(*words, *party)
    assert (code, "anybody could have made" in told["error"]["message"]) == (2, True), told


def test_a_bundle_that_begins_or_ends_within_the_period_is_no_half_answer(
    archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies before its first entry, or came after its last, would be told as never recorded."""
    now = datetime.now(UTC)
    with ledger_reading.read(archive.home) as stored:
        late = decode(list(stored.held())[-1].leaf).time
        stored.export(tmp_path / "late", since=late, reason="a test", now=now)

    monkeypatch.setattr(reconcile, "_now", lambda: now + timedelta(days=1))
    day = f"{now:%Y-%m-%d}"
    words = ("ledger", "reconcile", "--with", "AUS", "--since", day, "--until", day)
    for bundle, why in (
        (tmp_path / "late", "begins after the period"),
        (archive.bundle, "ends before the period"),
    ):
        assert refused(*words, "--bundle", bundle, "-o", tmp_path / "none", why=why)
    assert not (tmp_path / "none").exists()
    backwards = ("--since", day, "--until", "2026-01-01", "-o", tmp_path / "none")
    assert refused(*words[:4], *backwards, "--bundle", archive.bundle, why="before it begins")


@given(st.binary(max_size=300) | st.just(b"[" * 5000))
def test_bytes_of_anybody_are_no_receipt(octets: bytes) -> None:
    with pytest.raises(StatementRefused):
        statement_receipt.read(octets)
