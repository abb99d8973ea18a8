"""The calendar of what others write: 1970 to 2199, UTC.

Python's calendar ends with the year 9999 and begins with the year 1, and a sum that leaves it raises
OverflowError, which is no refusal. Whatever names a time from outside (a message, a bundle, an agreement, a
table, a command line) is held against this range first. Our longest allowance is a century, so no sum of a
time and an allowance of ours leaves Python's calendar.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)  # protobuf's epoch and that of stored milliseconds
END: Final = datetime(
    2200, 1, 1, tzinfo=UTC
)  # no longer in it; after every key and every retention
END_SECOND: Final = 7_258_118_400  # seconds since 1970 of END
RULE: Final = f"a time of the years {FIRST.year} to {END.year - 1}"


def sound(moment: datetime) -> bool:
    """Return whether an aware time is of this calendar."""
    return FIRST <= moment < END


def read(text: str) -> datetime | None:
    """Return a time of ISO 8601 with its zone, in UTC; None for any other text, and beyond this calendar."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or not sound(moment):
        return None
    return moment.astimezone(UTC)


def of_seconds(seconds: int) -> datetime | None:
    """Return the time so many seconds after 1970; None beyond this calendar."""
    return FIRST + timedelta(seconds=seconds) if 0 <= seconds < END_SECOND else None
