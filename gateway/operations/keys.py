"""The operations on our keys (keys 4 to 7).

One person generates, publishes, promotes what every partner has seen, retires what has a successor, cancels, and stops
a key at once. Two promote what somebody has not seen, let a stopped key return, revoke, and destroy.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.operations.declaration import ALWAYS, Request, Role, argument, operation
from gateway.operations.forms import FLAG, REASON, number, octets, reason, text, valued
from keys.lifecycle import DESTRUCTION_WAIT, LIFETIMES, KeyKind

SEALING_KEY_BYTES: Final = 1216  # an X-Wing public key (draft-connolly-cfrg-xwing-kem)
SHORTEST_WAIT, LONGEST_WAIT = DESTRUCTION_WAIT.days, 30  # days (keys.md 7, the practice of AWS KMS)

OPERATORS: Final = frozenset({Role.OPERATOR})
READERS: Final = frozenset({Role.OPERATOR, Role.AUDITOR})


def _kind() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        valued(KeyKind),
        help="KEM, SIGNING, LOG, TLS_CA, TLS_LEAF, DATA; or DELEGATION, SNAPSHOT, TIMESTAMP,"
        " which the directory's root key holders then name.",
        metavar="KIND",
        positional=True,
    )


KEY: Final = text(
    r"[ -~]{1,200}",
    "8 to 64 hexadecimal digits of its id as `passerelle keys list` shows it, e.g. 3f9a01c2",
)


def _key() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        KEY,
        help="The key: the first digits of its id, 8 or more.",
        metavar="KEY",
        positional=True,
    )


@operation(
    "keys.list",
    roles=READERS,
    examples=("passerelle keys list can", "passerelle keys list can --json"),
)
class List(Request):
    """List our keys: what each is for, where it stands, when it ends, who has seen it, and what comes next.

    The column `seen` is about keys that partners must know: v7 is the version of our entry, or of our directory, that names
    the key first, and `not AUS` says that no message of AUS has named that version yet. A key is promoted when all have.

    Exit code 1 where a key in use has ended or ends so soon that somebody has to act now, and where nothing is
    answered for want of one; the orders that end that are named.
    """


@operation("keys.show", roles=READERS, examples=("passerelle keys show can 3f9a01c2",))
class Show(Request):
    """Show one key: its dates, why it stands where it stands, and which partners have seen it."""

    key: str = _key()


@operation(
    "keys.rotate",
    roles=OPERATORS,
    plans=True,
    examples=(
        "passerelle keys rotate can KEM --reason 'weekly'",
        "passerelle keys rotate can SIGNING --reason 'yearly' --dry-run",
    ),
)
class Rotate(Request):
    """Rotate a kind: make a key, publish it, and promote it once every partner was seen to know it.

    Where some were not yet, they are named; an open gateway goes on by itself, or `passerelle keys promote` does.
    The predecessor is then deactivated. No query fails: what is under way is answered with the keys it began with.
    Run again, it goes on with the key that waits. Works while the gateway is stopped, also with ended keys.
    """

    kind: KeyKind = _kind()
    reason: str = reason()


@operation(
    "keys.generate",
    roles=OPERATORS,
    plans=True,
    examples=("passerelle keys generate can SIGNING --reason 'yearly'",),
)
class Generate(Request):
    """Make a key of a kind, PREACTIVE: the first step of a rotation. An open gateway publishes it with its next round."""

    kind: KeyKind = _kind()
    reason: str = reason()


@operation("keys.publish", roles=OPERATORS, plans=True, examples=("passerelle keys publish can",))
class Publish(Request):
    """Publish our entry where it does not say yet which keys we have: its version grows by one."""

    reason: str = argument(REASON, default="")


@operation(
    "keys.promote",
    roles=OPERATORS,
    two_persons="with --override",
    plans=True,
    examples=(
        "passerelle keys promote can 3f9a01c2 --reason 'yearly'",
        "passerelle keys promote can 3f9a01c2 --override 'AUS is down for a week'   # two persons",
    ),
)
class Promote(Request):
    """Promote a key that every partner was seen to know: it is in use from then on."""

    key: str = _key()
    reason: str = reason()
    override: bool = argument(FLAG, default=False)


@operation(
    "keys.suspend",
    roles=OPERATORS,
    plans=True,
    stops=True,
    examples=("passerelle keys suspend can 3f9a01c2 --reason 'a laptop was stolen'",),
)
class Suspend(Request):
    """Stop a key at once, alone and loudly: it neither produces nor accepts, and leaves our entry.

    It is an ALARM. Where partners would know no other of its kind, a successor is made with it. Where nothing would be
    answered without it, that is said first, and asked.
    """

    key: str = _key()
    reason: str = reason()


@operation(
    "keys.resume",
    roles=OPERATORS,
    two_persons=ALWAYS,
    plans=True,
    examples=("passerelle keys resume can 3f9a01c2 --reason 'it was found'",),
)
class Resume(Request):
    """Let a suspended key return; two persons."""

    key: str = _key()
    reason: str = reason()


@operation(
    "keys.deactivate",
    roles=OPERATORS,
    two_persons="of a suspended key",
    plans=True,
    examples=("passerelle keys deactivate can 3f9a01c2 --reason 'succeeded'",),
)
class Deactivate(Request):
    """Deactivate a key that has a successor. What only produced loses its private half at once.

    A KEM key opens for 48 hours more, and is destroyed after that by the schedule.
    """

    key: str = _key()
    reason: str = reason()


@operation(
    "keys.revoke",
    roles=OPERATORS,
    two_persons=ALWAYS,
    plans=True,
    examples=("passerelle keys revoke can 3f9a01c2 --reason 'the thief had it'",),
)
class Revoke(Request):
    """Declare a key COMPROMISED, for ever; two persons. To stop it at once, suspend it first."""

    key: str = _key()
    reason: str = reason()


@operation(
    "keys.destroy",
    roles=OPERATORS,
    two_persons="of any but a KEM key that was deactivated",
    plans=True,
    examples=(
        "passerelle keys destroy can 3f9a01c2 --reason 'retired last year' --after 14",
        "passerelle keys destroy can 3f9a01c2 --reason 'retired last year' --dry-run",
    ),
)
class Destroy(Request):
    """Destroy a key for ever; two persons. Long-lived keys wait first, and one person can cancel that."""

    key: str = _key()
    reason: str = reason()
    days: int = argument(
        number(SHORTEST_WAIT, LONGEST_WAIT),
        default=SHORTEST_WAIT,
        help="How long one person can cancel it.",
        metavar="DAYS",
        option=("--after",),
    )


@operation(
    "keys.cancel",
    roles=OPERATORS,
    plans=True,
    examples=("passerelle keys cancel can 3f9a01c2 --reason 'still needed'",),
)
class Cancel(Request):
    """Cancel a destruction that waits, or a rotation that was asked for; one person."""

    key: str = _key()
    reason: str = reason()


@operation(
    "keys.schedule",
    roles=OPERATORS,
    two_persons="of DATA keys",
    plans=True,
    examples=(
        "passerelle keys schedule can SIGNING on --every 335 --reason 'yearly'",
        "passerelle keys schedule can KEM off --reason 'a partner is moving'",
        "passerelle keys schedule can DATA on --every 7 --reason 'erasures end in every copy'   # two persons",
    ),
)
class Schedule(Request):
    """Have keys of a kind rotate by themselves, or not. KEM, TLS_LEAF and DATA do from the start.

    A DATA key whose period is over is destroyed when nothing is sealed with it any more: what was erased before is then
    unreadable in every copy of the database. Two persons decide that, and its end.
    """

    kind: KeyKind = _kind()
    on: bool = argument(FLAG)
    days: int = argument(
        number(0, max(each.days for each in LIFETIMES.values())),
        default=0,
        help="Length of a crypto-period; 0 leaves it as it is.",
        metavar="DAYS",
        option=("--every",),
    )
    reason: str = reason()


@operation(
    "keys.adopt",
    roles=OPERATORS,
    two_persons=ALWAYS,
    plans=True,
    command="keys set-auditor-key",
    examples=(
        "passerelle keys set-auditor-key can auditor.json --fingerprint 8c1e-… --reason 'the yearly renewal'",
    ),
)
class Adopt(Request):
    """Seal what is recorded from now on to the auditor's new key; two persons."""

    public: bytes = argument(octets(SEALING_KEY_BYTES))
    reason: str = reason()
