"""The operations on what is kept: its state, the erasure of what is due, and legal holds."""

from __future__ import annotations

from typing import Final

from gateway.domain.hold import HoldKind
from gateway.operations.declaration import ALWAYS, Form, Request, Role, argument, operation
from gateway.operations.forms import FLAG, Paged, number, reason, text, valued
from gateway.operations.keys import OPERATORS

MOST_BATCHES: Final = (
    500  # of a class at a time; 100,000 things, so that it ends before its caller's patience
)

_PLACERS: Final = frozenset({Role.OPERATOR, Role.CASEWORKER})
_READERS: Final = _PLACERS | {Role.AUDITOR}
_REFERENCE: Final = (
    "a file number of at most 64 letters, digits and . _ / -, e.g. F-2026/17; of a transaction PARTNER/NUMBER, of a"
    " partner its name"
)
# What a hold of each kind names; everything needs no name.
REFERENCES: Final[dict[HoldKind, Form[str]]] = {
    HoldKind.PERSON: text(r"[A-Za-z0-9._/-]{1,64}", _REFERENCE),
    HoldKind.TRANSACTION: text(r"[A-Z0-9-]{2,32}/[A-Za-z0-9-]{8,64}", _REFERENCE),
    HoldKind.PARTNER: text(r"[A-Z0-9-]{2,32}", _REFERENCE),
}


@operation(
    "retention.status",
    roles=_READERS,
    examples=("passerelle retention status can", "passerelle retention status can --json"),
)
class Status(Request):
    """Say by class what is kept, what is due, what is overdue, and what a hold keeps.

    Exit code 1 where something is overdue: then no query is answered until it is erased.
    """


@operation(
    "retention.run",
    roles=OPERATORS,
    examples=("passerelle retention run can --dry-run", "passerelle retention run can"),
)
class Run(Request):
    """Erase what is due now and nothing holds; each batch is one entry of the ledger.

    The gateway does the same every ten minutes while it serves. Interrupted, run it again: what was erased is
    erased, and nothing is half.

    Exit code 1 where something stays overdue.
    """

    batches: int = argument(number(1, MOST_BATCHES), default=50)


@operation(
    "hold.place",
    roles=_PLACERS,
    command="retention hold place",
    examples=(
        "passerelle retention hold place can --subject 1024-77 --reason 'access request 14'",
        "passerelle retention hold place can --transaction AUS/20260301-0123456789abcdef0123 --reason 'court file 9'",
        "passerelle retention hold place can --everything --reason 'inquiry'",
    ),
)
class Place(Request):
    """Hold something: nothing of it is erased until the hold is released.

    The prints of a query are no matter of holds: they are destroyed when the search is over (IRPR 315.43(2)).
    """

    kind: HoldKind = argument(valued(HoldKind))
    reference: str = argument(text(r"[A-Za-z0-9._/-]{1,97}", _REFERENCE), default="")
    reason: str = reason()


@operation(
    "hold.release",
    roles=OPERATORS,  # one operator adds a caseworker, two an operator: what takes two takes two operators
    two_persons=ALWAYS,
    command="retention hold release",
    examples=("passerelle retention hold release can H-0123456789abcdef --reason 'closed'",),
)
class Release(Request):
    """Release a hold: what it kept and is due goes with the next run. It takes two; this proposes it."""

    hold: str = argument(
        text(
            r"H-[0-9a-f]{16}",
            "H- and 16 digits as `passerelle retention hold list` shows it, e.g. H-5d2e0c6a9b1f4e37",
        ),
        help="The hold, H-….",
        metavar="HOLD",
        positional=True,
    )
    reason: str = reason()


@operation(
    "hold.list",
    roles=_READERS,
    command="retention hold list",
    examples=("passerelle retention hold list can --released",),
)
class Holds(Paged):
    """List the holds that stand: on what, since when, by whom and why."""

    released: bool = argument(FLAG, default=False, help="Those too that ended.")
