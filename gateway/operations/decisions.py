"""The operations on decisions: what an official refuses a partner of a person, and on which ground."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.person import FieldCode, Ground, Scope
from gateway.errors import UserError
from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import (
    FILE_NUMBER,
    FLAG,
    PARTY,
    Paged,
    named,
    reason,
    several,
    text,
)

_CASEWORKERS: Final = frozenset({Role.CASEWORKER})


def _reason() -> Any:  # noqa: ANN401 - as `argument`
    return reason(help="Why, in a sentence; it goes into the ledger, sealed.")


@operation(
    "decision.refuse",
    roles=_CASEWORKERS,
    command="decisions refuse",
    examples=(
        "passerelle decisions refuse can --subject 1024-77 --ground NATIONAL_SECURITY --reason 'file 12'",
        (
            "passerelle decisions refuse can --subject 1024-77 --partner AUS --field PHOTOGRAPH"
            " --ground PUBLIC_POLICY --reason 'file 13'"
        ),
    ),
)
class Refuse(Request):
    """Refuse all, or the fields that are named, on one of the five grounds (IRPR 315.25(4), 315.41(3)).

    For a caseworker. It holds from now on until it is lifted; what was disclosed before stays disclosed.
    """

    person: str = argument(
        FILE_NUMBER,
        help="The person, by file number.",
        metavar="FILE-NUMBER",
        option=("--subject", "--person"),
    )
    scope: Scope = argument(named(Scope))
    ground: Ground = argument(
        named(Ground), help=f"One of {', '.join(Ground.__members__)}.", metavar="GROUND"
    )
    reason: str = _reason()
    partner: str = argument(
        PARTY, default="", help="The partner; without it, every partner.", metavar="ID"
    )
    fields: tuple[FieldCode, ...] = argument(
        several(FieldCode),
        default=(),
        help="A field that is refused; without any, all is refused.",
        metavar="FIELD",
        option=("--field",),
    )
    terms: str = argument(
        text(
            r"[^\x00-\x1f\x7f]{1,300}",
            "at most 300 printable characters, as the partner will read them",
        ),
        default="",
        help="Terms on which it may be had all the same, where the agreement knows terms.",
        metavar="WORDS",
    )

    def __post_init__(self) -> None:
        """Refuse a scope that the fields belie."""
        if (self.scope is Scope.PART) != bool(self.fields):
            raise UserError("fields: name them where the scope is PART, and none where it is ALL")


@operation(
    "decision.lift",
    roles=_CASEWORKERS,
    command="decisions lift",
    examples=("passerelle decisions lift can R-0123456789abcdef --reason 'reviewed'",),
)
class Lift(Request):
    """Lift a decision: from now on the agreement alone says what may be disclosed."""

    decision: str = argument(
        text(
            r"R-[0-9a-f]{16}",
            "R- and 16 digits as `passerelle decisions list` shows it, e.g. R-5d2e0c6a9b1f4e37",
        ),
        help="The decision, R-….",
        metavar="DECISION",
        positional=True,
    )
    reason: str = _reason()


@operation(
    "decision.list",
    roles=frozenset({Role.CASEWORKER, Role.AUDITOR}),
    command="decisions list",
    examples=("passerelle decisions list can --subject 1024-77",),
)
class List(Paged):
    """List the decisions in force: whom they concern, what they refuse, on which ground, by whom."""

    person: str = argument(
        FILE_NUMBER,
        default="",
        help="Of this person alone.",
        metavar="FILE-NUMBER",
        option=("--subject", "--person"),
    )
    lifted: bool = argument(FLAG, default=False, help="Those too that were lifted.")
