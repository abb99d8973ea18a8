"""Which row of table 3.3 of law.md a person stands in, read from our own record and never from the asker's word."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum

from gateway.casework import Status, SubjectKind

STATELESS = "XXA"  # ICAO Doc 9303-3: a person without a nationality
AHEAD = timedelta(days=1)  # a case system's clock, or its date of today in another time zone


class Row(Enum):
    """Who a person is between two parties."""

    CITIZEN = "citizen of the home country, dual citizens included"
    PERMANENT_RESIDENT = "permanent resident"
    PARTNER_PERMANENT_RESIDENT = "permanent resident who is a national of the partner's country"
    PARTNER_NATIONAL = "national or citizen of the partner's country"
    CLAIMANT = "foreign national who claims refugee protection in the home country"
    FOREIGN_NATIONAL = "any other foreign national"
    UNKNOWN = "status unknown, or too old to rely on"


def row_of(
    status: Status,
    home: Collection[str],
    partner: Collection[str],
    *,
    oldest: timedelta,
    now: datetime,
) -> Row:
    """Return the row of a person.

    home, partner   countries whose nationals are home's and the partner's
    oldest          how long after its confirmation a status may be relied on

    A nationality of the home country makes a citizen, whatever the stated kind. Nationalities must be stated, a
    stateless person's too (XXA): who has none on record may be anybody's national.
    """
    if status.kind is SubjectKind.CITIZEN or status.nationalities.intersection(home):
        return Row.CITIZEN
    if status.confirmed is None or not -AHEAD <= now - status.confirmed <= oldest:
        return Row.UNKNOWN
    if status.kind is SubjectKind.UNKNOWN or not status.nationalities:
        return Row.UNKNOWN
    national = bool(status.nationalities.intersection(partner))
    if status.kind is SubjectKind.PERMANENT_RESIDENT:
        return Row.PARTNER_PERMANENT_RESIDENT if national else Row.PERMANENT_RESIDENT
    if national:
        return Row.PARTNER_NATIONAL
    return Row.CLAIMANT if status.kind is SubjectKind.CLAIMANT else Row.FOREIGN_NATIONAL
