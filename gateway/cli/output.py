"""How every command speaks: results on stdout, everything else on stderr, few exit codes.

0    done, and the answer is good
1    done, and the answer is no: findings, a refusal, nothing found, some files not enrolled
2    not done: wrong usage, a name of something that is not there, a person said no, or it could not be found out
130  ended by Ctrl-C, 128 and the signal's number as shells count
141  whoever read stdout went away before the end; likewise

With --json a command writes exactly one JSON document on stdout, also when it fails or is used wrongly. No
input leads to a traceback; an exception that nobody foresaw shows its class and an identifier, with --debug its traceback.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_args

import typer
from typer.core import TyperGroup

from gateway import user_files
from gateway.errors import PasserelleError, UserError
from gateway.language import LANGUAGES, Language, wanted
from keys.errors import KeysError

if TYPE_CHECKING:
    from rich.console import RenderableType

EXIT_CODES = (
    "Exit codes: 0 done · 1 the answer is no · 2 wrong usage, or it could not be found out"
    " · 130 ended by Ctrl-C · 141 nobody read stdout to its end."
)
UNBOUND = 1000  # columns
PASSPHRASE_BYTES = 1024  # longest passphrase read from a file; a longer file is not one


class Code(IntEnum):
    """What a command leaves to the shell."""

    DONE = 0
    NO = 1
    UNKNOWN = 2
    INTERRUPTED = 130
    UNREAD = 141


class No(UserError):
    """The command could find out, and the answer is no: exit code 1."""


@dataclass(slots=True)
class OutputOptions:
    """How this run speaks."""

    as_json: bool = False
    debug: bool = False
    said: bool = False  # whether the one document is written
    language: str = ""  # asked for with --language; else the environment says


def manner(context: typer.Context) -> OutputOptions:
    """Return how this run speaks; the same object for every command below the root."""
    found: OutputOptions = context.find_root().ensure_object(OutputOptions)
    return found


def _remember_json(context: typer.Context, value: bool) -> bool:
    if value:
        manner(context).as_json = True
    return value


def _remember_language(context: typer.Context, value: str) -> str:
    if value and value not in LANGUAGES:
        raise typer.BadParameter(f"{value} is none of {', '.join(LANGUAGES)}")
    manner(context).language = value
    return value


def language(context: typer.Context) -> Language:
    """Return the language in which results are told to a person: --language, else LC_ALL, LC_MESSAGES, LANG."""
    return Language(manner(context).language or wanted(os.environ))


Home = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Home directory of the party, made by `passerelle init`."),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        callback=_remember_json,
        help="Write one JSON document on stdout, nothing else there.",
    ),
]
In = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="en|fr",
        callback=_remember_language,
        help="Language of headings, words and findings; else as LC_ALL or LANG say. JSON and CSV keep their names.",
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
def bar(what: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show on stderr how far it is, where a person is looking."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.update(task, advance=count)


@contextmanager
def gauge(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show it likewise to who says how many are done in all, not how many more."""
    with bar(what, total) as advance:
        told = 0

        def reach(done: int) -> None:
            nonlocal told
            advance(done - told)
            told = done

        yield reach


def one_blas_thread() -> None:
    """Have each of our threads multiply alone; said before numpy is loaded, it holds for this process."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    typer.echo(text, err=True)


def confirm(shown: str, question: str, *, yes: bool) -> None:
    """Show what is about to be done and ask whether it is meant; raises UserError where nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("nobody is at the terminal to be asked: look at it first, then say --yes")
    typer.echo(shown, err=True)
    if not typer.confirm(question, err=True):
        raise UserError("not done, as you said")


def example(*lines: str) -> str:
    """Return the end of a help text: how the command looks in use, and its exit codes."""
    shown = "\n\n".join(f"  $ {line}" for line in lines)
    return f"Example:\n\n{shown}\n\n{EXIT_CODES}"


def passphrase_from(
    file: Path | None, what: str, *, new: bool = False, option: str = "--passphrase-file"
) -> Callable[[], bytes]:
    """Return what fetches a passphrase when it is needed: from the file, else from a person, unseen.

    new     for a passphrase that is set now: a person types it twice, and it has the least length
    option  names the file where there is nobody to ask
    """

    def fetch() -> bytes:
        passphrase = read()
        if new:
            from keys.custody import require_length

            require_length(passphrase, what)
        return passphrase

    def read() -> bytes:
        if file is not None:
            try:
                return _read_passphrase(file)
            except OSError as fault:
                raise UserError(
                    f"{file}: no passphrase of {what} can be read from it: {user_files.why(fault)}; give {option} FILE"
                ) from None
        if not sys.stdin.isatty():
            raise UserError(f"the passphrase of {what} is needed: give {option} FILE")
        entered: str = typer.prompt(
            f"Passphrase of {what}", hide_input=True, confirmation_prompt=new, err=True
        )
        return entered.encode()

    return fetch


def _read_passphrase(file: Path) -> bytes:
    with file.open("rb") as stream:
        if os.fstat(stream.fileno()).st_mode & 0o077:
            raise UserError(f"{file}: others may read this passphrase file; run: chmod 600 {file}")
        content = stream.read(PASSPHRASE_BYTES + 2)
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase:
        raise UserError(f"{file}: the passphrase file is empty; write the passphrase into it")
    if len(passphrase) > PASSPHRASE_BYTES:
        raise UserError(f"{file}: longer than {PASSPHRASE_BYTES} bytes; this is no passphrase file")
    return passphrase


class GuardedGroup(TyperGroup):
    """The root of all commands: the last fence between an exception and the person at the terminal."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Run from the words of the command line; wrong usage too is a document where JSON is asked for."""
        words = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in words[: words.index("--")] if "--" in words else "--json" in words
        alone = standalone_mode and not as_json
        try:
            code = super().main(words, prog_name, complete_var, alone, windows_expand_args, **extra)
            sys.stdout.flush()
        except SystemExit as leaving:
            if isinstance(leaving.__context__, BrokenPipeError):
                sys.exit(_unread())  # typer would say 1, which here means that the answer is no
            raise
        except BrokenPipeError:
            sys.exit(_unread())
        except (
            KeyboardInterrupt
        ):  # between two commands of ours: while words are read, or stdout is flushed
            sys.exit(int(Code.INTERRUPTED))
        except Exception as fault:
            if not as_json or not _is_usage(fault):
                raise
            sys.exit(_misused(fault))
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer's own types
        """Run the command; turn what it raises into one line and an exit code."""
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except typer.Abort:  # Ctrl-C or Ctrl-D at a question; a "no" is for whoever asked
            _fail(ctx, "Interrupted", "broken off; nothing more was done", Code.INTERRUPTED, {})
        except BrokenPipeError:
            raise typer.Exit(_unread()) from None
        except KeyboardInterrupt:
            _fail(ctx, "Interrupted", "interrupted", Code.INTERRUPTED, {})
        except (PasserelleError, KeysError) as fault:
            _fail(ctx, _kind_of(fault), str(fault), _code_of(fault), _facts_of(fault))
        except Exception as fault:
            if _is_typers(fault):
                _reword(fault)
                raise  # wrong usage: typer shows it beside the usage line, exit code 2
            _systems(ctx, fault)
            _unforeseen(ctx, fault)


def _systems(context: Any, fault: Exception) -> None:  # noqa: ANN401
    """Tell what the system says, with the remedy where no space was left; return where it is no fault of the system's."""
    if user_files.is_full(fault) or isinstance(fault, OSError):
        text = user_files.fault_text(fault) or type(fault).__name__
        _fail(context, type(fault).__name__, text, Code.UNKNOWN, {})


def _is_typers(fault: Exception) -> bool:
    return any(kind.__module__.startswith(("typer", "click")) for kind in type(fault).__mro__)


def _is_usage(fault: Exception) -> bool:
    """Tell whether typer says that the command was used wrongly, or that a person broke it off."""
    return isinstance(fault, typer.Abort) or (
        _is_typers(fault) and callable(getattr(fault, "format_message", None))
    )


def _reword(fault: Exception) -> None:
    """Say what an option takes where typer would show its validator's text: the kind of value, and an example."""
    option = getattr(fault, "param", None)
    if option is None or type(fault.__cause__).__name__ != "ValidationError":
        return  # a refusal of our own, or one of typer's that says what is missing
    kind, choices = option.type_descriptor.annotation, option.type_descriptor.choices
    if choices is not None:
        said = f"one of {', '.join(str(getattr(one, 'value', one)) for one in choices)}"
    elif kind is datetime:
        said = "no such day: write YYYY-MM-DD, e.g. 2026-03-01"
    else:
        least, most = option.min, option.max
        whole = "a whole number" if int in {kind, *get_args(kind)} else "a number"
        low = "" if least is None else f" of {least} or more" if most is None else f" from {least}"
        high = "" if most is None else f" to {most}" if low else f" of {most} or less"
        said = f"write {whole}{low}{high}, e.g. {_fitting(option.default, least, most)}"
    fault.message = said  # type: ignore[attr-defined]


def _fitting(default: object, least: float | None, most: float | None) -> object:
    """Return a number that an option would take: what it has unless told, else its least or most."""
    if isinstance(default, int | float) and not isinstance(default, bool):
        return default
    return next((bound for bound in (least, most) if bound is not None), 1)


def _misused(fault: Exception) -> int:
    """Write what is wrong with the usage as the one document; return the exit code."""
    aborted = isinstance(fault, typer.Abort)
    text = "broken off" if aborted else " ".join(fault.format_message().split())  # type: ignore[attr-defined]
    kind = "Aborted" if aborted else "Usage"
    document = {"ok": False, "error": {"kind": kind, "message": text}}
    try:
        _write(OutputOptions(as_json=True), document)
    except BrokenPipeError:
        return _unread()
    typer.echo(f"passerelle: {text}", err=True)
    return int(Code.UNKNOWN)


def _unread() -> int:
    """Point stdout at nothing, so that the interpreter's last flush has no complaint; return the exit code."""
    with suppress(OSError, ValueError):  # a stream without descriptor has no pipe either
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
    return int(Code.UNREAD)


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


def _kind_of(fault: Exception) -> str:
    """Return the name of an error, also of one that another process met."""
    return str(getattr(fault, "kind", "")) or type(fault).__name__


def _code_of(fault: Exception) -> Code:
    """Return 1 where the question was answered with no, 2 where it was not answered."""
    answered = (
        "Refused",
        "AnswerRejected",
        "ReceiptMissing",
        "SplitView",
        "DirectoryRefused",
    )
    # By name: commands that never ask a partner do not pay for importing gRPC.
    said = isinstance(fault, No) or type(fault).__name__ in answered
    later = getattr(fault, "code", "") in _LATER or getattr(fault, "reason", "") in _LATER
    return Code.NO if said and not later else Code.UNKNOWN


# A partner that could not answer, or not now, said nothing about what was asked.
_LATER = frozenset(
    {
        *("UNAVAILABLE", "INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "CANCELLED", "DEADLINE_EXCEEDED"),
        *("RATE_LIMITED", "TOO_MANY_CALLS", "KEY_STALE"),
    }
)


def _facts_of(fault: Exception) -> dict[str, object]:
    """Return what a machine may want to know of an error of the exchange."""
    names = ("code", "reason", "error_id", "retry_after", "step", "transaction_number")
    found: dict[str, object] = {name: getattr(fault, name, None) for name in names}
    found["metadata"] = dict(getattr(fault, "metadata", None) or {}) or None
    return {name: value for name, value in found.items() if value not in (None, "")}


def _write(how: OutputOptions, document: Mapping[str, object]) -> None:
    how.said = True
    sys.stdout.writelines(_pieces(document))
    sys.stdout.write("\n")
    sys.stdout.flush()


def _pieces(document: Mapping[str, object]) -> Iterator[str]:
    """Yield a document as JSON; of what is iterated over, a list, a thousand at a time."""
    before = "{"
    for key, value in document.items():
        yield f"{before}{json.dumps(key)}: "
        before = ", "
        if isinstance(value, Iterator):
            yield "["
            between = ""
            while some := list(islice(value, 1000)):
                yield between + json.dumps(some, ensure_ascii=False)[1:-1]
                between = ", "
            yield "]"
        else:
            yield json.dumps(value, ensure_ascii=False)
    yield "}" if document else "{}"


def _console() -> Any:  # noqa: ANN401 - rich is met lazily
    from rich.console import Console

    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=UNBOUND)  # nothing is cut in a file or a pipe, where there is no edge
