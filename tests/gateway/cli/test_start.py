"""What a start pays for: the command that was typed, and nothing of the others."""

from __future__ import annotations

import subprocess
import sys
from copy import copy
from typing import Any

import pytest
import typer
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from gateway.cli.lazy import LazyGroup, Table
from gateway.cli.main import app, listed
from gateway.cli.output import GuardedGroup, Json

HEAVY = ("cryptography", "google", "grpc", "numpy", "prometheus_client", "pydantic_settings")
HEAVIER = (
    "rich",
    "sqlalchemy",
    "structlog",
    "tuf",
    "matcher",
    "gateway.server",
    "gateway.casework",
)


def commands(modules: set[str]) -> set[str]:
    """Return the modules of commands among those that were imported."""
    return {
        name.removeprefix("gateway.cli.") for name in modules if name.startswith("gateway.cli.")
    }


def test_help_imports_no_command_and_nothing_heavy(loaded: Any) -> None:
    modules, shown = loaded("--help")

    assert "keys" in shown
    assert commands(modules) == {"lazy", "main", "old_spellings", "output"}
    assert not modules & {*HEAVY, *HEAVIER} - {"rich"}


def test_the_version_imports_no_command_and_nothing_heavy(loaded: Any) -> None:
    modules, shown = loaded("--version")

    assert shown.startswith("passerelle ")
    assert commands(modules) == {"lazy", "main", "old_spellings", "output"}
    assert not modules & {*HEAVY, *HEAVIER}


def test_a_command_imports_none_of_the_others(loaded: Any) -> None:
    modules, shown = loaded("keys", "list", "--help")

    assert "List our keys" in shown
    assert "gateway.cli.keys.lifecycle" in modules
    groups = {name.partition(".")[0] for name in commands(modules)}
    assert not groups & {"admin", "audit", "casework", "exercises", "home", "ledger", "subjects"}
    assert not modules & {*HEAVY, *HEAVIER} - {"rich"}


def test_what_carries_an_officers_command_to_a_gateway_imports_no_ledger_and_no_partners() -> None:
    code = (
        "import sys, gateway.client.admin, gateway.client.officer_credential; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())

    assert "gateway.wire.json_values" in modules
    assert not {name for name in modules if name.startswith(("gateway.ledger", "gateway.domain"))}
    assert not modules & {"gateway.trust.bundle", "gateway.trust.partners", "keys.keyset"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completing_a_name_imports_no_command(shell: str, loaded: Any) -> None:
    words = {"COMP_WORDS": "passerelle ke", "COMP_CWORD": "1"}
    words |= {"_TYPER_COMPLETE_ARGS": "passerelle ke", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    modules, shown = loaded(_PASSERELLE_COMPLETE=f"complete_{shell}", **words)

    assert "keys" in shown
    assert "ledger" not in shown
    assert commands(modules) == {"lazy", "main", "old_spellings", "output"}


def test_words_within_a_group_are_completed(loaded: Any) -> None:
    words = {"COMP_WORDS": "passerelle keys li", "COMP_CWORD": "2"}
    _, shown = loaded(_PASSERELLE_COMPLETE="complete_bash", **words)

    assert shown.split() == ["list"]


def test_the_table_says_of_every_command_what_its_own_help_says() -> None:
    told = {
        name: (command.short_help or command.help or "").split("\n\n")[0]
        for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
    }

    assert {name: entry.summary for name, entry in listed.entries.items()} == told
    assert len(told) > 30


def test_help_from_the_table_is_the_help_of_the_real_commands() -> None:
    """Names, order, summaries, the panels they stand in: nothing of a command is hidden, deprecated or elsewhere."""
    root: Any = typer.main.get_command(app)
    real = copy(root)
    real.commands = dict(root.commands)
    real.format_help = lambda ctx, formatter: TyperGroup.format_help(real, ctx, formatter)
    shown = []
    for each in (root, real):
        with CliRunner().isolation(env={"COLUMNS": "90"}) as streams:
            context = each.make_context("passerelle", [], resilient_parsing=True)
            each.format_help(context, context.make_formatter())
            sys.stdout.flush()
            shown.append(streams[0].getvalue())

    assert shown[0] == shown[1]
    assert b"Rehearse, on a scratch gateway" in shown[0]


def test_whoever_asks_for_a_command_gets_the_real_one_and_always_the_same() -> None:
    first: Any = typer.main.get_command(app)
    second: Any = typer.main.get_command(app)
    context = first.make_context("passerelle", [], resilient_parsing=True)
    keys = first.get_command(context, "keys")

    assert [name for name in keys.commands if name == "list"] == ["list"]
    assert "--passphrase-file" in str([each.opts for each in keys.commands["list"].params])
    assert second.commands["keys"].commands["list"] is keys.commands["list"]


# A command that cannot be imported


def small(fault: BaseException | None) -> typer.Typer:
    """Return an application of one lazy command, whose import ends in `fault`."""
    table = Table()

    class Root(LazyGroup, GuardedGroup):
        pass

    Root.table = table
    made = typer.Typer(cls=Root, name="small", no_args_is_help=True, add_completion=False)

    @made.callback()
    def root() -> None:
        pass

    @table("act", "Do it.")
    def _act(into: typer.Typer) -> None:
        if fault is not None:
            raise fault

        @into.command(name="act")
        def act(as_json: Json = False) -> None:
            """Do it."""

    return made


def test_a_group_keeps_what_it_was_added_with() -> None:
    """A group's commands are built later; its own words, and that it is hidden, are not lost on the way."""
    inner, table = typer.Typer(help="Its own words.", no_args_is_help=True), Table()
    inner.command(name="act")(lambda: None)
    deeper = typer.Typer(help="Deeper.")
    deeper.command(name="again")(lambda: None)
    inner.add_typer(deeper, name="deep", hidden=True)

    @table("old", "Its own words.")
    def _old(into: typer.Typer) -> None:
        into.add_typer(inner, name="old", hidden=True, epilog="The end.")

    old = table.commands["old"]

    assert (old.name, old.help, old.epilog) == ("old", "Its own words.", "The end.")
    assert old.hidden
    assert old.no_args_is_help
    assert [*old.commands] == ["act", "deep"]
    assert old.commands["deep"].hidden
    assert [*old.commands["deep"].commands] == ["again"]


def test_a_command_that_imports_is_run() -> None:
    assert CliRunner().invoke(small(None), ["act"]).exit_code == 0


def test_ctrl_c_while_a_command_is_imported_ends_in_order() -> None:
    done = CliRunner().invoke(small(KeyboardInterrupt()), ["act"])

    assert (done.exit_code, done.stderr) == (130, "passerelle: interrupted\n")


def test_a_command_that_cannot_be_imported_leaves_the_others_and_help() -> None:
    broken = small(ImportError("no such module"))

    assert CliRunner().invoke(broken, ["--help"]).exit_code == 0
    done = CliRunner().invoke(broken, ["act"])
    assert done.exit_code == 2
    assert done.stderr.startswith("passerelle: a fault of ours (ImportError")


def test_a_misspelt_command_is_answered_without_importing_any() -> None:
    broken = small(ImportError("no such module"))

    done = CliRunner().invoke(broken, ["atc"])

    assert done.exit_code == 2
    assert "Did you mean 'act'" in done.output
