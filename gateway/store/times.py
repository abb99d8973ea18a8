"""Moments as rows keep them, and the one clock that gives them: whole milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def utc_now() -> datetime:
    """Return the time in whole milliseconds; the only clock of the gateway."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds of an aware datetime, rounded down; integer arithmetic, no float."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(milliseconds: int) -> datetime:
    """Return the aware datetime of stored milliseconds."""
    return _EPOCH + milliseconds * _MILLISECOND
