"""The examiners' operations: cases that wait, the lease of one, the verdict."""

from __future__ import annotations

from typing import Any, Final

from gateway.domain.person import Verdict
from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import PSEUDONYM, Paged, named, reason

_EXAMINERS: Final = frozenset({Role.EXAMINER})


def _case() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        PSEUDONYM, help="Name of the case, from `review list`.", metavar="CASE", positional=True
    )


@operation(
    "review.list",
    roles=_EXAMINERS | {Role.OPERATOR, Role.AUDITOR},
    examples=("passerelle review list can", "passerelle review list can --as p7 --json"),
)
class List(Paged):
    """List the cases that wait, the most urgent first; exit code 1 where one has less than a quarter of an hour."""


@operation(
    "review.lease",
    roles=_EXAMINERS,
    command="review show",
    examples=(
        "passerelle review show can R-0123456789abcdef --as p7 --out overlay.svg",
        "passerelle review show can R-0123456789abcdef --as p7 --json",
    ),
)
class Lease(Request):
    """Take a case in hand for a quarter of an hour and look: what both show, of each modality, and what agrees; no score.

    Show it again to have it longer. Delete the pictures when you have decided.
    """

    case: str = _case()


@operation(
    "review.decide",
    roles=_EXAMINERS,
    examples=(
        "passerelle review decide can R-0123456789abcdef --as p7 --verdict SAME --reason '14 agree'",
    ),
)
class Decide(Request):
    """Give the verdict on a case in hand; the prints are destroyed with the last one.

    Where the agreement asks for two persons, the second is not told what the first said.
    """

    case: str = _case()
    verdict: Verdict = argument(
        named(Verdict), help="SAME, DIFFERENT or INCONCLUSIVE.", metavar="WORD"
    )
    reason: str = reason(metavar="")


@operation(
    "review.release",
    roles=_EXAMINERS,
    examples=("passerelle review release can R-0123456789abcdef --as p7",),
)
class Release(Request):
    """Lay a case down again without a verdict, for somebody else."""

    case: str = _case()
