"""`passerelle audit`: what the ledger says of an exchange, to whoever holds the auditor's key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.audit.story import Question
from gateway.cli import console, desk
from gateway.cli.console import Code, Home, Json, PassphraseFile, example
from gateway.cli.desk import As
from gateway.cli.opening import passphrase_of
from gateway.errors import Remedy

if TYPE_CHECKING:
    from gateway.audit.story import Story
    from keys.envelope import OpeningKey

app = typer.Typer(help="Ask the ledger what was done, and why.", no_args_is_help=True)

Transaction = Annotated[str, typer.Argument(metavar="TXN", help="Transaction number of the query.")]
Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why you read it; recorded before anything is shown.")
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key",
        metavar="FOLDER",
        help="The auditor's folder (kek.json, keyset.json); without it sealed details stay sealed.",
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


@app.command(
    epilog=example(
        "passerelle audit explain can 20260301-0123456789abcdef0123 --reason 'complaint 14'"
        " --key auditor/ --as staff/a1",
        "passerelle audit explain can 20260301-0123456789abcdef0123 --only keys --reason 'complaint 14'",
    )
)
def explain(
    context: typer.Context,
    *,
    home: Home,
    number: Transaction,
    reason: Reason,
    partner: Annotated[
        str, typer.Option(metavar="ID", help="Whose query, where several used the number.")
    ] = "",
    only: Annotated[
        Question | None, typer.Option(metavar="QUESTION", help="One question alone.")
    ] = None,
    key: Key = None,
    key_passphrase_file: KeyPassphrase = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say who asked and why, what was sent and answered, and why it was permitted, masked or refused.

    Exit code 0: answered and clean. 1: answered, with findings. 2: could not be answered.
    """
    del as_json
    from gateway.audit.handed import opened, take
    from gateway.audit.story import tell
    from gateway.config import load
    from gateway.law.citing import citations

    opening = auditor_key(key, key_passphrase_file)
    read = desk.perform(
        home,
        "audit.transaction",
        {"transaction": number, "partner": partner, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    told = take(read["entries"], opening)
    folder = load(home).agreements.folder
    cite = citations(path.read_bytes() for path in sorted(folder.glob("*.toml")))
    story = tell(told, number, str(read["partner"]), cite, opened=opened(told))
    questions = list(Question) if only is None else [only]
    console.emit(
        context,
        _document(story, questions),
        *_lines(story, questions),
        code=Code.NO if story.findings else Code.DONE,
    )


def auditor_key(folder: Path | None, passphrase_file: Path | None) -> OpeningKey | None:
    """Return the auditor's key; None where none is named."""
    if folder is None:
        return None
    from keys.custody import FileCustody
    from keys.keyset import Keyset

    if not (folder / "keyset.json").is_file():
        raise Remedy(
            f"{folder} holds no auditor's key; name the folder that `init` made as auditor/"
        )
    passphrase: Callable[[], bytes] = console.passphrase_from(passphrase_file, "the auditor's key")
    custody = FileCustody.open(folder / "kek.json", passphrase())
    return Keyset.load(folder / "keyset.json", custody).audit_opening()


def _document(story: Story, questions: list[Question]) -> dict[str, object]:
    return {
        "ok": not story.findings,
        "transaction": story.number,
        "partner": story.partner,
        "answers": {
            question.value: [
                {
                    "what": line.label,
                    "value": line.value,
                    "leaf": line.leaf,
                    "paragraph": line.paragraph,
                }
                for line in story.answers[question]
            ]
            for question in questions
        },
        "findings": list(story.findings),
    }


def _lines(story: Story, questions: list[Question]) -> Iterator[str]:
    yield f"transaction {story.number} of {story.partner or 'nobody'}"
    for question in questions:
        lines = story.answers[question]
        if not lines:
            continue
        yield f"\n{question.value}"
        width = max(len(line.label) for line in lines)
        for line in lines:
            cited = f"   [{line.paragraph}]" if line.paragraph else ""
            yield f"  {line.label:<{width}}  {line.value}{cited}   leaf {line.leaf}"
    for finding in story.findings:
        yield f"finding: {finding}"
