"""`passerelle ledger show`, `prove` and `tail`: single entries, as they stand in the tree."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.admin_session import As
from gateway.cli.audit import session
from gateway.cli.audit.session import Access, Asked, Why, live, opened
from gateway.cli.output import Home, PassphraseFile
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.domain.messages import Receipt
    from gateway.ledger.archive import Archive, Held
    from gateway.ledger.entry import Frame
    from gateway.server.local_source import Stored

app = typer.Typer()

FOLLOWED = 1000  # entries that are followed before the ledger is told of it again
HOUR = 3600.0  # seconds; likewise
EVERY = 1.0  # seconds between two looks of `tail --follow`

Index = Annotated[str, typer.Argument(metavar="INDEX", help="Place of the entry, from 0.")]


@plain_command(
    app,
    "passerelle ledger show can 4711 --reason 'complaint 14' --key auditor/ --as staff/a1",
    "passerelle ledger show 4711 --bundle 2026.bundle --key auditor/",
)
def show(
    context: typer.Context,
    index: Index = "",
    *,
    asked: Asked,
) -> None:
    """Show one entry: what the leaf says, its hash, and with the auditor's key what is sealed beside it."""
    asked, index = asked.sorted_out(index)
    number = _number(index)
    with ExitStack() as closing:
        source = _source(asked, f"show {number}", closing)
        held = next(source.held(number, number + 1), None)
        size = source.size
    if held is None or held.index != number:
        raise UserError(f"there is no entry {number} here; the ledger has {size}")
    facts = _facts(held, asked.key, asked.key_passphrase_file)
    document = {"ok": True, "index": number, **_told(held), "detail": facts}
    output.emit(context, document, *_lines(document))


@plain_command(
    app, "passerelle ledger prove 4711 --bundle 2026.bundle -o 4711.tlog-proof --leaf 4711.leaf"
)
def prove(
    context: typer.Context,
    index: Index = "",
    *,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where the proof goes: X.tlog-proof."),
    ],
    leaf: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the leaf goes that the proof is about."),
    ] = None,
    access: Access,
) -> None:
    """Write the proof that an entry stands in the ledger, as C2SP tlog-proof@v1, for any tool that reads that."""
    access, index = access.sorted_out(index)
    number = _number(index)
    user_files.demand_new(out, leaf)
    with ExitStack() as closing:
        source = _source(access, f"prove {number}", closing)
        receipt = source.prove(number)
    user_files.create(out, receipt.tlog_proof)
    if leaf is not None:
        user_files.create(leaf, receipt.leaf)
    document = {"ok": True, "index": number, "file": str(out), "bytes": len(receipt.tlog_proof)}
    output.emit(context, document, f"proof  {out}  entry {number}")


@plain_command(app, "passerelle ledger tail can -n 50 --reason 'is it serving?' --follow")
def tail(
    context: typer.Context,
    *,
    home: Home,
    count: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of the last entries.")
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    reason: Why = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show the last entries: time, type, partner, number; nothing that is sealed. That it was read is an entry."""
    if follow and output.manner(context).as_json:
        raise UserError("--follow has no end, and --json is one document: take one of them")
    with ExitStack() as closing:
        access = Access(where=home, reason=reason, officer=officer, passphrase_file=passphrase_file)
        further = ", and what follows" if follow else ""
        source = _source(access, f"tail {count}{further}", closing)
        held = list(source.held(max(0, source.size - count), source.size))
        size = source.size
    rows = [{"index": each.index, **_told(each)} for each in held]
    output.emit(context, {"ok": True, "size": size, "entries": rows}, *map(_line, rows))
    told, since = size, time.monotonic()
    while follow:
        time.sleep(EVERY)
        size = _more(home, size)
        if (
            size - told > FOLLOWED or time.monotonic() - since > HOUR
        ):  # one entry does not speak for a whole day
            session.live(access, f"tail, and what follows {size}").close()
            told, since = size, time.monotonic()


class _Bundled:
    """A bundle, for the single entries of it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.size = archive.size

    def held(self, start: int, stop: int) -> Iterator[Held]:
        return self._archive.held(start, stop)

    def prove(self, index: int) -> Receipt:
        from gateway.ledger.archive_proofs import prove as proof

        with output.gauge("hashing", self.size - self._archive.manifest.first) as progress:
            return proof(self._archive, index, progress)


def _source(access: Access, question: str, closing: ExitStack) -> _Bundled | Stored:
    if (access.where is None) is (access.bundle is None):
        raise UserError("name either a home directory or --bundle FILE")
    if access.bundle is not None:
        from gateway.ledger.archive import Archive

        return _Bundled(closing.enter_context(Archive.open(access.bundle)))
    return closing.enter_context(live(access, question))


def _more(home: Path, size: int) -> int:
    from gateway.server.local_source import Stored

    with Stored(home) as stored:
        for each in stored.held(size):
            typer.echo(_line({"index": each.index, **_told(each)}))
        return stored.size


def _facts(
    held: Held, key: Path | None, key_passphrase_file: Path | None
) -> dict[str, str] | str | None:
    from gateway.ledger.entry import decode, open_detail

    if held.ciphertext is None:
        return None
    if held.sealed_dek is None:
        return "shredded"
    if key is None:
        return "sealed"
    ring = opened(key, key_passphrase_file).audit_ring()
    return open_detail(decode(held.leaf), held.ciphertext, held.sealed_dek, ring)


def _told(held: Held) -> dict[str, object]:
    from gateway.ledger.entry import decode
    from gateway.ledger.merkle import leaf_hash

    frame: Frame = decode(held.leaf)
    said = {
        "time": frame.time.isoformat(timespec="milliseconds"),
        "type": frame.type.name,
        "class": frame.entry_class.name,
        "partner": frame.partner_id,
        "direction": frame.direction.name if frame.direction else "",
        "transaction": frame.transaction_number,
        "subject": frame.subject_reference,
        "agreement": f"{frame.agreement_id}@{frame.agreement_version}"
        if frame.agreement_id
        else "",
        "message": frame.message_id.hex(),
        "transcript": frame.transcript.hex(),
        "signing_key": frame.signing_key_id.hex(),
        "kem_key": frame.kem_key_id.hex(),
        "leaf_hash": leaf_hash(held.leaf).hex(),
    }
    return {name: value for name, value in said.items() if value}


def _lines(document: dict[str, object]) -> Iterator[str]:
    detail = document["detail"]
    for name, value in document.items():
        if name not in {"ok", "detail"}:
            yield f"{name:<12} {value}"
    if isinstance(detail, dict):
        for name, value in detail.items():
            yield f"  {name:<20} {value}"
    else:
        yield f"{'detail':<12} {detail or 'none'}"


def _line(row: dict[str, object]) -> str:
    names = ("index", "time", "type", "class", "partner", "transaction", "subject")
    return "  ".join(str(row[name]) for name in names if row.get(name) not in (None, ""))


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UserError("name the entry by its index, a number from 0")
    return int(text)
