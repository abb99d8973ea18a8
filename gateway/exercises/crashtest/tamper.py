"""What an operator with a shell can do to the rows, one act at a time, each by chance and told by its seed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from gateway.exercises.crashtest.fixture_ledger import Specimen
from gateway.ledger import merkle, signed_note
from gateway.store.schema import checkpoints, detail_keys, details, leaves, nodes
from gateway.store.times import moment
from keys.signatures import LogKey

TABLES = (leaves, nodes, details, detail_keys, checkpoints)
WIDEST = 40  # bits of a number that are flipped; an index has not more

# Returns whether anything was changed, and the index that a finding must name, where one must.
Hit: TypeAlias = tuple[bool, int | None]
Act: TypeAlias = Callable[[sqlite3.Connection, random.Random, Specimen], Hit]


def acts() -> dict[str, Act]:
    """Return every kind by its name."""
    found: dict[str, Act] = {}
    for table in TABLES:
        for column in table.columns:
            found[f"flip a bit of {table.name}.{column.name}"] = partial(
                _flip, table.name, column.name
            )
        found[f"delete a row of {table.name}"] = partial(_delete, table.name)
        found[f"repeat a row of {table.name}"] = partial(_repeat, table.name)
        found[f"exchange two rows of {table.name}"] = partial(_exchange, table.name)
        found[f"cut off the last rows of {table.name}"] = partial(_cut, table.name)
    # Of a witness one cosignature a day is kept, so that one is missing says nothing.
    for name in ("size", "witness", "note"):
        found[f"flip a bit of cosignatures.{name}"] = partial(_flip, "cosignatures", name)
    found["repeat a row of cosignatures"] = partial(_repeat, "cosignatures")
    found["exchange two cosignatures"] = partial(_exchange, "cosignatures")
    found["cut off the end of the ledger, its checkpoints left"] = _cut_end
    found["rewrite an entry and all hashes above it"] = partial(_rewrite, resign=False)
    found["rewrite an entry, sign again with another key"] = partial(_rewrite, resign=True)
    found["bring back a key that was shredded"] = _bring_back
    found["replace a sealed key by another entry's"] = _foreign_key
    found["a checkpoint over entries that do not exist"] = _future
    return found


def do(path: Path, act: Act, chance: random.Random, specimen: Specimen) -> Hit:
    """Write the specimen to `path` and do one act to it; return whether anything changed, and where."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(specimen.store)
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as shell:
        hit = act(shell, chance, specimen)
        shell.commit()
        shell.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    return hit


def splice(path: Path, specimen: Specimen, other: Specimen, chance: random.Random) -> None:
    """Put the end of another ledger, signed by its own keys, behind the beginning of this one."""
    do(path, lambda *_: (True, None), chance, specimen)
    source = path.with_name("other.db")
    source.write_bytes(other.store)
    at = chance.randrange(1, min(specimen.size, other.size) - 1)
    with closing(sqlite3.connect(path)) as shell:
        shell.execute("ATTACH ? AS other", (str(source),))
        for table in ("leaves", "details", "detail_keys"):
            shell.execute(f"DELETE FROM {table} WHERE idx >= ?", (at,))  # noqa: S608 - names are ours
            shell.execute(f"INSERT INTO {table} SELECT * FROM other.{table} WHERE idx >= ?", (at,))  # noqa: S608
        shell.execute("DELETE FROM checkpoints WHERE size > ?", (at,))
        shell.execute(
            "INSERT INTO checkpoints SELECT * FROM other.checkpoints WHERE size > ?", (at,)
        )
        _rehash(shell)
        shell.commit()
    source.unlink()


def _flip(
    table: str, column: str, shell: sqlite3.Connection, chance: random.Random, _: Specimen
) -> Hit:
    rowid, value = _any(shell, chance, table, column)
    index = _index(shell, table, rowid)
    for _attempt in range(WIDEST):
        try:
            changed = _flipped(value, chance)
            shell.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))  # noqa: S608
        except sqlite3.IntegrityError:
            continue  # the number is another row's
        return True, index if column in {"leaf", "leaf_hash", "ciphertext", "sealed_dek"} else None
    return False, None


def _flipped(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - whatever a column holds
    if value == b"":
        return b"\1"
    if isinstance(value, bytes):
        at = chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :]
    if isinstance(value, int):
        return value ^ 1 << chance.randrange(WIDEST)
    if not value:
        return "A"
    at = chance.randrange(len(value))
    return value[:at] + chr(ord(value[at]) ^ 1 << chance.randrange(5)) + value[at + 1 :]


def _delete(table: str, shell: sqlite3.Connection, chance: random.Random, _: Specimen) -> Hit:
    rowid, _value = _any(shell, chance, table)
    shell.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608
    return True, rowid if table in {"leaves", "details"} else None


def _repeat(table: str, shell: sqlite3.Connection, chance: random.Random, _: Specimen) -> Hit:
    """Insert a row once more under the next key that is free."""
    key = (
        "number"
        if table == "nodes"
        else "size"
        if table in {"checkpoints", "cosignatures"}
        else "idx"
    )
    rowid, _value = _any(shell, chance, table)
    columns = [row[1] for row in shell.execute(f"PRAGMA table_info({table})")]
    others = ", ".join(name for name in columns if name != key)
    (free,) = shell.execute(f"SELECT max({key}) + 1 FROM {table}").fetchone()  # noqa: S608
    shell.execute(
        f"INSERT INTO {table} ({key}, {others}) SELECT ?, {others} FROM {table} WHERE rowid = ?",  # noqa: S608
        (free, rowid),
    )
    return True, None


def _exchange(table: str, shell: sqlite3.Connection, chance: random.Random, _: Specimen) -> Hit:
    """Exchange what two rows say, each under its own key."""
    keys = {"idx", "size", "level", "number"}
    columns = [r[1] for r in shell.execute(f"PRAGMA table_info({table})") if r[1] not in keys]
    wanted = f"SELECT rowid, {', '.join(columns)} FROM {table} ORDER BY rowid"  # noqa: S608
    one, two = chance.sample(shell.execute(wanted).fetchall(), 2)
    sets = ", ".join(f"{name} = ?" for name in columns)
    for target, source in ((one, two), (two, one)):
        shell.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", (*source[1:], target[0]))  # noqa: S608
    return one[1:] != two[1:], None


def _cut(table: str, shell: sqlite3.Connection, chance: random.Random, _: Specimen) -> Hit:
    many = chance.randrange(1, 9)
    shell.execute(
        f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid DESC LIMIT ?)",  # noqa: S608
        (many,),
    )
    return True, None


def _cut_end(shell: sqlite3.Connection, chance: random.Random, specimen: Specimen) -> Hit:
    size = specimen.size - chance.randrange(1, 9)
    for table in ("leaves", "details", "detail_keys"):
        shell.execute(f"DELETE FROM {table} WHERE idx >= ?", (size,))  # noqa: S608
    _rehash(shell)
    return True, None


def _rewrite(
    shell: sqlite3.Connection, chance: random.Random, specimen: Specimen, *, resign: bool
) -> Hit:
    """Put one entry's leaf in the place of another, and mend all that a database holds of it."""
    one, two = chance.sample(range(specimen.size), 2)
    shell.execute("UPDATE leaves SET leaf = ? WHERE idx = ?", (specimen.held[two].leaf, one))
    _rehash(shell)
    if resign:
        thief = LogKey.generate()
        get = _getter(shell)
        for (size,) in shell.execute("SELECT size FROM checkpoints").fetchall():
            said = signed_note.Checkpoint(specimen.log.origin, size, merkle.root_at(size, get))
            (time_ms,) = shell.execute(
                "SELECT time_ms FROM checkpoints WHERE size = ?", (size,)
            ).fetchone()
            signed = signed_note.sign_checkpoint(said, thief, moment(time_ms))
            shell.execute(
                "UPDATE checkpoints SET root = ?, note = ? WHERE size = ?",
                (said.root, signed, size),
            )
    return specimen.held[one].leaf != specimen.held[two].leaf, None


def _bring_back(shell: sqlite3.Connection, chance: random.Random, specimen: Specimen) -> Hit:
    gone = [each.index for each in specimen.held if each.ciphertext and not each.sealed_dek]
    key = next(each.sealed_dek for each in specimen.held if each.sealed_dek)
    shell.execute("INSERT INTO detail_keys VALUES (?, ?)", (chance.choice(gone), key))
    return True, None


def _foreign_key(shell: sqlite3.Connection, chance: random.Random, specimen: Specimen) -> Hit:
    one, two = chance.sample([each for each in specimen.held if each.sealed_dek], 2)
    shell.execute(
        "UPDATE detail_keys SET sealed_dek = ? WHERE idx = ?", (one.sealed_dek, two.index)
    )
    return True, two.index


def _future(shell: sqlite3.Connection, chance: random.Random, specimen: Specimen) -> Hit:
    said = signed_note.Checkpoint(
        specimen.log.origin, specimen.size + chance.randrange(1, 9), bytes(32)
    )
    (time_ms,) = shell.execute("SELECT max(time_ms) FROM checkpoints").fetchone()
    signed = signed_note.sign_checkpoint(said, specimen.key, moment(time_ms))
    shell.execute(
        "INSERT INTO checkpoints (size, root, time_ms, note) VALUES (?, ?, ?, ?)",
        (said.size, said.root, time_ms, signed),
    )
    return True, None


def _any(
    shell: sqlite3.Connection, chance: random.Random, table: str, column: str = "rowid"
) -> tuple[int, Any]:
    found = shell.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()  # noqa: S608
    rowid, value = chance.choice(found)
    return rowid, value


def _index(shell: sqlite3.Connection, table: str, rowid: int) -> int | None:
    if table in {"nodes", "checkpoints", "cosignatures"}:
        return None
    row = shell.execute(f"SELECT idx FROM {table} WHERE rowid = ?", (rowid,)).fetchone()  # noqa: S608
    return int(row[0])


def _rehash(shell: sqlite3.Connection) -> None:
    """Mend stored hashes and subtrees, as whoever knows our format can."""
    shell.execute("DELETE FROM nodes")
    get = _getter(shell)
    for index, leaf in shell.execute("SELECT idx, leaf FROM leaves ORDER BY idx").fetchall():
        hashed = merkle.leaf_hash(leaf)
        shell.execute("UPDATE leaves SET leaf_hash = ? WHERE idx = ?", (hashed, index))
        for level, number, value in merkle.new_nodes(index, hashed, get):
            if level:
                shell.execute("INSERT INTO nodes VALUES (?, ?, ?)", (level, number, value))


def _getter(shell: sqlite3.Connection) -> Callable[[int, int], bytes]:
    def get(level: int, number: int) -> bytes:
        if level:
            wanted = "SELECT hash FROM nodes WHERE level = ? AND number = ?"
            row = shell.execute(wanted, (level, number)).fetchone()
        else:
            row = shell.execute("SELECT leaf_hash FROM leaves WHERE idx = ?", (number,)).fetchone()
        return bytes(row[0])

    return get
