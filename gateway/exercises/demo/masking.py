"""The citizen who is found and not revealed: what the partner saw, and what the auditor's key says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.domain.messages import Outcome
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.queries import AskedQuery

NEVER = "IRPR 315.36"  # whose information is shared at all: nationals of a third country


def hidden(asked: Sequence[AskedQuery], found: Collection[str], why: str) -> tuple[Promise, int]:
    """Return the promise that a citizen looks like an unknown person, and how often one was asked about and found.

    found   transaction numbers of which the sealed detail says that somebody was found and not shown
    why     the paragraph that the auditor was given for one of them
    """
    citizens = [one for one in asked if one.person.citizen and one.answer is not None]
    shown = {one.outcome for one in citizens}
    sizes = {one.answer.envelope_size for one in asked if one.answer is not None}
    masked = len(_numbers(citizens) & set(found))
    promise = Promise(
        "a citizen is answered as an unknown person is; that they were found is for the auditor's key alone",
        f"{masked} of {len(citizens)} found and shown as"
        f" {', '.join(sorted(each.name for each in shown if each)) or 'nothing'},"
        f" {len(sizes)} size of answers; audit explain: {why or 'NO PARAGRAPH'}",
        masked > 0 and shown == {Outcome.NO_MATCH} and len(sizes) == 1 and why == NEVER,
    )
    return promise, masked


def explained(can: Party, auditor: Path, asked: Sequence[AskedQuery]) -> str:
    """Return the paragraph that `audit explain` names for a masked answer; "" where it names none."""
    for number in sorted(_numbers([one for one in asked if one.person.citizen])):
        told = subprocess_cli.run(
            *("audit", "explain", can.home, number, "--only", "decision"),
            *("--reason", "the demonstration's complaint 1"),
            *("--key", can.home / "auditor", "--key-passphrase-file", can.auditor_file),
            accept=(0, 1),
            officer=auditor,
        )
        lines = told["answers"]["decision"]
        if any(line["what"] == "masked" for line in lines):
            ruled = (line for line in lines if line["what"] == "decided by rule")
            return next((str(line["paragraph"]) for line in ruled), "")
    return ""


def _numbers(asked: Sequence[AskedQuery]) -> set[str]:
    return {one.answer.transaction_number for one in asked if one.answer is not None}
