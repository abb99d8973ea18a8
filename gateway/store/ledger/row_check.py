"""Whether the columns beside the leaves say what the leaves say: what a look-up finds is what was signed.

`gateway.ledger.verify` believes nothing but leaves and signed checkpoints, as any partner's verifier does. The gateway,
though, serves proofs from stored hashes and finds entries by stored columns. Each of these is worked out here once more.
A sealed key to a detail is committed to nowhere, or it could not be forgotten: only whoever can open it can detect a change.
That the period is there by which it was sealed once more is seen without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, and_, func, or_, select

from gateway.errors import InternalError
from gateway.ledger import merkle, signed_note
from gateway.ledger.archive import SEALED_KEY
from gateway.ledger.entry import Frame, open_detail
from gateway.ledger.errors import AuditFault
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import MAX_FINDINGS, Finding, Place, Severity, read_leaf
from gateway.store.engine import StorageEngine
from gateway.store.ledger.detail_periods import BEFORE, SECOND_SEAL
from gateway.store.ledger.stored_ledger import PAGE
from gateway.store.schema import (
    checkpoints,
    cosignatures,
    detail_keys,
    detail_periods,
    details,
    leaves,
    nodes,
)
from gateway.store.times import milliseconds
from keys.data_encryption import TAG_BYTES
from keys.envelope import OpeningRing

MOST: Final = 100  # findings of one kind; a ledger of another log has one for every row


Witnesses: TypeAlias = Mapping[str, Sequence[signed_note.VerifierKey]]


class Rows:
    """One reading of the first `size` leaves with all that is beside them; `findings` grows meanwhile."""

    def __init__(self, database: StorageEngine, size: int, ring: OpeningRing | None = None) -> None:
        """Prepare; `ring` opens every sealed key to a detail, without it their lengths alone are checked."""
        self._database, self._size, self._ring = database, size, ring
        self.findings: list[Finding] = []

    def leaves(self) -> Iterator[bytes]:
        """Yield stored leaves by index, each when its row was checked; raises InternalError at a gap."""
        peaks: dict[tuple[int, int], bytes] = {}
        time_ms: int | None = None
        for start in range(0, self._size, PAGE):
            stop = min(start + PAGE, self._size)
            with self._database.reader() as reader:
                rows = _leaves(reader, start, stop)
                stored = _nodes(reader, start, stop)
                sealed = _sealed(reader, start, stop)
                periods = _periods(reader)
                signed = _sizes(reader, start, stop)
            for index in range(start, stop):
                row = next(rows, None)
                if row is None or row.idx != index:
                    raise InternalError(f"the ledger has no leaf {index}")
                self._find(_leaf(row))
                self._find(_subtrees(row, peaks, stored))
                if index in sealed:
                    self._find(_key(row, *sealed[index], periods, self._ring))
                if time_ms not in {None, row.time_ms} and index not in signed:
                    # One commit has one time and one checkpoint, so where the time changes there is one.
                    self._find([_fault(index - 1, "the checkpoint after it is missing")])
                time_ms = row.time_ms
                yield row.leaf

    def finish(self, log: LogIdentity, witnesses: Witnesses) -> None:
        """Look at what belongs to no single leaf; `witnesses` are the keys that we know, by name."""
        with self._database.reader() as reader:
            self._find(_strays(reader))
            self._find(_checkpoints(reader, self._size, log, witnesses))

    def _find(self, found: Iterable[Finding]) -> None:
        self.findings += islice(found, MAX_FINDINGS - len(self.findings))


def _leaves(reader: Connection, start: int, stop: int) -> Iterator[Row[Any]]:
    wanted = select(leaves).where(leaves.c.idx >= start, leaves.c.idx < stop)
    return iter(reader.execute(wanted.order_by(leaves.c.idx)).all())


def _nodes(reader: Connection, start: int, stop: int) -> dict[tuple[int, int], bytes]:
    """Return the stored subtrees that the leaves of a page complete."""
    spans = [
        and_(
            nodes.c.level == level, nodes.c.number >= start >> level, nodes.c.number < stop >> level
        )
        for level in range(1, stop.bit_length())
        if start >> level != stop >> level
    ]
    if not spans:
        return {}
    found = reader.execute(select(nodes).where(or_(*spans)))
    return {(row.level, row.number): row.hash for row in found}


def _sealed(reader: Connection, start: int, stop: int) -> dict[int, tuple[bytes, bytes]]:
    joined = detail_keys.join(details, details.c.idx == detail_keys.c.idx)
    wanted = select(detail_keys.c.idx, details.c.ciphertext, detail_keys.c.sealed_dek)
    here = wanted.select_from(joined).where(detail_keys.c.idx >= start, detail_keys.c.idx < stop)
    return {row.idx: (row.ciphertext, row.sealed_dek) for row in reader.execute(here)}


def _periods(reader: Connection) -> frozenset[bytes]:
    """Return the periods by which keys to details are sealed once more, at the moment of a page."""
    wanted = select(detail_periods.c.id).where(detail_periods.c.id != BEFORE)
    return frozenset(reader.execute(wanted).scalars())


def _sizes(reader: Connection, start: int, stop: int) -> frozenset[int]:
    """Return the sizes of the checkpoints up to the leaves of a page."""
    here = (checkpoints.c.size >= start) & (checkpoints.c.size < stop)
    return frozenset(reader.execute(select(checkpoints.c.size).where(here)).scalars())


def _leaf(row: Row[Any]) -> Iterator[Finding]:
    if merkle.leaf_hash(row.leaf) != row.leaf_hash:
        yield _fault(row.idx, "its stored hash is not the leaf's")
    try:
        frame = read_leaf(row.leaf)
    except AuditFault:
        return  # whoever reads the leaves says so
    said = (
        int(frame.type),
        milliseconds(frame.time),
        frame.partner_id,
        frame.message_id,
        frame.transaction_number,
    )
    columns = (row.type, row.time_ms, row.partner, row.message_id, row.transaction_number)
    names = ("type", "time_ms", "partner", "message_id", "transaction_number")
    for name, leaf, column in zip(names, said, columns, strict=True):
        if leaf != column:
            yield _fault(row.idx, f"its row does not say what the leaf says: {name}")


def _subtrees(
    row: Row[Any], peaks: dict[tuple[int, int], bytes], stored: dict[tuple[int, int], bytes]
) -> Iterator[Finding]:
    """Work out the subtrees that a leaf completes from the leaves alone, and hold the stored ones against them."""
    level, number, value = 0, row.idx, merkle.leaf_hash(row.leaf)
    while number & 1:
        left = peaks.pop((level, number - 1), None)
        if left is None:
            return  # there is a gap before this leaf
        value = merkle.node_hash(left, value)
        level, number = level + 1, number >> 1
        if stored.get((level, number)) != value:
            yield _fault(
                row.idx, f"the stored subtree of level {level} above it is not the leaves'"
            )
    peaks[level, number] = value


def _key(
    row: Row[Any],
    ciphertext: bytes,
    sealed: bytes,
    periods: frozenset[bytes],
    ring: OpeningRing | None,
) -> Iterator[Finding]:
    if len(sealed) not in {SEALED_KEY, SEALED_KEY + SECOND_SEAL}:
        yield _fault(row.idx, "the key to its detail is not of the size of one")
        return
    if len(sealed) != SEALED_KEY:
        # Sealed once more: whoever opens that reads a bundle, where it is not. Without its period nobody ever does.
        if sealed[:TAG_BYTES] not in periods:
            text = "the key to its detail is of a period that is not in the table detail_periods"
            yield _fault(row.idx, text)
        return
    if ring is None:
        return
    try:
        frame: Frame = read_leaf(row.leaf)
        open_detail(frame, ciphertext, sealed, ring)
    except AuditFault:
        yield _fault(row.idx, "the key to its detail does not open it")


def _strays(reader: Connection) -> Iterator[Finding]:
    """Yield rows that belong to no leaf: nothing of ours writes one."""
    held = select(leaves.c.idx)
    for table, other, text in (
        (details, held, "a sealed detail stands where no leaf is"),
        (detail_keys, select(details.c.idx), "a key to a detail stands where no detail is"),
    ):
        wanted = select(table.c.idx).where(table.c.idx.not_in(other)).limit(MOST)
        for index in reader.execute(wanted).scalars():
            yield _fault(index, text)
    before = select(leaves.c.idx).where(leaves.c.idx < 0).limit(MOST)
    for index in reader.execute(before).scalars():
        yield _fault(index, "a leaf stands before the first")
    size = reader.execute(select(func.count()).select_from(leaves)).scalar() or 0
    counted = reader.execute(select(func.count()).select_from(nodes)).scalar()
    expected = sum(size >> level for level in range(1, size.bit_length()))
    if counted != expected:
        text = f"{counted} subtrees are stored, and {expected} belong to {size} leaves"
        yield Finding(Severity.FAULT, size, text, Place.LEDGER)


def _checkpoints(
    reader: Connection, size: int, log: LogIdentity, witnesses: Witnesses
) -> Iterator[Finding]:
    """Yield checkpoints, and cosigned ones, whose row is not what was signed."""
    last = select(leaves.c.time_ms).where(leaves.c.idx == checkpoints.c.size - 1).scalar_subquery()
    wanted = select(checkpoints, last.label("leaf_ms")).where(checkpoints.c.size <= size)
    cosigned = set(reader.execute(select(cosignatures.c.size).distinct()).scalars())
    roots: dict[int, bytes] = {}
    for row in reader.execute(wanted.order_by(checkpoints.c.size)):
        if row.size in cosigned:
            roots[row.size] = row.root
        if _signed(row.note) not in {None, (row.size, row.root)}:
            yield _fault(row.size - 1, "the checkpoint after it is not what its row says")
        if row.leaf_ms is not None and row.leaf_ms != row.time_ms:
            yield _fault(row.size - 1, "the checkpoint after it has another time")
    count = reader.execute(select(func.count()).select_from(leaves)).scalar() or 0
    for row in reader.execute(select(cosignatures).where(cosignatures.c.size > count)):
        yield _fault(row.size - 1, "a cosignature stands over entries that do not exist")
    for row in reader.execute(select(cosignatures).where(cosignatures.c.size <= size)):
        if _signed(row.note) != (row.size, roots.get(row.size)):
            yield _fault(row.size - 1, "a cosignature stands under another checkpoint")
            continue
        yield from _cosigned(row, log, witnesses)


def _cosigned(row: Row[Any], log: LogIdentity, witnesses: Witnesses) -> Iterator[Finding]:
    """Yield what is wrong with one cosignature; a notice where its witness's key is not known any more."""
    at, name = row.size - 1, row.witness
    try:
        log.open(row.note)
        lines = [one.name for one in signed_note.parse_note(row.note).signatures]
        found = [signed_note.line_of(row.note, key) for key in witnesses.get(name, ())]
    except AuditFault as fault:
        yield _fault(at, f"the checkpoint that {name} cosigned does not hold: {fault}")
        return
    if name not in lines:
        yield _fault(at, f"the cosignature of {name} is not there")
    elif not any(found):
        text = (
            f"the cosignature of {name} was not checked: we do not know the key, or it was replaced"
        )
        yield Finding(Severity.NOTICE, at, text, Place.LEAF)


def _signed(octets: bytes) -> tuple[int, bytes] | None:
    """Return size and root of a note; None where it cannot be read, which is reported elsewhere."""
    try:
        said = signed_note.Checkpoint.parse(signed_note.parse_note(octets).text)
    except AuditFault:
        return None
    return said.size, said.root


def _fault(index: int, text: str) -> Finding:
    return Finding(Severity.FAULT, index, text, Place.LEAF)
