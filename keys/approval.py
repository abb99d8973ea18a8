"""Two persons: what one proposes, word for word, and when another's approval of it counts (keys 7).

    proposal   canonical JSON: party, action, values, digest of the state it was made in, directory version,
               nonce, dates, proposer; signed under `passerelle/1/admin-proposal`
    approval   canonical JSON: SHA-256 of the proposal, approver, verdict; under `passerelle/1/admin-approval`

Persons are compared, never keys: two keys of one person are one person. An approval names the very bytes that
were proposed, so nothing that differs from them can be done by it; and it counts only while everything that the
proposal was bound to is as it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from keys import strict_json
from keys.errors import IllegalTransition, KeysError
from keys.key_record import stamp

FORMAT = "passerelle/1/proposal"
VERDICT_FORMAT = "passerelle/1/approval"
LONGEST = timedelta(hours=1)  # keys 7: what nobody approved in an hour is proposed anew
SKEW = timedelta(minutes=2)  # protocol 4: how far two honest clocks may differ
NONCE_BYTES = 16
MAX_TEXT = 600_000  # bytes; the largest agreement file and its frame

# OverflowError: a time of the calendar's last hours, which no other zone can write
_UNREADABLE = (*(ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError),)
_ACTION = re.compile(r"[a-z]{1,32}\.[a-z-]{1,32}", re.ASCII)
_PERSON = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


class State(Enum):
    """The state of a proposal."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"  # and being done
    EXECUTED = "EXECUTED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


EDGES = frozenset(
    {
        (State.OPEN, State.APPROVED),
        (State.OPEN, State.REJECTED),
        (State.OPEN, State.WITHDRAWN),
        (State.OPEN, State.EXPIRED),
        (State.APPROVED, State.EXECUTED),
        (State.APPROVED, State.FAILED),
    }
)


def step(state: State, target: State) -> State:
    """Return `target` where the edge is drawn. Raises IllegalTransition everywhere else."""
    if (state, target) not in EDGES:
        raise IllegalTransition(f"a proposal does not go from {state.value} to {target.value}")
    return target


class Verdict(Enum):
    """What the second person says."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"


class MalformedProposal(KeysError):
    """Bytes that are no proposal, or not in canonical form."""

    def __init__(self) -> None:
        super().__init__("not a proposal as `passerelle proposals` writes it; draft it anew")


class ApprovalRefused(KeysError):
    """An approval does not count; `reason` is one of a closed list, and the message names the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody asks another to approve.

    values     the arguments of the act, as the canonical JSON of an object
    state      SHA-256 of what the act's outcome depends on, 64 hexadecimal digits
    version    of our own directory entry
    nonce      16 bytes in hexadecimal, so that the same wish twice is two proposals
    created, expires   UTC, whole milliseconds; at most an hour apart
    """

    party: str
    action: str
    values: str = field(repr=False)
    state: str
    version: int
    nonce: str
    created: datetime
    expires: datetime
    proposer: str

    def text(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical(
            {
                "format": FORMAT,
                "party": self.party,
                "action": self.action,
                "values": json.loads(self.values),
                "state": self.state,
                "version": self.version,
                "nonce": self.nonce,
                "created": stamp(self.created),
                "expires": stamp(self.expires),
                "proposer": self.proposer,
            }
        )

    @property
    def id(self) -> str:
        """The name by which people speak of it: P- and 16 digits of the digest of its bytes."""
        return f"P-{digest(self.text()).hex()[:16]}"

    @classmethod
    def parse(cls, octets: bytes) -> Proposal:
        """Return the proposal that `octets` spell, and no others. Raises MalformedProposal."""
        try:
            tree = strict_json.read(octets, MAX_TEXT)
            values, format_ = tree.pop("values"), tree.pop("format")
            created, expires = (datetime.fromisoformat(tree.pop(n)) for n in ("created", "expires"))
            made = cls(
                values=canonical(values).decode("ascii"), created=created, expires=expires, **tree
            )
            sound = (
                len(octets) <= MAX_TEXT
                and isinstance(values, dict)
                and format_ == FORMAT
                and made._shaped()
                and made.text() == octets
            )
        except _UNREADABLE:
            raise MalformedProposal from None
        if not sound:
            raise MalformedProposal
        return made

    def _shaped(self) -> bool:
        return (
            all(
                type(each) is str
                for each in (self.party, self.action, self.state, self.nonce, self.proposer)
            )
            and type(self.version) is int
            and self.version >= 0
            and bool(_ACTION.fullmatch(self.action) and _PERSON.fullmatch(self.proposer))
            and all(_HEX.fullmatch(text) for text in (self.state, self.nonce))
            and (len(self.state), len(self.nonce)) == (64, 2 * NONCE_BYTES)
            and timedelta(0) < self.expires - self.created <= LONGEST
        )


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The state when an approval comes; `people` are those in force who may take part in the act."""

    now: datetime
    party: str
    state: str
    version: int
    people: frozenset[str]


def approval_text(proposal: bytes, approver: str, verdict: Verdict) -> bytes:
    """Return the bytes by which `approver` answers the proposal of those bytes."""
    return canonical(
        {
            "format": VERDICT_FORMAT,
            "proposal": digest(proposal).hex(),
            "approver": approver,
            "verdict": verdict.value,
        }
    )


def demand_current(proposal: Proposal, found: Circumstances) -> None:
    """Refuse a proposal that is not of now: another party's, out of its time, or of a state that is past.

    Raises ApprovalRefused.
    """
    if proposal.party != found.party:
        raise ApprovalRefused("OTHER_PARTY", "this was proposed to another party")
    if proposal.created > found.now + SKEW:
        raise ApprovalRefused(
            "NOT_YET", "this was proposed at a time that has not come; set the clocks right"
        )
    if proposal.expires <= found.now:
        raise ApprovalRefused("EXPIRED", "nobody approved this in its time; propose it anew")
    if (proposal.state, proposal.version) != (found.state, found.version):
        raise ApprovalRefused(
            "STATE_CHANGED", "what this is about has changed since; look, then propose it anew"
        )


def demand_two(proposal: Proposal, approver: str, found: Circumstances) -> None:
    """Refuse an approval that is not a second person's, or while either may not take part (any more).

    Raises ApprovalRefused.
    """
    if approver == proposal.proposer:
        raise ApprovalRefused(
            "SAME_PERSON",
            "nobody approves their own proposal, by whichever key; ask another person",
        )
    if approver not in found.people:
        raise ApprovalRefused(
            "APPROVER_ROLE", "who approves needs a role that the operation asks for"
        )
    if proposal.proposer not in found.people:
        raise ApprovalRefused(
            "PROPOSER_GONE", "who proposed this may no longer; reject it, and propose it anew"
        )


def digest(octets: bytes) -> bytes:
    """Return SHA-256."""
    return hashlib.sha256(octets).digest()


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value: ASCII, names sorted, no space."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def state_digest(state: object) -> str:
    """Return what a proposal is bound to: SHA-256 of plain values, in hexadecimal."""
    return digest(canonical(state)).hex()
