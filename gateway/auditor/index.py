"""An auditor's index: what a ledger says, in tables that answer in a moment; sealed on the auditor's own disk.

The pages of the file are encrypted (SQLite3 Multiple Ciphers, ChaCha20-Poly1305 under a random key of 32 bytes, which
the auditor's custody wraps), because what was opened of details is in it. It is made from a source, read
once in order, and goes on where it stopped. It is nobody's evidence: whoever doubts an answer verifies the ledger.

What was shredded is forgotten here too, when the RETENTION entry that says so is read: the rows are overwritten
(`secure_delete`), and what stood in the columns of an exchange is NULL again.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import apsw

from gateway import user_files
from gateway.auditor.exchange_builder import Assembler
from gateway.auditor.schema import FORMAT, TABLES
from gateway.auditor.source import Source
from gateway.errors import PasserelleError, UserError
from gateway.ledger.archive import Held
from gateway.ledger.crypto_shredding import CLASS_OF, read_erased
from gateway.ledger.entry import (
    EPOCH,
    LEAF_SIZE,
    EntryType,
    Frame,
    MalformedEntry,
    decode,
    open_detail,
)
from gateway.ledger.exchange_history import OpenedEntry
from keys.envelope import OpeningRing

SECRET: Final = 32  # bytes; the key of the pages
BATCH: Final = 4096  # entries of one transaction
CACHE: Final = -262_144  # KiB of pages in memory; the bound of what a question takes
_FOLLOWING: Final = (EntryType.CORRECTION, EntryType.ACKNOWLEDGEMENT, EntryType.USE)

Progress = Callable[[int], None]
Value: TypeAlias = str | bytes | int | float | None  # what SQLite holds
Row: TypeAlias = tuple[Any, ...]  # of `Value`s; which, the question knows


class IndexRefused(PasserelleError):
    """An index is of another ledger, of another key, or damaged; it is made anew from the ledger."""


class Index:
    """The index of one ledger; one process at a time."""

    def __init__(self, path: Path, secret: bytes) -> None:
        if len(secret) != SECRET:
            raise IndexRefused("the key of an index has 32 bytes")
        self.path = path
        try:
            self._connection = apsw.Connection(str(path))
            path.chmod(0o600)
            self._connection.pragma("cipher", "chacha20")
            self._connection.pragma("key", f"raw:{secret.hex()}")
            self._connection.pragma("secure_delete", 1)
            self._connection.pragma("cache_size", CACHE)
            self._connection.pragma(
                "temp_store", 2
            )  # in memory: what is sorted is as secret as the rest
            fresh = not self._connection.execute("SELECT count(*) FROM sqlite_schema").get
            if fresh:
                self._connection.execute(TABLES)
                self._set("format", FORMAT)
        except apsw.Error:
            raise IndexRefused(
                f"{path} does not open with this key, or is damaged: remove it, and it is made anew"
            ) from None
        if self._get("format") != FORMAT:
            raise IndexRefused(f"{path} is of another release: remove it, and it is made anew")
        self._connection.pragma("query_only", 1)
        self._assembler = Assembler(self._connection)
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def passing(cls) -> Self:
        """Return an index that is gone when it is closed: for whoever has no key, and for tests."""
        folder = tempfile.TemporaryDirectory(prefix="passerelle-index-")
        made = cls(Path(folder.name) / "index", secrets.token_bytes(SECRET))
        made._folder = folder
        return made

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file; one that is passing goes away."""
        self._connection.close()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def first(self) -> int:
        """The index of the first entry that is here."""
        return int(self._get("first") or 0)

    @property
    def size(self) -> int:
        """One more than the index of the last entry that is here; 0 before the first."""
        return int(self._get("size") or 0)

    @property
    def opened(self) -> bool:
        """Whether any detail was read with the auditor's key."""
        return bool(self.rows("SELECT 1 FROM details LIMIT 1"))

    def extend(
        self, source: Source, key: OpeningRing | None, progress: Progress | None = None
    ) -> int:
        """Read what is new and return how many entries that were.

        progress   is called with how many were read

        Raises IndexRefused where the source is of another ledger, or says otherwise than what was read before.
        """
        with self._writing():
            self._demand_same(source, opening=key is not None)
            return self._extended(source, key, progress)

    def _extended(self, source: Source, key: OpeningRing | None, progress: Progress | None) -> int:
        start, done = max(self.size, source.first), 0
        batch: list[Held] = []
        for held in source.held(start, source.size):
            batch.append(held)
            if len(batch) == BATCH:
                done += self._take(batch, key, source)
                batch = []
                if progress is not None:
                    progress(done)
        if batch:
            done += self._take(batch, key, source)
        if progress is not None:
            progress(done)
        return done

    def rows(self, sql: str, parameters: Iterable[Value] = ()) -> list[Row]:
        """Return what a question in SQL finds; for reading only."""
        return list(self.each(sql, parameters))

    def each(self, sql: str, parameters: Iterable[Value] = ()) -> Iterator[Row]:
        """Yield what a question in SQL finds, a row at a time."""
        try:
            return self._connection.execute(sql, tuple(parameters))
        except apsw.ReadOnlyError:
            raise IndexRefused("an index is read, not written") from None

    def entries_where(self, where: str, parameters: Iterable[Value] = ()) -> Iterator[OpenedEntry]:
        """Yield entries as a history takes them, in order; `where` is a condition on the table `entries`."""
        joined = "entries LEFT JOIN details USING (idx)"
        wanted = f"SELECT entries.idx, leaf, facts FROM {joined} WHERE {where} ORDER BY entries.idx"
        for index, leaf, facts in self.each(wanted, parameters):
            yield OpenedEntry(
                _int(index), _frame(leaf), None if facts is None else json.loads(str(facts))
            )

    def of_transaction(self, number: str, partner: str = "") -> list[OpenedEntry]:
        """Return the entries of a transaction, of what followed it, and of the keys that it used."""
        numbers = [number, *self._later(number)]
        marks = ", ".join("?" * len(numbers))
        where, values = f"number IN ({marks})", list(numbers)
        if partner:
            where, values = f"{where} AND partner = ?", [*values, partner]
        own = list(self.entries_where(where, values))
        kids = {kid.hex() for each in own for kid in _kids(each.frame) if kid}
        marks = ", ".join("?" * len(kids))
        keys = self.entries_where(
            f"type = {int(EntryType.KEY)} AND subject IN ({marks})", sorted(kids)
        )
        return sorted({each.index: each for each in (*own, *keys)}.values(), key=lambda t: t.index)

    def partners_of(self, number: str) -> list[str]:
        """Return whose transactions bear this number; it is unique only within a pair."""
        wanted = "SELECT DISTINCT partner FROM entries WHERE number = ? ORDER BY partner"
        return [str(row[0]) for row in self.rows(wanted, (number,))]

    def _later(self, number: str) -> list[str]:
        """Return the numbers of what followed: details, corrections, uses. A correction's is its identifier."""
        kinds = ", ".join(str(int(kind)) for kind in _FOLLOWING)
        wanted = (
            "SELECT DISTINCT number FROM exchanges WHERE transaction_reference = ? AND number <> ''"
            " UNION SELECT DISTINCT number FROM entries JOIN details USING (idx)"
            f" WHERE type IN ({kinds}) AND facts ->> 'transaction_reference' = ? AND number <> ''"
        )
        return [str(row[0]) for row in self.rows(wanted, (number, number)) if row[0] != number]

    def _take(self, batch: list[Held], key: OpeningRing | None, source: Source) -> int:
        with self._connection:
            for held in batch:
                self._entry(held, key, source)
            last = batch[-1]
            if not self.size:
                self._set("first", batch[0].index)
            self._set("size", last.index + 1)
            self._set("last", last.leaf)
        return len(batch)

    def _entry(self, held: Held, key: OpeningRing | None, source: Source) -> None:
        try:
            frame = decode(held.leaf)
        except MalformedEntry as fault:
            raise IndexRefused(
                f"entry {held.index} is malformed: run `passerelle ledger verify` first"
            ) from fault
        facts, time_ms = _opened(held, frame, key), _milliseconds(frame)
        self._connection.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                held.index,
                int(frame.type),
                int(frame.entry_class),
                time_ms,
                frame.partner_id,
                int(frame.direction or 0),
                frame.transaction_number,
                frame.message_id,
                frame.subject_reference,
                frame.agreement_id,
                frame.agreement_version,
                frame.signing_key_id,
                frame.kem_key_id,
                int(held.ciphertext is not None and facts is None),
                held.leaf.rstrip(b"\0"),
            ),
        )
        if facts is not None:
            self._connection.execute(
                "INSERT INTO details VALUES (?, ?)", (held.index, json.dumps(facts))
            )
        self._assembler.read(held.index, time_ms, frame, facts)
        erased = read_erased(frame) if frame.type is EntryType.RETENTION else None
        if erased is not None and erased.first is not None and erased.last is not None:
            self._forget(source, erased.kept, erased.first, erased.last)

    def _forget(self, source: Source, kept: str, first: int, last: int) -> None:
        """Forget the details of a class that were shredded among the leaves `first` to `last`."""
        kinds = ", ".join(str(int(kind)) for kind, name in CLASS_OF.items() if name == kept)
        joined = "details JOIN entries USING (idx)"
        wanted = f"SELECT idx FROM {joined} WHERE idx BETWEEN ? AND ? AND type IN ({kinds})"
        here = [_int(row[0]) for row in self.rows(wanted, (first, last))]
        if not here:
            return
        gone = {
            held.index for held in source.held(here[0], here[-1] + 1) if held.sealed_dek is None
        }
        # What lies before a later bundle cannot be looked at any more: it goes with the rest of its class.
        gone.update(index for index in here if index < source.first)
        for index in gone.intersection(here):
            self._connection.execute("DELETE FROM details WHERE idx = ?", (index,))
            self._connection.execute("UPDATE entries SET sealed = 1 WHERE idx = ?", (index,))
            self._assembler.forget(index)

    def _demand_same(self, source: Source, *, opening: bool) -> None:
        """Refuse a source that is not the ledger that was read before, and an index that was read without a key."""
        origin = self._get("origin")
        if origin is None:
            with self._connection:
                self._set("origin", source.log.origin)
                self._set("opening", int(opening))
            return
        if origin != source.log.origin:
            raise IndexRefused(
                f"the index is of another ledger than {source.log.origin}: remove it, or name another"
            )
        if bool(self._get("opening")) is not opening:
            raise IndexRefused(
                "the index was made without the auditor's key, or with it: remove it"
            )
        size = self.size
        if size <= source.first or size > source.size:
            if size:
                raise IndexRefused("the source does not go on where the index stops: make it anew")
            return
        last = next(source.held(size - 1, size), None)
        if last is None or last.leaf != self._get("last"):
            raise IndexRefused(
                "the ledger says otherwise than when the index was made: keep both, and call the other auditors"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Let this index be written for a while; at all other times SQLite itself refuses."""
        self._connection.pragma("query_only", 0)
        try:
            yield
        finally:
            self._connection.pragma("query_only", 1)

    def _get(self, key: str) -> Value:
        found: Value = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
        return found

    def _set(self, key: str, value: Value) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def facts_in(text: str | None) -> dict[str, str]:
    """Return the facts of a detail as the index holds them; none where it is sealed or gone."""
    return json.loads(text) if text else {}


def secret_of(
    folder: Path, wrap: Callable[[bytes, bytes], bytes], unwrap: Callable[[bytes, bytes], bytes]
) -> bytes:
    """Return the key of an auditor's indexes, kept wrapped in the auditor's folder; made at the first asking."""
    path, aad = folder / "index.key", b"passerelle/1/index"
    with suppress(FileNotFoundError):
        return unwrap(path.read_bytes(), aad)
    secret = secrets.token_bytes(SECRET)
    user_files.create(path, wrap(secret, aad))
    return secret


def _opened(held: Held, frame: Frame, key: OpeningRing | None) -> dict[str, str] | None:
    if key is None or held.ciphertext is None or held.sealed_dek is None:
        return None
    try:
        return open_detail(frame, held.ciphertext, held.sealed_dek, key)
    except MalformedEntry as fault:
        raise UserError(
            f"the detail of entry {held.index} does not open with this key: name the auditor's folder that holds"
            " every key of that time, or run `passerelle ledger verify`"
        ) from fault


def _frame(leaf: Value) -> Frame:
    if not isinstance(leaf, bytes):
        raise IndexRefused("the index is damaged: remove it, and it is made anew")
    return decode(leaf.ljust(LEAF_SIZE, b"\0"))


def _kids(frame: Frame) -> tuple[bytes, bytes]:
    return frame.signing_key_id, frame.kem_key_id


def _milliseconds(frame: Frame) -> int:
    return round((frame.time - EPOCH).total_seconds() * 1000)


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise IndexRefused("the index is damaged: remove it, and it is made anew")
    return value
