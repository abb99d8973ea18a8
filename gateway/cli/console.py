"""How every command speaks: results on stdout, everything else on stderr, three exit codes.

0  done, and the answer is good
1  done, and the answer is no: findings, a refusal, nothing there, some files not enrolled
2  not done: wrong usage, or it could not be found out

With --json a command writes exactly one JSON document on stdout, also when it fails. No input leads to a
traceback; an exception that nobody foresaw shows its class and an identifier, with --debug its traceback.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from gateway.errors import PasserelleError, Remedy
from keys.errors import KeysError

if TYPE_CHECKING:
    from rich.console import RenderableType

EXIT_CODES = (
    "Exit codes: 0 done · 1 the answer is no · 2 wrong usage, or it could not be found out."
)
PASSPHRASE_BYTES = 1024  # longest passphrase read from a file; a longer file is not one


class Code(IntEnum):
    """What a command leaves to the shell."""

    DONE = 0
    NO = 1
    UNKNOWN = 2


class No(Remedy):
    """The command could find out, and the answer is no: exit code 1."""


@dataclass(slots=True)
class Manner:
    """How this run speaks."""

    as_json: bool = False
    debug: bool = False
    said: bool = False  # whether the one document is written


def manner(context: typer.Context) -> Manner:
    """Return how this run speaks; the same object for every command below the root."""
    found: Manner = context.find_root().ensure_object(Manner)
    return found


def _remember_json(context: typer.Context, value: bool) -> bool:
    if value:
        manner(context).as_json = True
    return value


Home = Annotated[
    Path, typer.Argument(metavar="DIR", help="Home folder of the party, made by `passerelle init`.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=_remember_json,
        help="Write one JSON document on stdout, nothing else there.",
    ),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File that holds the passphrase of the keys; without it the settings' passphrase_file,"
        " or a prompt. Never on the command line.",
    ),
]


def emit(
    context: typer.Context,
    document: Mapping[str, object],
    *shown: RenderableType,
    code: Code = Code.DONE,
) -> None:
    """Write the result: the document where JSON is asked for, else what is made for eyes; then leave."""
    if manner(context).as_json:
        _write(manner(context), document)
    else:
        console = _console()
        for each in shown:
            console.print(each, soft_wrap=isinstance(each, str), highlight=False, markup=False)
    if code is not Code.DONE:
        raise typer.Exit(int(code))


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far it is, where a person is looking."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.update(task, advance=count)


def one_blas_thread() -> None:
    """Have each of our threads multiply alone; said before numpy is loaded, it holds for this process."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    typer.echo(text, err=True)


def example(*lines: str) -> str:
    """Return the end of a help text: how the command looks in use, and its exit codes."""
    shown = "\n\n".join(f"  $ {line}" for line in lines)
    return f"Example:\n\n{shown}\n\n{EXIT_CODES}"


def passphrase_from(file: Path | None, what: str, *, new: bool = False) -> Callable[[], bytes]:
    """Return what fetches a passphrase when it is needed: from the file, else from a person, unseen.

    new   ask twice, for a passphrase that nobody has typed before
    """

    def fetch() -> bytes:
        if file is not None:
            return _read_passphrase(file)
        if not sys.stdin.isatty():
            raise Remedy(f"the passphrase of {what} is needed: give --passphrase-file FILE")
        entered: str = typer.prompt(
            f"Passphrase of {what}", hide_input=True, confirmation_prompt=new, err=True
        )
        return entered.encode()

    return fetch


def _read_passphrase(file: Path) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(PASSPHRASE_BYTES + 2)
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise Remedy(f"{file}: the passphrase file is empty; write the passphrase into it")
    if len(passphrase) > PASSPHRASE_BYTES:
        raise Remedy(f"{file}: longer than {PASSPHRASE_BYTES} bytes; this is no passphrase file")
    return passphrase


class Guarded(TyperGroup):
    """The root of all commands: the last fence between an exception and the person at the terminal."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Run the command; turn what it raises into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except (PasserelleError, KeysError) as fault:
            _fail(ctx, type(fault).__name__, str(fault), _code_of(fault), _facts_of(fault))
        except OSError as fault:
            where = f"{fault.filename}: " if fault.filename else ""
            text = f"{where}{fault.strerror or type(fault).__name__}"
            _fail(ctx, type(fault).__name__, text, Code.UNKNOWN, {})
        except Exception as fault:
            if type(fault).__module__.startswith(("typer", "click")):
                raise  # wrong usage: typer shows it beside the usage line, exit code 2
            _unforeseen(ctx, fault)


def _unforeseen(context: Any, fault: Exception) -> NoReturn:  # noqa: ANN401
    if manner(context).debug:
        traceback.print_exception(fault, file=sys.stderr)
    error_id = secrets.token_hex(4)
    text = f"a fault of ours ({type(fault).__name__}, {error_id}); run it again with --debug and report it"
    _fail(context, type(fault).__name__, text, Code.UNKNOWN, {"error_id": error_id})


def _fail(
    context: Any,  # noqa: ANN401
    kind: str,
    text: str,
    code: Code,
    facts: Mapping[str, object],
) -> NoReturn:
    if manner(context).as_json and not manner(context).said:
        error = {"kind": kind, "message": text, **facts}
        _write(manner(context), {"ok": False, "error": error})
    typer.echo(f"passerelle: {' '.join(text.split())}", err=True)
    raise typer.Exit(int(code))


def _code_of(fault: Exception) -> Code:
    """Return 1 where the question was answered with no, 2 where it was not answered."""
    answered = ("Refused", "KeyStale", "AnswerRejected", "ReceiptMissing", "SplitView")
    # By name: commands that never ask a partner do not pay for importing gRPC.
    return Code.NO if isinstance(fault, No) or type(fault).__name__ in answered else Code.UNKNOWN


def _facts_of(fault: Exception) -> dict[str, object]:
    """Return what a machine may want to know of an error of the exchange."""
    names = ("code", "reason", "error_id", "retry_after", "step", "transaction_number")
    found: dict[str, object] = {name: getattr(fault, name, None) for name in names}
    found["metadata"] = dict(getattr(fault, "metadata", None) or {}) or None
    return {name: value for name, value in found.items() if value not in (None, "")}


def _write(how: Manner, document: Mapping[str, object]) -> None:
    how.said = True
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _console() -> Any:  # noqa: ANN401 - rich is met lazily
    from rich.console import Console

    return Console()
