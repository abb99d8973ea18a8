"""The operations of auditors: what they read, with the reason, and what they state of a period."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import MOMENT, PARTY, TRANSACTION, number, reason, text

_AUDITORS: Final = frozenset({Role.AUDITOR})
_COUNT: Final = number(0, 2**53)


def _day() -> Any:  # noqa: ANN401 - as `argument`
    return argument(text(r"[!-~][ -~]{0,199}", "a day as it was typed, e.g. 2026-03-01"))


@operation("audit.transaction", roles=_AUDITORS, command="")
class Transaction(Request):
    """Read the entries of one exchange, still sealed."""

    transaction: str = argument(TRANSACTION)
    partner: str = argument(PARTY, default="")
    reason: str = reason()


@operation("audit.queries", roles=_AUDITORS, command="")
class Queries(Request):
    """Read the entries of all queries since a moment, still sealed, page after page."""

    since: datetime = argument(replace(MOMENT, missing="say from when on"))
    after: int = argument(number(-1, 2**62), default=-1)
    reason: str = reason()


@operation("audit.read", roles=_AUDITORS, command="")
class Read(Request):
    """Record that the ledger is read for a question; the rows are then read on the same machine."""

    question: str = argument(
        text(r"[!-~][ -~]{0,199}", "the command as it was typed, at most 200 characters")
    )
    reason: str = reason()


@operation("audit.stated", roles=_AUDITORS, command="")
class State(Request):
    """Record what we state to a partner: the entry's receipt is what makes the statement ours."""

    partner: str = argument(PARTY)
    digest: str = argument(text(r"[0-9a-f]{64}", "64 hexadecimal digits of a SHA-256"))
    since: str = _day()
    until: str = _day()
    count: int = argument(_COUNT)


@operation("audit.reconciled", roles=_AUDITORS, command="")
class Reconcile(Request):
    """Record that a period was compared with what a partner states, and how it came out."""

    partner: str = argument(PARTY)
    since: str = _day()
    until: str = _day()
    compared: int = argument(_COUNT)
    missing_here: int = argument(_COUNT)
    missing_there: int = argument(_COUNT)
    differing: int = argument(_COUNT)
