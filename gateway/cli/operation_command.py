"""Commands that are made of the declaration of an operation: its arguments, its help, its examples.

Each takes the home directory, what the operation declares, and what every command on a gateway takes: --as,
--passphrase-file, --json; --dry-run where the operation has a plan, --yes where it may leave the gateway without answers,
--custody where whoever holds the keys' passphrase may do it.
What is left to write of a command is how its answer is shown, and what it fills in by itself, from a file, say.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As, Perform
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.errors import UserError
from gateway.operations.declaration import DRY_RUN, REFUSED, Argument, Request

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gateway.client.officer_credential import Credential

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen and when, and do nothing.")
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Do not ask, though nothing is answered from then on; it is said."),
]
Custody = Annotated[
    bool,
    typer.Option(
        "--custody",
        help="At a stopped gateway: as whoever holds the keys' passphrase, not as an operator. It is how the first two"
        " operators come in; whatever it does after that is an ALARM.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One command on a gateway: which operation, with which values, and who asks.

    values   as they were typed; the gateway reads them
    options  how each argument is typed, for a refusal that names one; the command adds what it fills in from an option
    """

    context: typer.Context
    home: Path
    operation: type[Request]
    values: Mapping[str, Any]
    officer: Path | None
    passphrase: Callable[[], bytes]
    options: dict[str, str]
    dry_run: bool = False
    yes: bool = False
    custody: bool = False

    def perform(
        self, beside: Mapping[str, object] | None = None, /, **filled: object
    ) -> dict[str, Any]:
        """Have it done and return the answer; where it takes two persons, or is a dry run, tell that and end the command.

        beside   what is told of a proposal beside its own
        filled   values that the command has from elsewhere
        """
        values = {**self.values, **filled}
        declared = self.operation.declaration
        if self.dry_run:
            with self.session() as do:
                self._tell_plan(do(declared.name, {**values, DRY_RUN: True}))
        if declared.stops:
            with self.session() as do:
                demand_meant(do, declared.name, values, yes=self.yes)
        done = admin_session.perform_or_propose(
            *(self.home, declared.name, values),
            officer=self.officer,
            passphrase=self.passphrase,
            custody=self.custody,
        )
        if admin_session.tell_proposal(self.context, self.home, {**(beside or {}), **done}):
            raise typer.Exit(0)
        return done

    def perform_all(self, *rows: str, **filled: object) -> dict[str, Any]:
        """Have a list that comes in pages read to its last page; return its answer with all rows of the named lists."""
        with self.session() as do:
            values = {**self.values, **filled}
            return admin_session.pages(do, self.operation.declaration.name, values, rows)

    @contextmanager
    def session(self, credential: Credential | None = None) -> Iterator[Perform]:
        """Have several operations done, one after the other.

        credential   of the officer, where the command opened it already
        """
        with admin_session.open_session(
            self.home, officer=credential or self.officer, passphrase=self.passphrase
        ) as perform:
            yield perform

    def emit(
        self, answer: Mapping[str, object], *shown: RenderableType, code: Code = Code.DONE
    ) -> None:
        """Write the answer: the document where JSON is asked for, else what is made for eyes; then leave with `code`."""
        output.emit(self.context, {"ok": code is Code.DONE, **answer}, *shown, code=code)

    def _tell_plan(self, plan: Mapping[str, Any]) -> None:
        refused = any(sentence.startswith(REFUSED) for sentence in plan["plan"])
        lines = [*plan["plan"]]
        if plan["two_persons"] and not refused:
            lines.append("It takes two persons: without --dry-run this proposes it.")
        # What would be refused ends as the refusal itself does.
        self.emit(plan, *lines, code=Code.UNKNOWN if refused else Code.DONE)
        raise typer.Exit(0)


def demand_meant(perform: Perform, name: str, values: Mapping[str, object], *, yes: bool) -> None:
    """Where nothing would be answered from then on, say so and ask whether it is meant; raises UserError for no."""
    plan: dict[str, Any] = perform(name, {**values, DRY_RUN: True})
    if not plan["stops_answers"]:
        return
    shown = "\n".join(plan["plan"])
    if yes or not sys.stdin.isatty():
        output.note(shown)
    output.confirm(shown, "Stop it all the same?", yes=yes)


def command(
    app: typer.Typer, operation: type[Request]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the decorator that makes a function the command of an operation.

    The function takes the `Call`, and by keyword what else its command line has, annotated as Typer has it.
    """

    def make(body: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        declared = {name: said for name, said in operation.arguments().items() if said.help}
        parameters = [
            inspect.Parameter("context", _KEYWORD, annotation=typer.Context),
            inspect.Parameter("home", _KEYWORD, annotation=Home),
            *(_parameter(operation, name) for name, said in declared.items() if said.positional),
            *(each.replace(kind=_KEYWORD) for each in own),
            *(
                _parameter(operation, name)
                for name, said in declared.items()
                if not said.positional
            ),
            *_common(operation),
        ]

        def run(**given: Any) -> None:  # noqa: ANN401 - as typer hands them over
            values = {name: given[name] for name in declared if _is_given(given[name])}

            def passphrase() -> bytes:  # settings name its file: read once what was typed is right
                return passphrase_of(given["home"], given["passphrase_file"])()

            call = Call(
                context=given["context"],
                home=given["home"],
                operation=operation,
                values=values,
                officer=given["officer"],
                passphrase=functools.cache(passphrase),
                options={
                    name: _spelt(name, said)[0]
                    for name, said in declared.items()
                    if not said.positional
                },
                dry_run=given.get("dry_run", False),
                yes=given.get("yes", False),
                custody=given.get("custody", False),
            )
            with _in_options(call.options):
                body(call, **{each.name: given[each.name] for each in own})

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__doc__, run.__module__ = operation.__doc__, body.__module__
        said = operation.declaration
        app.command(name=said.command.rpartition(" ")[2], epilog=example(*said.examples))(run)
        return body

    return make


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@contextmanager
def _in_options(options: Mapping[str, str]) -> Iterator[None]:
    """Have a refusal that names an argument of the operation name the option that was typed."""
    try:
        yield
    except UserError as fault:
        name, _, text = str(fault).partition(": ")
        if type(fault) is not UserError or name not in options:
            raise
        raise UserError(f"{options[name]}: {text}") from None


def _spelt(name: str, said: Argument) -> tuple[str, ...]:
    """Return how the option of an argument is typed, the spelling of now first."""
    return said.option or (f"--{name.replace('_', '-')}",)


def _common(operation: type[Request]) -> Iterator[inspect.Parameter]:
    """Yield what every command on a gateway takes after its own."""
    if operation.declaration.plans:
        yield inspect.Parameter("dry_run", _KEYWORD, annotation=DryRun, default=False)
    if operation.declaration.stops:
        yield inspect.Parameter("yes", _KEYWORD, annotation=Yes, default=False)
    if operation.declaration.founds:
        yield inspect.Parameter("custody", _KEYWORD, annotation=Custody, default=False)
    yield inspect.Parameter("officer", _KEYWORD, annotation=As, default=None)
    yield inspect.Parameter("passphrase_file", _KEYWORD, annotation=PassphraseFile, default=None)
    yield inspect.Parameter("as_json", _KEYWORD, annotation=Json, default=False)


def _parameter(operation: type[Request], name: str) -> inspect.Parameter:
    """Return an argument of an operation as its command takes it."""
    said: Argument = operation.arguments()[name]
    form, default = said.form, operation.default(name)
    if default is MISSING and not said.planned and operation.declaration.plans:
        default = form.typed()  # the gateway asks for it where it is no dry run
    if form.typed is list:
        kind: Any = list[str] if default is MISSING else list[str] | None
        default = default if default is MISSING else None
    else:
        kind = form.typed
    if said.positional:
        info: Any = typer.Argument(metavar=said.metavar or None, help=said.help)
    else:
        info = typer.Option(
            *_spelt(name, said),
            metavar=said.metavar or None,
            help=said.help,
            min=form.least,
            max=form.most,
        )
    return inspect.Parameter(
        name,
        _KEYWORD,
        annotation=Annotated[kind, info],
        default=inspect.Parameter.empty if default is MISSING else default,
    )


def _is_given(value: object) -> bool:
    return value not in (None, "", False, [])
