"""The operations on suspected keys, ours and partners'."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from gateway.operations.declaration import ALWAYS, Request, argument, operation
from gateway.operations.forms import LONGEST_REASON, MOMENT, PARTY, Paged, reason, text
from gateway.operations.keys import KEY, OPERATORS, READERS

_SINCE: Final = replace(MOMENT, missing="the last moment at which the key was certainly ours alone")
_KNOWN: Final = text(
    rf"[^\x00-\x1f\x7f]{{1,{LONGEST_REASON}}}", f"at most {LONGEST_REASON} printable characters"
)
_KEY_HELP: Final = (
    "Its id, TLS pin or certificate serial number, or the first 8 or more digits of one; all 64 of the id where"
    " no bundle of the partner has it any more."
)
_THEIRS: Final = "The key is this partner's, not ours."


@operation(
    "keys.compromised",
    roles=OPERATORS,
    examples=(
        "passerelle keys compromised can 3fa1c2d4 --since 2026-03-01T12:00",
        "passerelle keys compromised can 9b04e1aa --since 2d --partner AUS --csv > tell-aus.csv",
    ),
)
class Compromised(Request):
    """Stop a suspected key at once, both ways, publish our entry without it, and list what it touched.

    One person may; given again it changes nothing and lists again. A key of ours is SUSPENDED, and its revocation
    is proposed: that it never returns, and that its successor signs, takes two persons. A partner's key (--partner)
    is refused from now on, whatever its bundles say. Where nothing would be answered without a key of ours, that is said
    first, and asked.

    Exit code 1: stopped here, but our entry could not be published.
    """

    key: str = argument(KEY, help=_KEY_HELP, metavar="KEY", positional=True)
    partner: str = argument(PARTY, default="", help=_THEIRS, metavar="ID")
    since: datetime = argument(_SINCE)
    reason: str = argument(
        _KNOWN,
        default="",
        help="What is known of it; it goes into the ledger.",
        metavar="WORDS",
    )


@operation(
    "keys.affected",
    roles=READERS,
    examples=("passerelle keys affected can 3fa1c2d4 --since 2026-03-01 --csv",),
)
class Affected(Paged):
    """List the entries of messages that a key signed, or that were sealed to it, and stop nothing."""

    key: str = argument(KEY, help=_KEY_HELP, metavar="KEY", positional=True)
    partner: str = argument(PARTY, default="", help=_THEIRS, metavar="ID")
    since: datetime = argument(_SINCE)


@operation(
    "keys.believe",
    roles=OPERATORS,
    two_persons=ALWAYS,
    command="keys unblock",
    examples=(
        "passerelle keys unblock can 9b04e1aa… --partner AUS --reason 'a false alarm, file 14'",
    ),
)
class Believe(Request):
    """Refuse a partner's key no longer, where it was a false alarm; two persons."""

    key: str = argument(
        KEY,
        help="8 or more digits of the partner's key id, pin or serial number.",
        metavar="KEY",
        positional=True,
    )
    partner: str = argument(PARTY, help="Whose key it is.", metavar="ID")
    reason: str = reason(help="Why; it goes into the ledger.")
