"""Reading the ledger: leaves, checkpoints, proofs and receipts, out of rows; nothing here writes.

A receipt is the same bytes whenever it is asked for: it is under the first checkpoint that covers its
leaf, whose note is stored as signed, and on complete subtrees, which never change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Select, bindparam, func, select

from gateway.domain.messages import Receipt
from gateway.errors import ElementInvalid, InternalError
from gateway.ledger import merkle, proof
from gateway.ledger import signed_note as note
from gateway.ledger.archive import Held
from gateway.ledger.entry import EntryType, MalformedEntry, decode
from gateway.ledger.errors import AuditFault
from gateway.ledger.events import ALARM_END
from gateway.ledger.tiles import TilePath, hash_tile
from gateway.store.engine import Position, StorageEngine
from gateway.store.schema import checkpoints, detail_keys, details, leaves, nodes
from gateway.store.times import milliseconds, moment

PAGE = (
    1000  # rows read in one snapshot; a snapshot held for a whole ledger would keep the WAL growing
)
TAIL = 1024  # leaves re-hashed when the writer lock is taken up; the rest is checked by `passerelle ledger verify`


@dataclass(frozen=True, slots=True)
class StoredDetail:
    """A detail as stored; sealed_dek is None once it was shredded."""

    index: int
    ciphertext: bytes = field(repr=False)
    sealed_dek: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: its size, the last leaf's time (0 when empty), the last note (None when empty)."""

    size: int
    time_ms: int
    note: bytes | None = field(repr=False)


# Made once: building a statement takes longer than SQLite takes to execute it, and a proof asks for one a level.
_LEAF: Select[bytes] = select(leaves.c.leaf).where(leaves.c.idx == bindparam("at"))
_LEAF_HASH: Select[bytes] = select(leaves.c.leaf_hash).where(leaves.c.idx == bindparam("at"))
_NODE: Select[bytes] = select(nodes.c.hash).where(
    nodes.c.level == bindparam("level"), nodes.c.number == bindparam("at")
)
_CHECKPOINTS = select(checkpoints.c.size, checkpoints.c.note)
_COVERING = (
    _CHECKPOINTS.where(checkpoints.c.size > bindparam("at")).order_by(checkpoints.c.size).limit(1)
)
_OF_SIZE = _CHECKPOINTS.where(checkpoints.c.size == bindparam("at"))


def node(connection: Connection) -> Callable[[int, int], bytes]:
    """Return the reader of complete subtrees that `gateway.ledger.merkle` asks; it raises InternalError at a gap."""

    def get(level: int, number: int) -> bytes:
        wanted = _NODE if level else _LEAF_HASH
        found: bytes | None = connection.execute(wanted, {"level": level, "at": number}).scalar()
        if found is None:
            raise InternalError(
                f"the ledger lacks the subtree of level {level} at leaf {number << level}"
            )
        return found

    return get


def leaf(connection: Connection, index: int) -> bytes:
    """Return the bytes of a leaf; raises InternalError when there is none at `index`."""
    found: bytes | None = connection.execute(_LEAF, {"at": index}).scalar()
    if found is None:
        raise InternalError(f"the ledger has no leaf {index}")
    return found


def leaf_hash(connection: Connection, index: int) -> bytes:
    """Return the hash of a leaf; raises InternalError when there is none at `index`."""
    return node(connection)(0, index)


def extent(connection: Connection) -> tuple[int, int]:
    """Return how many leaves are stored, by the highest index, and the size of the newest checkpoint."""
    highest = connection.execute(select(func.max(leaves.c.idx))).scalar()
    newest = connection.execute(select(func.max(checkpoints.c.size))).scalar()
    return 0 if highest is None else highest + 1, newest or 0


@dataclass(frozen=True, slots=True)
class Last:
    """The newest entry, or the newest of its type; `partner` is empty where it is with none."""

    index: int
    time: datetime
    partner: str


def last(connection: Connection, kind: EntryType | None = None) -> Last | None:
    """Return the newest entry, of a type where one is named; None where there is none."""
    wanted = select(leaves.c.idx, leaves.c.time_ms, leaves.c.partner).limit(1)
    if kind is None:
        wanted = wanted.order_by(leaves.c.idx.desc())
    else:
        wanted = wanted.where(leaves.c.type == kind).order_by(
            leaves.c.time_ms.desc(), leaves.c.idx.desc()
        )
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Last(row.idx, moment(row.time_ms), row.partner)


def newest_alarm(connection: Connection) -> Last | None:
    """Return the newest ALARM entry but for those that say that one is over; None where there is none."""
    wanted = (
        select(leaves.c.idx, leaves.c.time_ms, leaves.c.partner, leaves.c.leaf)
        .where(leaves.c.type == EntryType.ALARM)
        .order_by(leaves.c.time_ms.desc(), leaves.c.idx.desc())
    )
    for row in connection.execute(wanted):
        try:
            ends = decode(row.leaf).subject_reference.startswith(ALARM_END)
        except MalformedEntry:
            ends = False  # what is damaged may be an alarm; `ledger verify` says more
        if not ends:
            return Last(row.idx, moment(row.time_ms), row.partner)
    return None


def receipt(connection: Connection, index: int, checkpoint_size: int | None = None) -> Receipt:
    """Return the proof that leaf `index` is in the ledger, under a stored checkpoint.

    checkpoint_size   size of the checkpoint of the proof; by default the first that covers the leaf

    Raises InternalError when no such checkpoint or leaf is stored.
    """
    covering = _COVERING if checkpoint_size is None else _OF_SIZE
    at = index if checkpoint_size is None else checkpoint_size
    found = connection.execute(covering, {"at": at}).one_or_none()
    if found is None or not 0 <= index < found.size:
        raise InternalError(f"no stored checkpoint covers leaf {index}")
    hashes = merkle.inclusion_proof(index, found.size, node(connection))
    return Receipt(leaf(connection, index), proof.make_proof(index, hashes, found.note))


def destruction(connection: Connection, identifier: str) -> Receipt | None:
    """Return leaf and proof of the DESTRUCTION of an identifier; None where there is none."""
    wanted = select(leaves.c.idx, leaves.c.leaf).where(
        leaves.c.type == int(EntryType.DESTRUCTION),
        Position(leaves.c.leaf, identifier.encode()) > 0,
    )
    for row in connection.execute(wanted):
        if decode(row.leaf).subject_reference == identifier:
            return receipt(connection, row.idx)
    return None


def inclusion(connection: Connection, leaf_hash: bytes, size: int) -> tuple[int, list[bytes]]:
    """Return the index of a leaf and its proof in the tree of `size` leaves.

    Raises ElementInvalid for a size that no checkpoint has, and for a hash that is not in that tree.
    """
    if len(leaf_hash) != merkle.HASH_SIZE:
        raise ElementInvalid(element="leaf_hash")
    _demand_checkpoint(connection, size, "tree_size")
    first = select(func.min(leaves.c.idx)).where(
        leaves.c.leaf_hash == leaf_hash, leaves.c.idx < size
    )
    index = connection.execute(first).scalar()
    if index is None:
        raise ElementInvalid(element="leaf_hash")
    return index, merkle.inclusion_proof(index, size, node(connection))


def consistency(connection: Connection, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is the beginning of the tree of `new` leaves.

    Raises ElementInvalid for sizes that no checkpoint has, and for old > new.
    """
    _demand_checkpoint(connection, old, "old_size")
    _demand_checkpoint(connection, new, "new_size")
    if old > new:
        raise ElementInvalid(element="old_size")
    return merkle.consistency_proof(old, new, node(connection))


def hashes(connection: Connection, level: int, start: int, stop: int) -> list[bytes]:
    """Return the complete subtrees of a level from `start` up to `stop`, exclusive; raises InternalError at a gap."""
    wanted: Select[int, bytes]
    if level == 0:
        wanted = select(leaves.c.idx, leaves.c.leaf_hash).where(
            leaves.c.idx >= start, leaves.c.idx < stop
        )
        wanted = wanted.order_by(leaves.c.idx)
    else:
        wanted = select(nodes.c.number, nodes.c.hash).where(
            nodes.c.level == level, nodes.c.number >= start, nodes.c.number < stop
        )
        wanted = wanted.order_by(nodes.c.number)
    rows = connection.execute(wanted).all()
    for number, row in zip(range(start, stop), [*rows, (None, b"")], strict=False):
        if row[0] != number:
            raise InternalError(
                f"the ledger lacks the subtree of level {level} at leaf {number << level}"
            )
    return [row[1] for row in rows]


def tile(connection: Connection, path: str, size: int) -> bytes:
    """Return a tile of hashes in the tree of `size` leaves.

    Raises ElementInvalid for what is no such tile, entries among them: they hold everyone's frames.
    """
    try:
        found = TilePath.parse(path)
    except AuditFault:
        raise ElementInvalid(element="path") from None
    if found.level is None or found.leaves > size:
        raise ElementInvalid(element="path")
    return hash_tile(hashes(connection, found.height, found.first, found.first + found.width))


def checkpoint(connection: Connection, size: int | None = None) -> bytes | None:
    """Return the note of the newest checkpoint, or of the one of a size; None where there is none."""
    wanted: Select[bytes] = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    if size is not None:
        wanted = wanted.where(checkpoints.c.size == size)
    return connection.execute(wanted).scalar()


def iter_leaves(
    database: StorageEngine, start: int = 0, stop: int | None = None
) -> Iterator[bytes]:
    """Yield stored leaves by index, as bytes; raises InternalError at a gap. `stop` is exclusive."""
    index = start
    while stop is None or index < stop:
        page = PAGE if stop is None else min(PAGE, stop - index)
        wanted = (
            select(leaves.c.idx, leaves.c.leaf).where(leaves.c.idx >= index).order_by(leaves.c.idx)
        )
        with database.reader() as reader:
            rows = reader.execute(wanted.limit(page)).all()
        for row in rows:
            if row.idx != index:
                raise InternalError(f"the ledger has no leaf {index}")
            yield row.leaf
            index += 1
        if len(rows) < page:
            return


def iter_held(database: StorageEngine, start: int, stop: int) -> Iterator[Held]:
    """Yield entries with their details, as an auditor holds them; raises InternalError at a gap. `stop` is exclusive."""
    for index in range(start, stop, PAGE):
        with database.reader() as reader:
            page = list(held_within(reader, index, min(stop, index + PAGE)))
        yield from page


def held_within(connection: Connection, start: int, stop: int) -> Iterator[Held]:
    """Yield entries as `iter_held` does, all out of one snapshot: which keys are there is of one moment."""
    joined = leaves.outerjoin(details, details.c.idx == leaves.c.idx).outerjoin(
        detail_keys, detail_keys.c.idx == leaves.c.idx
    )
    columns = (leaves.c.idx, leaves.c.leaf, details.c.ciphertext, detail_keys.c.sealed_dek)
    index = start
    while index < stop:
        wanted = select(*columns).select_from(joined).where(leaves.c.idx >= index)
        page = min(PAGE, stop - index)
        rows = connection.execute(wanted.order_by(leaves.c.idx).limit(page)).all()
        for row in rows:
            if row.idx != index:
                break
            yield Held(row.idx, row.leaf, row.ciphertext, row.sealed_dek)
            index += 1
        else:
            if rows:
                continue
        raise InternalError(f"the ledger has no leaf {index}")


def first_since(connection: Connection, since: datetime, size: int) -> int:
    """Return the index of the first of `size` leaves that is not older than a moment; `size` where all are."""
    here = (leaves.c.time_ms >= milliseconds(since)) & (leaves.c.idx < size)
    found = connection.execute(select(func.min(leaves.c.idx)).where(here)).scalar()
    return size if found is None else found


def peaks(connection: Connection, size: int) -> tuple[bytes, ...]:
    """Return the roots of the complete subtrees over the first `size` leaves, the largest first."""
    get, at, found = node(connection), 0, []
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            found.append(get(level, at >> level))
            at += 1 << level
    return tuple(found)


def iter_checkpoints(database: StorageEngine, start: int = 0) -> Iterator[bytes]:
    """Yield every signed note over `start` leaves or more, the smallest tree first."""
    last = start - 1
    while True:
        wanted = select(checkpoints.c.size, checkpoints.c.note).where(checkpoints.c.size > last)
        with database.reader() as reader:
            rows = reader.execute(wanted.order_by(checkpoints.c.size).limit(PAGE)).all()
        if not rows:
            return
        for row in rows:
            yield row.note
        last = rows[-1].size


def iter_details(database: StorageEngine) -> Iterator[StoredDetail]:
    """Yield every stored detail by index, with its sealed key where that still exists."""
    last = -1
    joined = details.outerjoin(detail_keys, details.c.idx == detail_keys.c.idx)
    columns = (details.c.idx, details.c.ciphertext, detail_keys.c.sealed_dek)
    while True:
        wanted = select(*columns).select_from(joined).where(details.c.idx > last)
        with database.reader() as reader:
            rows = reader.execute(wanted.order_by(details.c.idx).limit(PAGE)).all()
        if not rows:
            return
        for row in rows:
            yield StoredDetail(row.idx, row.ciphertext, row.sealed_dek)
        last = rows[-1].idx


def keyed(connection: Connection, size: int) -> Callable[[int], bool]:
    """Return what says of each of the first `size` leaves whether its detail still has a key; a bit each."""
    bits = bytearray((size + 7) // 8)
    wanted = select(detail_keys.c.idx).where(detail_keys.c.idx < size)
    for index in connection.execute(wanted).scalars():
        bits[index >> 3] |= 1 << (index & 7)
    return lambda index: bool(bits[index >> 3] >> (index & 7) & 1)


def check_tail(connection: Connection, log: note.LogIdentity, known: int = 0) -> Head:
    """Return where the ledger ends, once its end was verified.

    known   how many leaves the caller has verified or written; then all that follow are re-hashed, and no other

    (1) Both log keys signed the last checkpoint, and it says what its row says.
    (2) Indices run without a gap up to its size, and not beyond.
    (3) The last leaves hash to what is stored, complete their subtrees, and their time never falls.
    (4) The stored subtrees give the signed root.

    Raises InternalError, which names the index where it broke.
    """
    newest = select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    size = 0 if row is None else row.size
    if row is not None:
        try:
            signed = log.open(row.note)  # (1)
        except AuditFault as fault:
            raise InternalError(f"the checkpoint of size {size} does not hold: {fault}") from fault
        if (signed.size, signed.root) != (size, row.root):
            raise InternalError(f"the checkpoint of size {size} is not what its row says")
    beyond = select(func.count(), func.max(leaves.c.idx)).select_from(leaves)
    if known:
        beyond = beyond.where(leaves.c.idx >= known)
    count, last = connection.execute(beyond).one()
    if (known + count, known - 1 if last is None else last) != (size, size - 1):  # (2)
        raise InternalError(
            f"the ledger has {known + count} leaves, the last {last}; {size} were signed"
        )
    time_ms = _check_leaves(connection, known or max(0, size - TAIL), size)  # (3)
    if row is None:
        return Head(0, 0, None)
    if merkle.root_at(size, node(connection)) != row.root:  # (4)
        raise InternalError(f"the subtrees of the first {size} leaves do not give the signed root")
    return Head(size, time_ms, row.note)


def _check_leaves(connection: Connection, start: int, size: int) -> int:
    """Re-hash the leaves from `start`; return the last one's time in milliseconds."""
    get, time_ms = node(connection), 0
    wanted = select(leaves).where(leaves.c.idx >= start).order_by(leaves.c.idx)
    for index, row in zip(range(start, size), connection.execute(wanted), strict=True):
        if row.idx != index:
            raise InternalError(f"the ledger has no leaf {index}")
        try:
            frame = decode(row.leaf)
        except MalformedEntry as fault:
            raise InternalError(f"leaf {index} is malformed: {fault}") from fault
        for level, number, found in merkle.new_nodes(index, merkle.leaf_hash(row.leaf), get):
            if get(level, number) != found:
                raise InternalError(
                    f"leaf {index} is not the leaf that was hashed into level {level}"
                )
        stated = milliseconds(frame.time)
        if stated != row.time_ms or stated < time_ms:
            raise InternalError(f"the time of leaf {index} falls, or is not what its row says")
        time_ms = stated
    return time_ms


def _demand_checkpoint(connection: Connection, size: int, element: str) -> None:
    """Serve proofs between signed sizes only: a proof to an unsigned root proves nothing."""
    if not 0 <= size <= note.MAX_SIZE:  # what a row cannot hold, no checkpoint has
        raise ElementInvalid(element=element)
    signed = select(checkpoints.c.size).where(checkpoints.c.size == size)
    if connection.execute(signed).scalar() is None:
        raise ElementInvalid(element=element)
