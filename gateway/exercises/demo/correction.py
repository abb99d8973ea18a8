"""A mistake chased: Australia's gateway asks, uses what it learned, gets a correction, and says what it did.

Here both parties serve, because a correction travels the other way. Australia's own law is not ours to write, so its
gateway works under a copy of our agreement in which the two parties have changed places.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway import user_files
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import NATIONALITY, Cast, Person
from gateway.exercises.demo.queries import AGREEMENT, PURPOSE, UNIT, AskedQuery
from gateway.law.agreement_library import packaged

FIELDS = ("LAST_NAME", "DATE_OF_BIRTH")
WRONG = "DATE_OF_BIRTH"
RIGHT = "1971-12-31"  # nobody else of the cast was born in that year
USED_IN = "R-17"  # Australia's own decision
PATIENCE = 300.0  # seconds; a notice leaves, is settled and acknowledged in rounds of two
PAUSE = 0.5  # seconds between two looks


def mirrored(name: str = "au", partner: str = "AUS") -> str:
    """Return a packaged agreement as the partner's gateway has it: the parties, and their countries, changed about."""
    text = packaged()[f"{name}.toml"].decode()
    text = text.replace('home = "CAN"', f'home = "{partner}"').replace(
        f'partner = "{partner}"', 'partner = "CAN"'
    )
    for one, other in (
        ("[[parties.home]]", "[[parties.partner]]"),
        ("\nhome = [", "\npartner = ["),
    ):
        text = text.replace(one, "\0").replace(other, one).replace("\0", other)
    return text


def prepare(aus: Party) -> Path:
    """Give Australia's gateway its agreement and a caseworker; return the caseworker's officer certificate."""
    parties.agree(aus, "au.toml", mirrored())
    return parties.grant_access(aus, "C-7", "caseworker")


class Redress:
    """The two gateways, both serving, and the officer certificates of Australia's caseworker and Canada's registrar."""

    def __init__(self, can: Party, aus: Party, caseworker: Path, registrar: Path) -> None:
        self._can, self._aus = can, aus
        self._caseworker, self._registrar = caseworker, registrar

    def learned(self, cast: Cast, one: AskedQuery, folder: Path) -> tuple[Promise, str, int]:
        """Have Australia's gateway ask what was a hit, learn two fields and use them.

        Returns the promise, the query's number, and how many fields came with their paragraph.
        """
        number = self._asked(cast, one, folder)
        about = ("--case", "C-31", "--unit", UNIT)
        wanted = [word for name in FIELDS for word in ("--field", name)]
        self._in_aus("outbound", "details", number, *wanted, *about, accept=(0, 1))
        shown = self._in_aus("outbound", "show", number)
        self._in_aus("outbound", "use", number, "--in", USED_IN)
        cited = {each["field"]: each["authority"] for each in shown.get("fields", ())}
        told = ", ".join(f"{name} {authority}" for name, authority in cited.items())
        promise = Promise(
            "AUS's own gateway asks, shows its caseworker what it learned, and records that it was used",
            f"{shown.get('outcome', 'NO ANSWER')}; {told or 'NO FIELDS'}; used in {USED_IN}",
            tuple(cited) == FIELDS and all(cited.values()),
        )
        return promise, number, sum(map(bool, cited.values()))

    def corrected(self, person: Person, number: str, folder: Path) -> tuple[Promise, int]:
        """Correct the record, inform whoever received it, and wait for what they did.

        Returns the promise, and how many notices were acknowledged.
        """
        changes = folder / "changed.json"
        user_files.write(changes, json.dumps({WRONG: RIGHT}).encode())
        who = person.pseudonym
        self._in_can("registry", "update", who, "--data", changes)
        kind = ("--kind", "WRONG_VALUE", "--field", WRONG, "--reason", "typed wrong at entry")
        opened = self._in_can("corrections", "open", "--subject", who, *kind)["opened"]
        ends = time.monotonic() + PATIENCE
        while True:
            trace = self._in_can("corrections", "trace", "--subject", who)
            notices = [each for one in trace["disclosed"] for each in one["corrections"]]
            done = [each for each in notices if each["acknowledged"]]
            if len(done) == len(notices) or time.monotonic() > ends:
                break
            time.sleep(PAUSE)
        self._in_can("corrections", "trace", "--subject", who, "--svg", folder / "trace.svg")
        held = self._in_aus("outbound", "show", number)
        right = [each["value"] for one in held["corrected"] for each in one["right"]]
        promise = Promise(
            "a wrong value is traced to whoever received it, corrected there, and acknowledged",
            f"{len(done)} of {len(opened)} notices: {_told(done)}; AUS keeps beside it {right}",
            len(done) == len(notices) == len(opened) == 1 and right == [RIGHT],
        )
        return promise, len(done)

    def _asked(self, cast: Cast, one: AskedQuery, folder: Path) -> str:
        """Ask by the gateway, as a caseworker does, and return the number."""
        fingers: list[str | Path] = []
        for each in one.person.impressions[one.impression]:
            path = each.path or folder / f"asked-{each.position}.fmr"
            if each.path is None:
                user_files.write(path, each.data)
            fingers += ["--finger", f"{each.position}={path}"]
        told = self._in_aus(
            *("outbound", "query", "--to", self._can.id),
            *("--agreement", f"{AGREEMENT[0]}@{AGREEMENT[1]}"),
            *("--purpose", PURPOSE.name, "--case", "C-31", "--unit", UNIT),
            *("--status", "FOREIGN_NATIONAL", "--nationality", NATIONALITY),
            *("--extractor", cast.extractor, *fingers),
        )
        return str(told["asked"][0]["number"])

    def _in_aus(self, *words: str | Path, accept: tuple[int, ...] = (0,)) -> Mapping[str, Any]:
        return _run(self._aus, self._caseworker, words, accept)

    def _in_can(self, *words: str | Path) -> Mapping[str, Any]:
        return _run(self._can, self._registrar, words, (0,))


def _run(
    party: Party, badge: Path, words: tuple[str | Path, ...], accept: tuple[int, ...]
) -> Mapping[str, Any]:
    """Run a command in a party's open gateway: its home directory stands after the command's own words."""
    return subprocess_cli.run(*words[:2], party.home, *words[2:], officer=badge, accept=accept)


def _told(done: list[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each['outcome']} {each['note']}".strip() for each in done) or "none"
