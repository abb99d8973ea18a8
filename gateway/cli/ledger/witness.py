"""`passerelle witness`: somebody else who looks at a ledger, remembers what it signed, and says so."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code, No, PassphraseFile
from gateway.cli.passphrase import log_of
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations.ledger import AddCosignature, ListWitnesses

if TYPE_CHECKING:
    from gateway.auditor.witness import Seen, Watcher
    from gateway.ledger.split_view import Judged

AAD = b"passerelle/1/witness-key"
NAME = "name"  # file of the witness's name
MOST_KEPT = 4_096  # bytes of either file; a sealed seed and a name have some hundred
KEY = "witness.key"
NAMED = re.compile(
    r"[a-z0-9]([a-z0-9.-]{0,62})(/[A-Za-z0-9._~/-]{1,64})?"
)  # a policy's words are ASCII

app = typer.Typer()

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The witness's own folder.")]
Party = Annotated[
    Path, typer.Option(metavar="BUNDLE", help="Bundle of the party whose ledger it is.")
]


@plain_command(
    app,
    "passerelle witness new commissioner --name privacy.example.ca/witness",
    "passerelle witness new commissioner --name privacy.example.ca/witness --passphrase-file w.pass --json",
)
def new(
    context: typer.Context,
    *,
    folder: Folder,
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Under which it signs: a host and a path, no space, no +."
        ),
    ],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a witness: a key of its own, sealed by a passphrase, and the line for the ledger's policy file."""
    from gateway.ledger.signed_note import KeyType, VerifierKey
    from keys.custody import FileCustody
    from keys.signatures import WitnessKey

    if folder.exists():
        raise UserError(f"{folder} is there already; a witness's key is never written over")
    if not NAMED.fullmatch(name):
        raise UserError("--name is a host and a path in plain ASCII: privacy.example.ca/witness")
    seed = secrets.token_bytes(32)
    vkey = VerifierKey(name, KeyType.MLDSA44, WitnessKey.from_seed(seed).public).format()
    passphrase = output.passphrase_from(passphrase_file, "the witness's key", new=True)()
    folder.mkdir(mode=0o700, parents=True)
    custody = FileCustody.create(folder / "kek.json", passphrase)
    user_files.create(folder / KEY, custody.wrap(seed, AAD))
    user_files.create(folder / NAME, f"{name}\n".encode())
    word = name.split("/", maxsplit=1)[0].split(".", maxsplit=1)[0]
    output.emit(
        context,
        {"ok": True, "name": name, "vkey": vkey, "policy": f"witness {word} {vkey}"},
        f"vkey    {vkey}",
        f"policy  witness {word} {vkey}",
        "next    the ledger's operators add that line to their evidence.policy, and name it in a quorum",
    )


@plain_command(
    app,
    "passerelle witness run commissioner --party CAN.json --from https://gateway.example.ca/ledger",
    "passerelle witness run commissioner --party CAN.json --from can/ledger --once --json",
)
def run(
    context: typer.Context,
    *,
    folder: Folder,
    party: Party,
    place: Annotated[
        str,
        typer.Option(
            "--from", metavar="PLACE", help="Where the ledger is published: folder or URL."
        ),
    ],
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="Between two looks.")
    ] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Look at a ledger's published files, keep its newest checkpoint, cosign it; until Ctrl-C, or once.

    Exit code 0: it only grew. 1: it was rewritten, and evidence is kept. 2: neither could be decided.
    """
    from gateway.auditor.witness import HistoryRewritten, fetching

    watcher, fetch = _watcher(folder, party, passphrase_file), fetching(place)
    if not once and output.manner(context).as_json:
        raise UserError("--json is one document: say --once with it")
    while True:
        try:
            seen = watcher.look(fetch, datetime.now(UTC))
        except HistoryRewritten as rewritten:
            raise No(str(rewritten)) from None
        except (UserError, OSError) as fault:  # a full disk too: whoever watches goes on watching
            if once:
                raise
            output.note(f"not told: {user_files.fault_text(fault)}")
        else:
            _tell(context, seen, once=once)
        if once:
            return
        time.sleep(interval)


@plain_command(app, "passerelle witness show commissioner --party CAN.json")
def show(context: typer.Context, *, folder: Folder, party: Party) -> None:
    """Say what a witness remembers of a ledger, and what evidence it keeps; needs no passphrase."""
    from gateway.ledger.signed_note import MAX_NOTE

    log = log_of(party)
    kept = folder / f"{log.origin.replace('/', '-')}.checkpoint"
    if not kept.is_file():
        raise No(f"{folder} has not seen {log.origin} yet")
    checkpoint, at = log.read(user_files.named(kept, MAX_NOTE))
    evidence = sorted(str(path) for path in folder.glob(f"{kept.stem}.split-*.json"))
    document = {
        "ok": not evidence,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "signed": datetime.fromtimestamp(at, UTC).isoformat(),
        "evidence": evidence,
    }
    lines = [f"{checkpoint.origin}  {checkpoint.size} entries  root {checkpoint.root.hex()[:16]}…"]
    lines += [f"EVIDENCE  {path}" for path in evidence]
    output.emit(context, document, *lines, code=Code.NO if evidence else Code.DONE)


@plain_command(
    app,
    "passerelle witness check CAN.split-0123456789abcdef.json --party CAN.json",
    "passerelle witness check aus.checkpoint nzl.checkpoint --party CAN.json --from can/ledger",
)
def check(
    context: typer.Context,
    *,
    evidence: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="One evidence file, or two checkpoints of one ledger."
        ),
    ],
    party: Party,
    place: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="PLACE", help="Where the ledger is published; it may clear itself."
        ),
    ] = None,
) -> None:
    """Judge off-line whether two signed checkpoints of one ledger can both be true.

    Exit code 0: they can. 1: they cannot, or the ledger has not shown it. 2: it is no evidence.
    """
    from gateway.auditor.witness import fetching
    from gateway.ledger import split_view
    from gateway.ledger.errors import TileRefused
    from gateway.ledger.signed_note import MAX_NOTE
    from gateway.ledger.tiles import Tiles

    log = log_of(party)
    if len(evidence) == 1:
        said, one, other = split_view.read(user_files.named(evidence[0], split_view.MOST))
    elif len(evidence) == 2:
        said, (one, other) = "", (user_files.named(path, MAX_NOTE) for path in evidence)
    else:
        raise UserError("name one evidence file, or two checkpoints")
    node = None
    judged = split_view.judge(one, other, log)
    if place is not None:
        node = Tiles(fetching(place), judged.newer.size).node
        try:
            judged = split_view.judge(one, other, log, node)
        except TileRefused as fault:
            raise UserError(f"the published files do not show it: {fault}") from None
    _sentence(context, judged, said)


@command(app, AddCosignature)
def submit(
    call: Call,
    *,
    note: Annotated[
        Path, typer.Argument(metavar="NOTE", help="A checkpoint that a witness cosigned.")
    ],
) -> None:
    """Hand in a file."""
    from gateway.ledger.signed_note import MAX_NOTE

    told = call.perform(note=user_files.named(note, MAX_NOTE).hex())
    call.emit(told, f"kept  entries {told['size']}  {told['witnesses']}")


@command(app, ListWitnesses)
def list_(call: Call) -> None:
    """Show who cosigned."""
    told = call.perform()
    lines = [f"{row['witness']}  {row['size']} entries  {row['time']}" for row in told["witnesses"]]
    lines.append(f"quorum  {told['quorum']}  {told['reached']} entries")
    call.emit(told, *lines)


@plain_command(
    app,
    "passerelle witness quorum 2026.bundle --policy witnesses.policy --party CAN.json",
    "passerelle witness quorum 2026.bundle --policy witnesses.policy --party CAN.json --json",
)
def quorum(
    context: typer.Context,
    *,
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="Exported bundle (passerelle ledger export).")
    ],
    policy: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Whose cosignatures you demand, as C2SP tlog-policy."),
    ],
    party: Party,
) -> None:
    """Say off-line up to which entry a ledger was cosigned by a quorum of your choice.

    First verify the bundle: passerelle ledger verify. Witnesses look at different moments; whoever cosigned a tree
    vouches for the smaller ones that it begins with.

    Exit code 0: a quorum cosigned entries of the bundle. 1: none did. 2: neither could be decided.
    """
    from gateway.ledger import witness_quorum as counting
    from gateway.ledger.archive import Archive
    from gateway.ledger.witness_policy import MAX_POLICY, NONE, Policy

    demanded, log = Policy.parse(user_files.named(policy, MAX_POLICY)), log_of(party)
    demanded.demand(log)
    with Archive.open(bundle) as archive:
        size = archive.size
        found = counting.count(archive.notes(), archive.cosignatures(), log, demanded)
    wanted = demanded.quorum != NONE
    reached = found.reached if wanted else size
    document = {
        "ok": reached > 0,
        "reached": reached,
        "size": size,
        "quorum": demanded.quorum,
        "witnesses": [{"witness": name, "size": last} for name, last in found.witnesses],
    }
    lines = [f"{name}  {last or 'never'}" for name, last in found.witnesses]
    told = f"{reached} of {size} entries" if wanted else "nobody is demanded"
    lines.append(f"quorum {demanded.quorum}  {told}")
    output.emit(context, document, *lines, code=Code.DONE if reached else Code.NO)


def _watcher(folder: Path, party: Path, passphrase_file: Path | None) -> Watcher:
    from gateway.auditor.witness import Watcher
    from keys.custody import FileCustody
    from keys.signatures import WitnessKey

    if not (folder / KEY).is_file():
        raise UserError(f"{folder} holds no witness: passerelle witness new {folder} --name …")
    passphrase = output.passphrase_from(passphrase_file, "the witness's key")()
    custody = FileCustody.open(folder / "kek.json", passphrase)
    key = WitnessKey.from_seed(custody.unwrap(user_files.named(folder / KEY, MOST_KEPT), AAD))
    name = user_files.named(folder / NAME, MOST_KEPT).decode().strip()
    return Watcher(folder, log_of(party), name, key)


def _tell(context: typer.Context, seen: Seen, *, once: bool) -> None:
    checkpoint = seen.checkpoint
    document = {
        "ok": True,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "grown": seen.grown,
        "cosigned": str(seen.file),
    }
    if seen.grown or once:
        line = f"{checkpoint.origin}  {checkpoint.size} entries  cosigned  {seen.file}"
        output.emit(context, document, line)


def _sentence(context: typer.Context, judged: Judged, said: str) -> None:
    from gateway.ledger.split_view import Verdict

    document = {
        "ok": judged.verdict is Verdict.CONSISTENT,
        "verdict": judged.verdict.value,
        "why": judged.why,
        "accusation": said,
        "origin": judged.older.origin,
        "sizes": [judged.older.size, judged.newer.size],
    }
    code = Code.DONE if judged.verdict is Verdict.CONSISTENT else Code.NO
    line = f"{judged.older.origin}  {judged.verdict.value.upper()}  {judged.why}"
    output.emit(context, document, line, code=code)
