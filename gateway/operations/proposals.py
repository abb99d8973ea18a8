"""The operations on what one person proposed and another approves; whose role allows an operation may do both (keys 7)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from gateway.operations.declaration import Request, Role, argument, operation
from gateway.operations.forms import FLAG, MAPPING, Paged, number, octets, reason, text
from keys.approval import LONGEST, MAX_TEXT

SIGNATURE_BYTES: Final = 3373  # an ML-DSA-65 and an Ed25519 signature
MOST_MINUTES: Final = LONGEST // timedelta(minutes=1)

_EVERYBODY: Final = frozenset(Role)


def _id() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        text(
            r"P-[0-9a-f]{16}",
            "P- and 16 digits as `passerelle proposals list` shows it, e.g. P-5d2e0c6a9b1f4e37",
        ),
        help="The proposal, P-….",
        metavar="ID",
        positional=True,
    )


@operation("proposals.draft", roles=_EVERYBODY, command="")
class Draft(Request):
    """Write what would be asked, bound to the state now, and say what it would do."""

    action: str = argument(
        text(r"[a-z]{1,32}\.[a-z-]{1,32}", "an operation that takes two persons, e.g. keys.promote")
    )
    values: dict[str, object] = argument(MAPPING)
    minutes: int = argument(number(1, MOST_MINUTES), default=MOST_MINUTES)


@operation("proposals.submit", roles=_EVERYBODY, command="")
class Submit(Request):
    """Hand in a draft under its proposer's own signature; it waits for another person from then on."""

    text: str = argument(
        text(
            rf"[\x20-\x7e]{{2,{MAX_TEXT}}}",
            "the text as the gateway drafted it, unaltered",
        )
    )
    signature: bytes = argument(octets(SIGNATURE_BYTES))


@operation(
    "proposals.list",
    roles=_EVERYBODY,
    examples=("passerelle proposals list can", "passerelle proposals list can --all"),
)
class List(Paged):
    """List what waits for a second person.

    Exit code 1 where something does.
    """

    all: bool = argument(FLAG, default=False, help="Those too that were decided.")


@operation(
    "proposals.show",
    roles=_EVERYBODY,
    examples=("passerelle proposals show can P-0123456789abcdef",),
)
class Show(Request):
    """Show what was proposed, word for word, what it would do, and whether it could be approved now."""

    id: str = _id()


@operation(
    "proposals.approve",
    roles=_EVERYBODY,
    examples=("passerelle proposals approve can P-0123456789abcdef --as p2",),
)
class Approve(Request):
    """Approve what another person proposed; it is done at once. Shows it first, and asks.

    Nobody approves their own proposal, by whichever key. An approval counts for the words that were shown and for the
    state that they were proposed in; whatever changed since, it is refused.
    """

    id: str = _id()
    signature: bytes = argument(octets(SIGNATURE_BYTES))


@operation(
    "proposals.reject",
    roles=_EVERYBODY,
    examples=("passerelle proposals reject can P-0123456789abcdef --reason 'not agreed' --as p2",),
)
class Reject(Request):
    """Reject what another person proposed."""

    id: str = _id()
    reason: str = reason()
    signature: bytes = argument(octets(SIGNATURE_BYTES))


@operation(
    "proposals.withdraw",
    roles=_EVERYBODY,
    examples=("passerelle proposals withdraw can P-0123456789abcdef",),
)
class Withdraw(Request):
    """Take back what you proposed yourself."""

    id: str = _id()
