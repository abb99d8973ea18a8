"""Where a witness keeps what convicts a ledger, and how much of it: enough for a third party, and no more.

A ledger that has forked signs a new checkpoint whenever it is asked, and each contradicts the one that we keep. The
first that does convicts it; a thousand more would fill a disk, and our own ledger with entries about them. So there
is one file for each checkpoint that we kept and each accusation against it, and a few of each accusation: a weak one
(“it cannot prove”) never takes the place of a strong one (“two trees of one size”).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.ledger import split_view
from gateway.ledger.signed_note import parse_note
from keys import atomic_file

MOST: Final = (
    4  # files of one accusation against one ledger; each has at most contradiction.MOST bytes
)


def keep(
    beside: Path,
    accusation: str,
    origin: str,
    notes: tuple[bytes, bytes],
    proof: Sequence[bytes] = (),
) -> Path:
    """Keep evidence beside the witness's checkpoint file and return which file shows it.

    notes   the checkpoint that was kept, and the one that contradicts it, as they were signed

    Where the same was kept before, or there are enough, nothing is written and an earlier file is named.
    """
    kind = sha256(accusation.encode()).hexdigest()[:4]
    fork = sha256(parse_note(notes[0]).text.encode()).hexdigest()[:12]
    path = beside.with_name(f"{beside.stem}.split-{kind}{fork}.json")
    there = sorted(beside.parent.glob(f"{beside.stem}.split-{kind}*.json"))
    if path in there:
        return path
    if len(there) >= MOST:
        return there[0]
    atomic_file.replace(path, split_view.write(accusation, origin, *notes, proof))
    return path
