"""How a command on keys is put to the gateway: as a step to take, or as a plan to be told of."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import Perform
from gateway.cli.output import Code
from gateway.cli.passphrase import passphrase_of

KINDS = (
    "KEM, SIGNING, LOG, TLS_CA, TLS_LEAF, DATA; or DELEGATION, SNAPSHOT, TIMESTAMP,"
    " which the directory's root key holders then name."
)
SHOWN = 16  # digits of a key id that are enough to tell ours apart
REFUSED = "Refused: "  # how a plan begins that would not be done

Key = Annotated[
    str,
    typer.Argument(metavar="KEY", help="The key: the first digits of its id, 8 or more."),
]
Kind = Annotated[
    str,
    typer.Argument(metavar="KIND", help=KINDS),
]
Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen and when, and do nothing.")
]
Yes = Annotated[
    bool,
    typer.Option("--yes", help="Do not ask, though nothing is answered from then on; it is said."),
]


def demand_meant(perform: Perform, values: Mapping[str, object], *, yes: bool) -> None:
    """Where nothing would be answered without a key of ours, say so and ask whether it is meant; raises UserError for no."""
    said: dict[str, Any] = perform("keys.suspend", {**values, "dry_run": True})
    if not said["stops_answers"]:
        return
    shown = "\n".join(said["plan"])
    if yes or not sys.stdin.isatty():
        output.note(shown)
    output.confirm(shown, "Stop it all the same?", yes=yes)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, where, and how it is answered."""

    context: typer.Context
    home: Path
    officer: Path | None
    passphrase_file: Path | None

    def perform(self, act: str, values: Mapping[str, object]) -> dict[str, Any]:
        """Have an act done, or planned."""
        passphrase = passphrase_of(self.home, self.passphrase_file)
        return admin_session.perform(
            self.home, act, values, officer=self.officer, passphrase=passphrase
        )

    def step(
        self, act: str, values: Mapping[str, object], *, dry_run: bool, yes: bool | None = None
    ) -> None:
        """Take a step, or say what it would do; then say what moved, and what partners need.

        What takes two persons is proposed.

        yes   of what stops a key at once: do not ask, though nothing is answered from then on
        """
        if dry_run:
            self._plan(self.perform(act, {**values, "dry_run": True}))
            return
        passphrase = functools.cache(passphrase_of(self.home, self.passphrase_file))
        if yes is not None:
            with admin_session.at_desk(
                self.home, officer=self.officer, passphrase=passphrase
            ) as perform:
                demand_meant(perform, values, yes=yes)
        done: dict[str, Any] = admin_session.perform_or_propose(
            self.home, act, values, officer=self.officer, passphrase=passphrase
        )
        if admin_session.said(self.context, self.home, done):
            return
        output.emit(self.context, {"ok": True, **done}, *_moved(done), *self._after(act, done))

    def _plan(self, said: dict[str, Any]) -> None:
        refused = any(sentence.startswith(REFUSED) for sentence in said["plan"])
        lines = [*said["plan"]]
        if said["two_persons"]:
            lines.append("It takes two persons: without --dry-run this proposes it.")
        code = Code.NO if refused else Code.DONE
        output.emit(self.context, {"ok": not refused, **said}, *lines, code=code)

    def _after(self, act: str, done: dict[str, Any]) -> list[str]:
        """Return the lines that say what comes next."""
        lines = []
        if done.get("missing"):
            lines.append(
                f"waits    {', '.join(done['missing'])} not seen with it yet; it goes on by"
            )
            lines.append(
                f"         itself, or: passerelle keys promote {self.home} {done['key'][:SHOWN]}"
            )
        if done.get("due"):
            lines.append(
                f"due      {done['due'][:16]} UTC; until then `passerelle keys cancel` ends it"
            )
        if done.get("keepers"):
            verb, count = ("root", 3) if done["keepers"] == "root" else ("renew", 2)
            lines.append(
                f"waits    for {count} of the directory's root key holders to name it, who then put it in use:"
            )
            lines.append(f"         passerelle directory {verb} {self.home} --root-key FOLDER …")
        elif act == "keys.generate":
            lines.append(f"next     passerelle keys publish {self.home}")
        if "version" in done:
            lines.append(f"entry    version {done['version']}  {done['fingerprint']}")
        return lines


def _moved(done: dict[str, Any]) -> list[str]:
    lines = [
        f"{move['kind']:9}{move['key'][:SHOWN]}  {move['from'] or 'new'} → {move['to']}"
        for move in done.get("moves", [])
    ]
    if "on" in done:
        lines.append(
            f"{done['kind']:9}{'every ' + str(done['days']) + ' days' if done['on'] else 'off'}"
        )
    return lines
