"""The registrar's operations on what is held of people."""

from __future__ import annotations

from typing import Any, Final

from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import FILE_NUMBER, number, objects, reason

MOST_ROWS: Final = 500  # of one request; an admin message has at most a million bytes

_WRITERS: Final = frozenset({Role.REGISTRAR})


def _reference() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        FILE_NUMBER, help="The person's file number.", metavar="REFERENCE", positional=True
    )


def _reason() -> Any:  # noqa: ANN401 - as `argument`
    return reason(help="Why; it goes into the ledger.", metavar="TEXT")


@operation(
    "registry.import",
    roles=_WRITERS,
    examples=(
        "passerelle registry import can people.csv   # reference,status,nationalities,confirmed,LAST_NAME,…,PHOTOGRAPH",
        "passerelle registry import can people.jsonl --as ann --json",
    ),
)
class Import(Request):
    """Take in records, one a row; each bad row is named with its reason, the others are taken (exit code 1).

    A row states the whole record of its person; the same row again changes nothing. status is CITIZEN,
    PERMANENT_RESIDENT, FOREIGN_NATIONAL or CLAIMANT; nationalities are codes as passports have them, with spaces
    between; persecutors, likewise, are the countries in which the person alleges persecution, or NONE, and must be said
    of a claimant; confirmed is when the status was last confirmed, ISO 8601 with its zone, e.g. 2026-03-01T12:00:00Z, and now
    where it is left out. PHOTOGRAPH is the path of a JPEG or PNG below the file's folder, by no link. People may be enrolled before or after.
    """

    rows: tuple[dict[str, object], ...] = argument(objects(MOST_ROWS))


@operation(
    "registry.show",
    roles=_WRITERS | {Role.CASEWORKER},
    examples=("passerelle registry show can F-17 --reason 'access request 2026-31'",),
)
class Show(Request):
    """Show what is held of a person. Who looked, and why, is in the ledger before anything is shown."""

    reference: str = _reference()
    reason: str = _reason()


@operation(
    "registry.update",
    roles=_WRITERS,
    examples=(
        "passerelle registry update can F-17 --status CITIZEN --nationality CAN --nationality IND",
        'passerelle registry update can F-17 --data changed.json   # {"LAST_NAME": "…", "ALIAS": null}',
    ),
)
class Update(Request):
    """Change the record of a person from now on; what was not named stays, the version grows by one."""

    reference: str = _reference()
    changes: tuple[dict[str, object], ...] = argument(objects(1))


@operation(
    "registry.remove",
    roles=_WRITERS,
    examples=("passerelle registry remove can F-17 --reason 'order of 2026-03-01'",),
)
class Remove(Request):
    """Remove a person with prints and record; from then on nobody finds them. There is no way back."""

    reference: str = _reference()
    reason: str = _reason()


@operation(
    "registry.status",
    roles=_WRITERS | {Role.OPERATOR, Role.AUDITOR},
    examples=("passerelle registry status can",),
)
class Status(Request):
    """Count people by what they are to the law. Of whom nothing is known is never revealed to a partner."""


@operation(
    "registry.groups",
    roles=_WRITERS,
    examples=("passerelle registry groups can -o groups.csv --reason 'yearly audit, question 15'",),
)
class Groups(Request):
    """Write coarse groups of all people, by number: sex, age band, region; for `passerelle audit rates`.

    Neither names nor dates are in it. Hand it to the auditor, and have it destroyed after the audit. Who made it,
    and why, is in the ledger first.
    """

    after: int = argument(number(0, 2**63 - 1), default=0)
    reason: str = _reason()
