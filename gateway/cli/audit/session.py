"""What every question of an auditor has in common: a gateway or a bundle, the key, the reason, the index.

(1) a live gateway: the reading is recorded first, with its reason, under the auditor's credential
(2) the auditor's key is opened, where a folder is named; without it what is sealed stays sealed
(3) the index is made, or goes on where it stopped
(4) the question is asked of the index
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from gateway import calendar_bounds, user_files
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import PassphraseFile
from gateway.cli.passphrase import passphrase_of
from gateway.errors import UserError
from gateway.operations import audit

if TYPE_CHECKING:
    from gateway.auditor.index import Index
    from gateway.auditor.source import Source
    from gateway.operations.declaration import Request
    from gateway.server.local_source import Stored
    from gateway.store.ledger.detail_periods import Periods
    from keys.keyset import Keyset

Where = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]", help="Home directory of the gateway; leave it out where --bundle is given."
    ),
]
Bundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        metavar="FILE",
        help="Off-line bundle (passerelle ledger export) to ask instead.",
    ),
]
Why = Annotated[
    str,
    typer.Option(
        "--reason",
        metavar="WORDS",
        help="Why you read it; a live gateway records it before anything is shown.",
    ),
]


def folder_of(key: Path | None) -> Path | None:
    """Return the folder that --key names, as a path or as the URI of its custody: `file:auditor/`."""
    return key and Path(str(key).removeprefix("file:"))


Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FOLDER",
        callback=folder_of,
        help="The auditor's folder (kek.json, keyset.json), also as file:FOLDER; without it sealed details stay sealed.",
    ),
]
KeyPassphrase = Annotated[
    Path | None,
    typer.Option(
        "--key-passphrase-file",
        metavar="FILE",
        help="Passphrase of the auditor's key; else a prompt.",
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write the rows as CSV too; - for stdout."),
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", formats=["%Y-%m-%d"], metavar="DAY", help="From this day, UTC."),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        "--until", formats=["%Y-%m-%d"], metavar="DAY", help="Up to the end of this day, UTC."
    ),
]
Partner = Annotated[str, typer.Option("--partner", metavar="ID", help="One partner alone.")]

NEW = 5_000  # entries; with more that are new, a bar is shown while they are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where a ledger is read, why, and by whom: the options that all commands share that read one."""

    where: Where = None
    bundle: Bundle = None
    reason: Why = ""
    officer: As = None
    passphrase_file: PassphraseFile = None

    def sorted_out(self, word: str) -> tuple[Self, str]:
        """Return this and the word as they are meant: with --bundle the first word on the line is no folder."""
        if self.bundle is not None and self.where is not None and not word:
            return replace(self, where=None), str(self.where)
        return self, word

    def perform(self, home: Path, operation: type[Request], **values: object) -> dict[str, object]:
        """Have an operation done at the gateway whose ledger is read, and return its answer."""
        return admin_session.perform(
            home,
            operation.declaration.name,
            values,
            officer=self.officer,
            passphrase=passphrase_of(home, self.passphrase_file),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Access):
    """The same, with the auditor's key, which opens what is sealed."""

    key: Key = None
    key_passphrase_file: KeyPassphrase = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a question is about, the options that all questions over a period share: from when, till when, of whom."""

    since: Since = None
    until: Until = None
    partner: Partner = ""
    csv: Csv = None

    def words(self, what: str, more: str = "") -> str:
        """Return what the ledger will say was asked, and of which time."""
        of = f" of {self.partner}" if self.partner else ""
        times = (("since", self.since), ("until", self.until))
        return f"{what}{of}{''.join(f' {word} {day:%Y-%m-%d}' for word, day in times if day)}{more}"


@dataclass(frozen=True, slots=True)
class AuditSession:
    """Where the question is answered: the index of the ledger, and the ledger.

    secret   the key of the auditor's indexes; empty where no folder of the auditor's was named
    """

    index: Index
    source: Source
    secret: bytes = field(default=b"", repr=False)


@contextmanager
def room(asked: Asked, question: str) -> Iterator[AuditSession]:
    """Record the reading, open the key, bring the index up to date; raises UserError with what is missing.

    question   the command and what it names, as the ledger will state it: `refusals since 2026-01-01`
    """
    if (asked.where is None) is (asked.bundle is None):
        raise UserError("name either a home directory or --bundle FILE")
    keyset = None if asked.key is None else opened(asked.key, asked.key_passphrase_file)
    with ExitStack() as closing:
        source, beside = _source(asked, question, closing)
        secret = _secret(asked, keyset)
        index = closing.enter_context(_index(beside, secret))
        ring = None if keyset is None else keyset.audit_ring()
        new = source.size - max(index.size, source.first)
        with output.gauge("reading the ledger", new) if new > NEW else nullcontext() as progress:
            index.extend(source, ring, progress)
        yield AuditSession(index, source, secret)


def moment(day: datetime | None, *, end: bool = False) -> int | None:
    """Return a day's beginning, or its end, as milliseconds since 1970, UTC; None for none. Raises UserError."""
    if day is None:
        return None
    if not calendar_bounds.sound(day.replace(tzinfo=UTC)):
        raise UserError(f"{day:%Y-%m-%d} is not {calendar_bounds.RULE}")
    begins = int(day.replace(tzinfo=UTC).timestamp()) * 1000
    return begins + 86_400_000 if end else begins


def opened(folder: Path, passphrase_file: Path | None) -> Keyset:
    """Open the auditor's keys; raises UserError where the folder holds none."""
    from keys.custody import FileCustody
    from keys.keyset import Keyset

    if not (folder / "keyset.json").is_file():
        raise UserError(
            f"{folder} holds no auditor's key; name the folder that `init` made as auditor/"
        )
    passphrase: Callable[[], bytes] = output.passphrase_from(
        passphrase_file, "the auditor's key", option="--key-passphrase-file"
    )
    custody = FileCustody.open(folder / "kek.json", passphrase())
    return Keyset.load(folder / "keyset.json", custody)


def demand_new(file: Path | None) -> None:
    """Refuse to write over a file, which may be somebody's evidence; raises UserError."""
    if str(file) != "-":
        user_files.demand_new(file)


def write_csv(file: Path | None, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV (RFC 4180) where a file is named; cells that a spreadsheet would run are quoted as text."""
    import csv

    if file is None:
        return
    safe = ([_plain(cell) for cell in row] for row in rows)
    if str(file) == "-":
        csv.writer(sys.stdout).writerows(chain([names], safe))
        return
    with user_files.creating(file) as octets:
        stream = io.TextIOWrapper(octets, encoding="utf-8", newline="")
        csv.writer(stream).writerows(chain([names], safe))
        stream.detach()  # flushed; who lent the file closes it


def _plain(cell: object) -> str:
    text = "" if cell is None else str(cell)
    if text[:1] in {"=", "+", "@", "\t", "\r"} or (text[:1] == "-" and isinstance(cell, str)):
        return f"'{text}"
    return text


def live(asked: Access, question: str) -> Stored:
    """Record that a gateway's ledger is read, then open its rows; raises UserError where no reason is given."""
    from gateway.server.local_source import Stored

    home = asked.where
    if home is None:
        raise UserError("name the home directory of the gateway")
    if not asked.reason:
        raise UserError("say why you read: --reason WORDS; a live gateway records it first")
    told = asked.perform(home, audit.Read, question=question, reason=asked.reason)
    return Stored(home, _periods(told))


def _periods(told: Mapping[str, Any]) -> Periods:
    """Return what opens the second seal of the keys to details, of the answer to `audit.read`."""
    from gateway.store.ledger.detail_periods import periods_of

    return periods_of(
        {bytes.fromhex(p): bytes.fromhex(seed) for p, seed in told["periods"].items()}
    )


def _source(asked: Asked, question: str, closing: ExitStack) -> tuple[Source, Path]:
    """Return what is read, and where its index stands when there is a key."""
    if asked.bundle is not None:
        from gateway.auditor.source import ArchiveSource
        from gateway.ledger.archive import Archive

        archive = closing.enter_context(Archive.open(asked.bundle))
        return ArchiveSource(archive), asked.bundle.with_name(f"{asked.bundle.name}.index")
    stored = closing.enter_context(live(asked, question))
    name = stored.log.origin.replace("/", "-")
    return stored, (asked.key or Path()) / f"{name}.index"


def _secret(asked: Asked, keyset: Keyset | None) -> bytes:
    from gateway.auditor.index import secret_of

    if keyset is None or asked.key is None:
        return b""
    return secret_of(asked.key, keyset.custody.wrap, keyset.custody.unwrap)


def _index(beside: Path, secret: bytes) -> Index:
    from gateway.auditor.index import Index

    return Index(beside, secret) if secret else Index.passing()
