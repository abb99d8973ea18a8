"""What a RETENTION entry says, and whether every detail that nobody can open any more was shredded by one.

    subject reference = class "/" count                    rows that were erased
                      | class "/" first "-" last "/" count  details that were shredded, by index

and what a RESTORE entry says whose backup came without the keys to details:

    subject reference = "KEYS_LEFT_BEHIND/" size            no detail before this index can be opened any more

Whoever deletes the key to a detail destroys the detail and leaves leaf and proofs as they are. So a missing key
must lie within what entries of its leaf's class name, and their counts must add up to the keys that are missing: one
more was destroyed on the quiet, one less has come back, out of a backup perhaps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.ledger.entry import EntryType, Frame
from gateway.ledger.entry_types import SHAPES

CLASS_OF: Final = MappingProxyType({kind: shape.detail for kind, shape in SHAPES.items()})
LEFT_BEHIND: Final = "KEYS_LEFT_BEHIND/"
_LEFT_BEHIND = re.compile(LEFT_BEHIND + r"([1-9]\d{0,9})")
_REFERENCE = SHAPES[EntryType.RETENTION].reference


@dataclass(frozen=True, slots=True)
class Erased:
    """What one RETENTION entry says; first and last are None where rows and not details were erased."""

    kept: str
    count: int
    first: int | None = None
    last: int | None = None

    def reference(self) -> str:
        """Return the subject reference of its entry."""
        span = "" if self.first is None else f"{self.first}-{self.last}/"
        return f"{self.kept}/{span}{self.count}"


def read_erased(frame: Frame) -> Erased | None:
    """Return what a RETENTION entry says; None where it says nothing that could be checked."""
    found = _REFERENCE.fullmatch(frame.subject_reference)
    if found is None:
        return None
    kept, first, last, count = found.groups()
    if first is None:
        return None if kept in CLASS_OF.values() else Erased(kept, int(count))
    span = int(first), int(last)
    if kept not in CLASS_OF.values() or not 1 <= int(count) <= span[1] - span[0] + 1:
        return None
    return Erased(kept, int(count), *span)


def read_left_behind(frame: Frame) -> int | None:
    """Return the size of the ledger whose keys a RESTORE left behind; None where it brought them."""
    found = _LEFT_BEHIND.fullmatch(frame.subject_reference)
    return int(found[1]) if found and frame.type is EntryType.RESTORE else None


@dataclass(slots=True)
class Shreds:
    """The account of missing keys; feed it every leaf that has a detail, every RETENTION and every RESTORE."""

    _runs: dict[str, list[list[int]]] = field(default_factory=dict)  # first, last, how many
    _there: dict[str, bool] = field(default_factory=dict)  # whether the last of a class was there
    _spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    _told: Counter[str] = field(default_factory=Counter)
    _seen: Counter[str] = field(default_factory=Counter)
    _left: int = 0  # keys before this index were left behind
    _false: list[tuple[int, str]] = field(default_factory=list)

    def key(self, index: int, kind: EntryType, *, there: bool) -> None:
        """Take note of whether the key to a leaf's detail is there."""
        kept = CLASS_OF[kind]
        self._seen[kept] += 1
        runs = self._runs.setdefault(kept, [])
        if not there and runs and not self._there[kept]:
            runs[-1][1:] = index, runs[-1][2] + 1
        elif not there:
            runs.append([index, index, 1])
        self._there[kept] = there

    def erased(self, told: Erased) -> None:
        """Take note of what a RETENTION entry accounts for."""
        if told.first is not None and told.last is not None:
            self._spans.setdefault(told.kept, []).append((told.first, told.last))
            self._told[told.kept] += told.count

    def left_behind(self, index: int, size: int) -> None:
        """Take note of a RESTORE at `index` that says its backup of `size` entries came without keys."""
        if size == self._left:
            return  # a crash between entry and mark repeats the entry
        if size != index:
            self._false.append(
                (index, "a RESTORE speaks of the keys of entries it did not restore")
            )
            return
        self._left = size
        for kept, seen in self._seen.items():  # what was shredded before is among them
            self._spans[kept] = [(0, index - 1)]
            self._told[kept] = seen

    def end(self) -> Iterator[tuple[int, str]]:
        """Yield index and words where keys are gone for which no entry accounts, or are there again."""
        yield from self._false
        for kept in sorted({*self._runs, *self._spans}):
            runs, spans = self._runs.get(kept, []), self._spans.get(kept, [])
            for first, last, _ in runs:
                ends = (first, last)
                if not all(any(a <= end <= b for a, b in spans) for end in ends):
                    yield first, "a detail lost its key, and no RETENTION entry says so"
            missing = sum(count for _, _, count in runs)
            if spans and missing != self._told[kept]:
                said = f"RETENTION entries account for {self._told[kept]} keys of {kept}"
                yield spans[0][0], f"{said}, and {missing} are gone"
