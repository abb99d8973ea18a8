"""What the gateway needs of the database that holds its store, and what differs from one database to another.

Statements are written once, in SQLAlchemy Core, and run on each of them. An engine says the rest: who may write, what an
error means, how a copy is made, and when what was deleted is gone from the disk. `address.open_store` chooses it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from sqlalchemy import Connection, Integer
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Reader: TypeAlias = Connection  # what `reader` lends: one snapshot, which nothing can be written by

INDEX_BYTES: Final = 8
LENGTH_BYTES: Final = 2  # of a sealed key; X-Wing's is 1,168 bytes


class Failure(Enum):
    """What follows from an error of the database."""

    OF_ONE_STATEMENT = auto()  # this statement cannot be done, and the rest of its transaction can
    RETRY = (
        auto()
    )  # the database undid the whole transaction, which may succeed when it is done again
    FATAL = auto()  # nobody knows what the disk has taken; nothing is tried again


@dataclass(frozen=True, slots=True)
class Copy:
    """A store in two files: a SQLite database of all of it but the keys to details, and those.

    keys   for each, in order: index (8 bytes), length (2 bytes), the sealed key
    """

    database: Path
    keys: Path


class StorageEngine(Protocol):
    """One store, open at the newest migration. Safe to use from any thread, but for the writing connection.

    sole_writer   whether the writer lock keeps every other process out, so that whoever has it knows that none lives
    """

    sole_writer: bool

    def reader(self) -> AbstractContextManager[Reader]:
        """Lend a connection that reads one snapshot; leave the block soon, a snapshot keeps what is deleted."""
        ...

    def take_writer(self) -> Connection:
        """Return the one connection of this process that writes; raises UserError while it may not be had."""
        ...

    def release_writer(self, *, forget_traces: bool = False) -> None:
        """Close the writing connection, and let another process write; idempotent.

        forget_traces   first remove what was deleted from the disk; never after a failed write
        """
        ...

    def stopped(self) -> AbstractContextManager[None]:
        """Keep every process from writing while the block runs; raises UserError where a gateway serves the store."""
        ...

    def lock_head(self, writer: Connection) -> int | None:
        """Have the ledger's end for this transaction alone; return its size, None where nobody else could move it."""
        ...

    def failure(self, error: DBAPIError) -> Failure:
        """Return what follows from an error."""
        ...

    def forget_traces(self) -> bool:
        """Remove what was deleted from the disk, on the writer's thread; return whether nothing of it is left."""
        ...

    def copy(self) -> AbstractContextManager[Copy]:
        """Lend a copy of the store as one reader sees it; it is gone afterwards. No lease is in it.

        The keys to details are kept apart, so that a copy that is kept for long is no place where a shredded detail
        lives on. Raises InternalError where the copy is not complete, and what the disk raises.
        """
        ...

    def sweep_copies(self) -> int:
        """Remove copies that a killed process left, keys to details among them; return how many."""
        ...

    def describe(self) -> str:
        """Return which database it is, and what is to be known of it, for whoever checks an installation."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Position(FunctionElement[int]):
    """Where bytes begin in a column of bytes, counted from 1; 0 where they are not in it."""

    type = Integer()
    inherit_cache = True


@compiles(Position)
def _position(element: Position, compiler: SQLCompiler, **words: object) -> str:
    """Write it as the standard does (ISO/IEC 9075-2, position expression); an engine that knows other words adds them."""
    whole, part = element.clauses
    return f"position({compiler.process(part, **words)} in {compiler.process(whole, **words)})"
