"""Which row of table 3.3 of law.md applies to a person, read from our own record and never from the asker's word."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum

from gateway.domain.person import Status, SubjectKind
from gateway.law.countries import NATIONALITIES, NONE, STATES, UNTOLD

UNSAID = "UNSAID"  # fact: a claimant of whom nobody said who persecutes them, nor that nobody does
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
    stateless person's too (XXA): who has none on record may be anybody's national, and so may whoever has one that is
    no code, or only codes that tell none (XXB: a refugee). So may a claimant who was not asked who persecutes them be
    somebody whom the partner persecutes.
    """
    if status.kind is SubjectKind.CITIZEN or status.nationalities.intersection(home):
        return Row.CITIZEN
    if not _reliable(status, oldest, now) or unanswered(status):
        return Row.UNKNOWN
    national = bool(status.nationalities.intersection(partner))
    if status.kind is SubjectKind.PERMANENT_RESIDENT:
        return Row.PARTNER_PERMANENT_RESIDENT if national else Row.PERMANENT_RESIDENT
    if national:
        return Row.PARTNER_NATIONAL
    return Row.CLAIMANT if status.kind is SubjectKind.CLAIMANT else Row.FOREIGN_NATIONAL


def _reliable(status: Status, oldest: timedelta, now: datetime) -> bool:
    """Return whether kind and nationalities are told, in codes that we know, and not too long ago."""
    fresh = status.confirmed is not None and -AHEAD <= now - status.confirmed <= oldest
    told = status.nationalities <= NATIONALITIES and bool(status.nationalities - UNTOLD)
    return fresh and told and status.kind is not SubjectKind.UNKNOWN


def unanswered(status: Status, *, claimant: bool = False) -> bool:
    """Return whether a claimant's countries of persecution are not known: none is named, nor that it is none said.

    claimant   whether a claim or application for protection is known of otherwise than by the status
    """
    claims = claimant or status.kind is SubjectKind.CLAIMANT
    return claims and not status.persecutors and not status.no_persecutor


def persecuted(status: Status, partner: Collection[str]) -> bool:
    """Return whether a person alleges persecution in the partner's country, or in one that no list has."""
    return not status.persecutors.isdisjoint(partner) or not status.persecutors <= STATES


def persecution_fact(status: Status) -> str:
    """Return as a fact what is known of a person's countries of persecution: codes, NONE, or UNSAID of a claimant."""
    if unanswered(status):
        return UNSAID
    return NONE if status.no_persecutor else ",".join(sorted(status.persecutors))


def read_persecution_fact(fact: str, kind: SubjectKind) -> tuple[frozenset[str], bool]:
    """Return from that fact the countries, and whether it was said that there are none.

    Entries of older releases have nothing where nothing was said, of a claimant too, and were decided as if none was.
    """
    if fact in {NONE, UNSAID}:
        return frozenset(), fact == NONE
    return frozenset(filter(None, fact.split(","))), not fact and kind is SubjectKind.CLAIMANT
