"""Calibrations that were adopted: which, by the ledger's own leaves, and their texts by digest.

The leaves are what is believed: a CALIBRATION entry has the model and the file's digest, and the newest of a model is the
one that counts. The texts are kept beside them, each as long as the ledger, so that what an old decision rested on can be
read; a text is whatever has the digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from gateway.ledger.entry import EntryType, decode
from gateway.store.effects import Effect
from gateway.store.schema import leaves, values

_TEXT = "calibration-text/"  # of the keys under which texts are kept, by digest


@dataclass(frozen=True, slots=True)
class Adoption:
    """One CALIBRATION entry: of which model or coder, the SHA-256 of the file in hexadecimal, and where and when it is."""

    model: str
    digest: str
    index: int
    time: datetime


def adopted(connection: Connection) -> dict[str, Adoption]:
    """Return what was adopted last of each model or coder."""
    wanted = select(leaves.c.idx, leaves.c.leaf).where(leaves.c.type == int(EntryType.CALIBRATION))
    found = {}
    for row in connection.execute(wanted.order_by(leaves.c.idx)):
        frame = decode(row.leaf)
        found[frame.policy_id] = Adoption(
            frame.policy_id, frame.subject_reference, row.idx, frame.time
        )
    return found


def texts(connection: Connection) -> dict[str, bytes]:
    """Return the texts that are kept, by the digest that each was kept under; whether it has it is the reader's to see."""
    wanted = select(values).where(values.c.key.startswith(_TEXT, autoescape=True))
    return {row.key.removeprefix(_TEXT): row.value.encode() for row in connection.execute(wanted)}


def keep_text(digest: str, text: bytes) -> tuple[Effect, ...]:
    """Return what keeps the text of a calibration that is adopted, in place of what was kept under its digest."""
    key = _TEXT + digest
    return (
        Effect(delete(values).where(values.c.key == key)),
        Effect(insert(values).values(key=key, value=text.decode()), rows=1),
    )
