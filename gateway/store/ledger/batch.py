"""What one batch writes: rows of leaves, subtrees and details, worked out before any is inserted; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.ledger import merkle
from gateway.ledger.entry import Frame, SealedDetail, encode
from gateway.store.times import moment


@dataclass(slots=True)
class Batch:
    """What a batch adds to the ledger; `peaks` begins with the roots of the complete subtrees before it."""

    time_ms: int
    size: int
    peaks: dict[tuple[int, int], bytes]
    leaves: list[dict[str, object]] = field(default_factory=list)
    nodes: list[dict[str, object]] = field(default_factory=list)
    details: list[dict[str, object]] = field(default_factory=list)
    detail_keys: list[dict[str, object]] = field(default_factory=list)

    def encoded(self, entries: Sequence[tuple[Frame, SealedDetail | None]]) -> list[bytes]:
        """Return the leaves of one commit, stamped; raises MalformedEntry before anything is added."""
        stamp = moment(self.time_ms)
        return [
            encode(replace(frame, time=stamp), detail.commitment if detail else None)
            for frame, detail in entries
        ]

    def add(self, frame: Frame, leaf: bytes, detail: SealedDetail | None) -> bytes:
        """Append one leaf; return its hash."""
        index, hashed = self.size, merkle.leaf_hash(leaf)
        for level, number, value in merkle.new_nodes(index, hashed, self.get):
            self.peaks[level, number] = value
            if level:  # level 0 is the leaf's own row
                self.nodes.append({"level": level, "number": number, "hash": value})
        self.leaves.append(
            {
                "idx": index,
                "leaf": leaf,
                "leaf_hash": hashed,
                "type": int(frame.type),
                "time_ms": self.time_ms,
                "partner": frame.partner_id,
                "message_id": frame.message_id,
                "transaction_number": frame.transaction_number,
            }
        )
        if detail is not None:
            self.details.append({"idx": index, "ciphertext": detail.ciphertext})
            self.detail_keys.append({"idx": index, "sealed_dek": detail.sealed_dek})
        self.size = index + 1
        return hashed

    def get(self, level: int, number: int) -> bytes:
        """Return a complete subtree that an append or the root can ask for."""
        return self.peaks[level, number]


def peaks_of(size: int) -> list[tuple[int, int]]:
    """Return the places (level, number) of the complete subtrees that make up a tree, largest first."""
    places, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            places.append((level, start >> level))
            start += 1 << level
    return places
