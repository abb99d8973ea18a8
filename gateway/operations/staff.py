"""The operations on our people: who is granted access, whose access is suspended or ends (keys 3, 7)."""

from __future__ import annotations

from typing import Any, Final

from gateway.operations.declaration import ALWAYS, Request, Role, argument, operation
from gateway.operations.forms import PSEUDONYM, Paged, number, octets, reason, words
from gateway.operations.keys import OPERATORS, READERS

TLS_KEY_BYTES: Final = 91  # SubjectPublicKeyInfo of a P-256 key (RFC 5480)
SIGNING_KEY_BYTES: Final = 1984  # an ML-DSA-65 and an Ed25519 public key
PROOF_BYTES: Final = 3437  # a composite signature, then r and s of ECDSA P-256
MOST_DAYS: Final = 90  # of an officer certificate (keys 3)

ROLES: Final = {role.value: role for role in Role}


def official(**said: Any) -> Any:  # noqa: ANN401 - as `argument`
    """Declare the person in question."""
    return argument(
        PSEUDONYM,
        **{
            "help": "The official's pseudonym, e.g. P-7; never a name.",
            "metavar": "ID",
            "option": ("--official", "--person"),
            **said,
        },
    )


@operation(
    "staff.add",
    roles=OPERATORS,
    two_persons="of an operator or an examiner",
    founds=True,
    examples=(
        "passerelle staff add can --request p7/request.json --role caseworker --as me",
        "passerelle staff add can --request p2/request.json --role operator --custody   # the second operator",
    ),
)
class Add(Request):
    """Grant access to a person who made the keys on their own machine: have our authority issue a certificate, of some roles.

    Have the person read out the fingerprint, and give them the certificate. Nobody adds or ends themselves. An operator or an examiner
    is granted access by two: this proposes it, and after another's approval `passerelle staff collect` writes the certificate.
    """

    person: str = argument(PSEUDONYM)
    public: bytes = argument(octets(TLS_KEY_BYTES))
    approving: bytes = argument(octets(SIGNING_KEY_BYTES))
    proof: bytes = argument(octets(PROOF_BYTES))
    roles: tuple[str, ...] = argument(
        words(ROLES),
        help="operator, registrar, caseworker, examiner or auditor; may be repeated.",
        metavar="ROLE",
        option=("--role",),
    )
    days: int = argument(
        number(1, MOST_DAYS), default=MOST_DAYS, help="How long the certificate lives."
    )


@operation(
    "staff.end",
    roles=OPERATORS,
    two_persons="of an operator",
    founds=True,
    examples=("passerelle staff end can --official P-7 --as me",),
)
class End(Request):
    """Revoke a person's access: every certificate of theirs ends at once, also in the middle of a connection."""

    person: str = official()


@operation(
    "staff.badge",
    roles=OPERATORS,
    command="staff collect",
    examples=(
        "passerelle staff collect can --request p8/request.json --as me   # after another operator approved it",
    ),
)
class Collect(Request):
    """Write the certificate of a person to whom two granted access; give it to the person."""

    public: bytes = argument(octets(TLS_KEY_BYTES))


@operation(
    "staff.suspend",
    roles=OPERATORS,
    examples=(
        "passerelle staff suspend can --official P-7 --reason 'certificate key lost on the train'",
    ),
)
class Suspend(Request):
    """Suspend a person's access at once, until two grant it again. One operator may; it is an ALARM."""

    person: str = official()
    reason: str = reason()


@operation(
    "staff.resume",
    roles=OPERATORS,
    two_persons=ALWAYS,
    examples=("passerelle staff resume can --official P-7 --reason 'found, never out of sight'",),
)
class Resume(Request):
    """Grant a suspended person access again; two operators do it, and this proposes it."""

    person: str = official()
    reason: str = reason()


@operation("staff.list", roles=READERS, examples=("passerelle staff list can",))
class List(Paged):
    """List who was granted access, with which roles, until when."""
