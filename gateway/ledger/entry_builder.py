"""How an entry is built: frame and facts, held against the table of its type; and how a fact is written.

Only the modules of events may use this: whoever records something calls a constructor of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import TypeAlias, TypedDict

from gateway.domain.messages import Direction
from gateway.ledger.entry import EntryClass, EntryType, Frame, Leaf
from gateway.ledger.entry_types import SHAPES, Facts
from gateway.ledger.errors import MalformedEntry

Fact: TypeAlias = str | bytes | int | float | datetime | Enum | Iterable["Fact"] | None


class About(TypedDict, total=False):
    """What a frame may name, as in `Frame`."""

    partner_id: str
    direction: Direction | None
    message_id: bytes
    transcript: bytes
    transaction_number: str
    signing_key_id: bytes
    kem_key_id: bytes
    directory_version: int
    agreement_id: str
    agreement_version: int
    policy_id: str


def build(
    kind: EntryType,
    reference: str = "",
    about: About = {},  # noqa: B006 - never written to
    entry_class: EntryClass = EntryClass.OTHER,
    /,
    **facts: Fact,
) -> Leaf:
    """Return an entry; raises MalformedEntry for what the table of its type does not know, or misses."""
    frame = Frame(type=kind, entry_class=entry_class, subject_reference=reference, **about)
    detail = written(**facts)
    shape, facts_known = SHAPES[kind], SHAPES[kind].needs | SHAPES[kind].may
    if entry_class not in shape.classes:
        raise MalformedEntry(f"{kind.name}: not of class {entry_class.name}")
    if not shape.reference.fullmatch(reference):
        raise MalformedEntry(f"{kind.name}: a subject reference of another form")
    if wrong := sorted((shape.needs - detail.keys()) | (detail.keys() - facts_known)):
        raise MalformedEntry(f"{kind.name}: facts missing, or of other types: {', '.join(wrong)}")
    return Leaf(frame, detail or None)


def written(**values: Fact) -> dict[str, str]:
    """Return facts as they are recorded; one that is None is not."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def stated(facts: Facts) -> dict[str, str]:
    """Return the facts that say something; the empty ones are left out."""
    return {name: value for name, value in facts.items() if value}


def to_seconds(moment: datetime) -> str:
    """Return a moment that is recorded in whole seconds."""
    return moment.isoformat(timespec="seconds")


def _text(value: Fact) -> str:
    """Return a value as text: a member's name, true or false, digits, hexadecimal, ISO 8601, a list between commas.

    A number is the shortest text that reads as the same number: a replay decides by it.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
    return ",".join(map(_text, value or ()))
