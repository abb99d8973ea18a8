"""The operations on corrections: opened, listed, traced, settled, sent again."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.correction import CorrectionKind
from gateway.domain.person import FieldCode
from gateway.errors import UserError
from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import (
    FILE_NUMBER,
    FLAG,
    PARTY,
    PSEUDONYM,
    TRANSACTION,
    Paged,
    named,
    octets,
    reason,
    several,
)

IDENTIFIER_BYTES: Final = (
    16  # random, one for each recipient, so that two partners cannot compare them
)

_WHO: Final = frozenset({Role.CASEWORKER, Role.REGISTRAR})
_READERS: Final = _WHO | {Role.AUDITOR}


def _subject() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        FILE_NUMBER,
        default="",
        help="The person, by the local file number.",
        metavar="FILE-NUMBER",
    )


def _number() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        TRANSACTION, default="", help="One query, by its transaction number.", metavar="TXN"
    )


def _partner() -> Any:  # noqa: ANN401 - as `argument`
    return argument(PARTY, default="", help="This partner alone, e.g. AUS.", metavar="ID")


def _correction() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        octets(IDENTIFIER_BYTES),
        help="Identifier, from `corrections list`.",
        metavar="CORRECTION",
        positional=True,
    )


def _require_one(subject: str, number: str) -> None:
    if bool(subject) == bool(number):
        raise UserError("name either a subject by its file number or a query by its number")


@operation(
    "corrections.open",
    roles=_WHO,
    examples=(
        (
            "passerelle corrections open can --subject F-1234 --kind WRONG_VALUE --field DATE_OF_BIRTH"
            " --reason 'typed wrong at enrolment'"
        ),
        (
            "passerelle corrections open can --number 20260301-0123456789abcdef0123 --kind WRONG_PERSON"
            " --reason 'two files of two people were merged'"
        ),
    ),
)
class Open(Request):
    """Tell every partner that received it: one notice for each query, sent while the gateway serves.

    Right values are those of today's record; set that right first. A wrong value goes to everyone who got it; a wrong
    person or a withdrawal named by --number concerns that query alone.
    """

    kind: CorrectionKind = argument(
        named(CorrectionKind), help="WRONG_PERSON, WRONG_VALUE or WITHDRAWN.", metavar="KIND"
    )
    reason: str = reason(metavar="")
    subject: str = _subject()
    number: str = _number()
    partner: str = _partner()
    fields: tuple[FieldCode, ...] = argument(
        several(FieldCode),
        default=(),
        help="Only this field; may be repeated. Default: all.",
        metavar="FIELD",
        option=("--field",),
    )

    def __post_init__(self) -> None:
        """Refuse both a person and a query, and neither."""
        _require_one(self.subject, self.number)


@operation(
    "corrections.list",
    roles=_READERS,
    examples=("passerelle corrections list can --open", "passerelle corrections list can --json"),
)
class List(Paged):
    """List corrections, both ways; exit code 1 where one is late or refused."""

    partner: str = _partner()
    open: bool = argument(FLAG, default=False, help="Only those that are not yet acknowledged.")


@operation(
    "corrections.trace",
    roles=_READERS,
    examples=(
        "passerelle corrections trace can --subject F-1234",
        "passerelle corrections trace can --number 20260301-0123456789abcdef0123 --svg trace.svg",
    ),
)
class Trace(Paged):
    """Show where it went: person or query, disclosures, corrections, and who has acknowledged or is late."""

    subject: str = _subject()
    number: str = _number()

    def __post_init__(self) -> None:
        """Refuse both a person and a query, and neither."""
        _require_one(self.subject, self.number)


@operation(
    "corrections.settle",
    roles=frozenset({Role.CASEWORKER}),
    examples=(
        (
            "passerelle corrections settle can 00112233445566778899aabbccddeeff --used-in R-9"
            " --reason 'the visa was refused on it'"
        ),
        (
            "passerelle corrections settle can 00112233445566778899aabbccddeeff --not-used"
            " --reason 'looked at, and set aside'"
        ),
    ),
)
class Settle(Request):
    """Say of information that a partner corrected whether it was used; the duty is done and acknowledged.

    Used: it is kept with a note to file. Not used: it is destroyed, or replaced by the right values.
    """

    correction: bytes = _correction()
    reason: str = reason(metavar="")
    used_in: str = argument(
        PSEUDONYM,
        default="",
        help="The record whose decision used it.",
        metavar="RECORD",
    )
    not_used: bool = argument(FLAG, default=False, help="It was seen, and used in no decision.")

    def __post_init__(self) -> None:
        """Refuse that it was used and was not, and that neither is said."""
        if bool(self.used_in) == self.not_used:
            raise UserError("say either in which record it was used, or that it was not used")


@operation(
    "corrections.retry",
    roles=_WHO,
    examples=("passerelle corrections retry can 00112233445566778899aabbccddeeff",),
)
class Retry(Request):
    """Send again what the partner's gateway refused, after somebody spoke with the partner."""

    correction: bytes = _correction()
