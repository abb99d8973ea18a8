"""What witnesses say of one ledger, counted by whoever reads it: from a bundle, or from rows.

A cosigned note counts where it says what the ledger's own checkpoint of that size says. That those checkpoints are of one
tree is what `gateway.ledger.verify` shows; here they are only held against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.ledger.errors import AuditFault
from gateway.ledger.signed_note import Checkpoint, LogIdentity, parse_note
from gateway.ledger.verify import Finding, Place, Severity
from gateway.ledger.witness_policy import Policy


@dataclass(frozen=True, slots=True)
class Count:
    """Up to which size the quorum has cosigned, and each witness of the policy; 0 where it never did."""

    reached: int
    witnesses: tuple[tuple[str, int], ...]


def astray(
    notes: Iterable[bytes], cosigned: Iterable[bytes], log: LogIdentity
) -> Iterator[Finding]:
    """Yield what witnesses signed that is not this ledger's own checkpoint of that size."""
    said = [_opened(note, log) for note in cosigned]
    if not said:
        return
    own = _roots(notes, {each.size for each in said if each is not None})
    for each in said:
        if each is None:
            yield _fault(0, "a cosigned note is no checkpoint under both keys of this ledger")
        elif own.get(each.size) != each.root:
            text = f"a witness cosigned another tree of {each.size} entries than the ledger shows"
            yield _fault(max(0, each.size - 1), text)


def count(
    notes: Iterable[bytes], cosigned: Iterable[bytes], log: LogIdentity, policy: Policy
) -> Count:
    """Return what the quorum of a policy has cosigned; what is astray counts for nothing."""
    said = [(note, each) for note in cosigned if (each := _opened(note, log)) is not None]
    own = _roots(notes, {each.size for _, each in said})
    true = [(note, each.size) for note, each in said if own.get(each.size) == each.root]
    sizes = dict.fromkeys(policy.witnesses, 0)
    for note, size in true:
        for name in policy.cosigned(note):
            sizes[name] = max(sizes[name], size)
    return Count(policy.reached(note for note, _ in true), tuple(sizes.items()))


def _roots(notes: Iterable[bytes], wanted: set[int]) -> dict[int, bytes]:
    """Return the roots of these sizes, out of checkpoints as they are stored."""
    found: dict[int, bytes] = {}
    for raw in notes if wanted else ():
        try:
            checkpoint = Checkpoint.parse(parse_note(raw).text)
        except AuditFault:
            continue  # told where the checkpoints themselves are verified
        if checkpoint.size in wanted:
            found[checkpoint.size] = checkpoint.root
    return found


def _opened(note: bytes, log: LogIdentity) -> Checkpoint | None:
    try:
        return log.open(note)
    except AuditFault:
        return None


def _fault(index: int, text: str) -> Finding:
    return Finding(Severity.FAULT, index, text, Place.LEDGER)
