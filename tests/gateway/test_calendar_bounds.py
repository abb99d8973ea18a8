"""The calendar of what others write, and everywhere that a time is read as text."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

import pytest
import typer

from gateway import calendar_bounds
from gateway.cli.audit import session
from gateway.cli.keys import compromised
from gateway.errors import UserError
from gateway.ledger.errors import NoteRefused
from gateway.ledger.signed_note import Checkpoint, KeyType, VerifierKey, sign_checkpoint, signed_at
from gateway.operations.forms import MOMENT
from gateway.subjects.record_row import BadRow, read_status
from keys.signatures import LogKey

MILLISECOND = timedelta(milliseconds=1)
LONGEST = timedelta(days=36_525)  # the longest that an agreement may keep anything
EDGES = (
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00+14:00",  # before the year 1 in UTC
    "1969-12-31T23:59:59.999+00:00",
    "1970-01-01T00:00:00+00:01",  # still 1969 in UTC
    "2200-01-01T00:00:00+00:00",
    "2199-12-31T23:00:00-02:00",  # 2200 in UTC
    "9999-12-31T23:59:59.999+00:00",
    "9999-12-31T23:59:59-14:00",  # beyond the year 9999 in UTC
)


def test_no_sum_of_a_time_of_ours_and_an_allowance_leaves_pythons_calendar() -> None:
    last = calendar_bounds.END - MILLISECOND

    assert (calendar_bounds.FIRST - LONGEST).year > MINYEAR
    assert (last + LONGEST).year < MAXYEAR
    assert calendar_bounds.of_seconds(0) == calendar_bounds.FIRST
    assert calendar_bounds.of_seconds(
        calendar_bounds.END_SECOND - 1
    ) == calendar_bounds.END - timedelta(seconds=1)


@pytest.mark.parametrize(
    "seconds", [-1, calendar_bounds.END_SECOND, 253_402_300_799, 2**63 - 1, -(2**63)]
)
def test_a_second_beyond_the_calendar_is_none(seconds: int) -> None:
    assert calendar_bounds.of_seconds(seconds) is None


def test_a_time_is_read_in_utc() -> None:
    assert calendar_bounds.read("2026-03-01T02:00:00+02:00") == datetime(2026, 3, 1, tzinfo=UTC)
    assert calendar_bounds.read("2026-03-01T02:00:00") is None
    assert calendar_bounds.read("yesterday") is None


@pytest.mark.parametrize("text", EDGES)
def test_a_time_at_the_edge_of_the_calendar_is_refused_wherever_it_is_read(text: str) -> None:
    """Arguments of operations, the table of people, and the command line; each names a remedy."""
    assert calendar_bounds.read(text) is None
    with pytest.raises(UserError, match="1970 to 2199"):
        MOMENT.read("since", text)
    with pytest.raises(BadRow):
        read_status({"status": "FOREIGN_NATIONAL", "confirmed": text}, datetime.now(UTC))
    with pytest.raises(typer.BadParameter, match="1970 to 2199"):
        compromised.moment(text)


@pytest.mark.parametrize("year", [1, 1969, 2200, 9999])
def test_a_day_at_the_edge_of_the_calendar_is_refused_by_every_command(year: int) -> None:
    with pytest.raises(UserError, match="1970 to 2199"):
        session.moment(datetime(year, 12, 31), end=True)  # noqa: DTZ001 - as typer hands it over


@pytest.mark.parametrize("seconds", [calendar_bounds.END_SECOND, 2**62, 2**64 - 1])
def test_a_ledger_that_signs_beyond_the_calendar_is_refused(seconds: int) -> None:
    """The structure that ML-DSA-44 signs has room for any 64 bits; who shows the time would fail."""
    key = LogKey.generate()
    log = "log"
    note = sign_checkpoint(Checkpoint(log, 1, bytes(32)), key, datetime(2026, 1, 1, tzinfo=UTC))
    vkey = VerifierKey(log, KeyType.MLDSA44, key.mldsa44_public)
    assert signed_at(note, vkey.format()) == 1_767_225_600

    forged = _restated(note, vkey, seconds)

    with pytest.raises(NoteRefused, match="1970 to 2199"):
        signed_at(forged, vkey.format())


def _restated(note: bytes, key: VerifierKey, seconds: int) -> bytes:
    from dataclasses import replace

    from gateway.ledger.signed_note import parse_note

    parsed = parse_note(note)
    lines = [
        replace(line, payload=seconds.to_bytes(8, "big") + line.payload[8:])
        if line.key_id == key.key_id
        else line
        for line in parsed.signatures
    ]
    return replace(parsed, signatures=tuple(lines)).format()
