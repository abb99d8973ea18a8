"""A correction that is demonstrated went the whole way: told, put right beside the use, and acknowledged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.exercises.demo import correction, people
from gateway.exercises.demo.correction import FIELDS, RIGHT, Redress
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.queries import AskedQuery
from gateway.law.agreement_library import packaged
from gateway.law.agreement_parser import parse

PARAGRAPH = "IRPR 315.41(2)(a)"
CAST = people.with_citizen(people.invented(range(5)))
ONE = AskedQuery(CAST.known[1], 2, None, "", 0.0)


class GatewayPair:
    """Two gateways that say what ours would; what a test sets is what they say instead."""

    def __init__(self, **said: object) -> None:
        self.said: Mapping[str, Any] = {
            "outbound query": {"asked": [{"number": "N-1"}]},
            "outbound details": {"ok": True},
            "outbound show": {
                "outcome": "MATCH",
                "fields": [{"field": name, "authority": PARAGRAPH} for name in FIELDS],
                "corrected": [{"right": [{"value": RIGHT}]}],
            },
            "outbound use": {"ok": True},
            "registry update": {"ok": True},
            "corrections open": {"opened": [{"correction": "ab"}]},
            "corrections trace": {"disclosed": [{"corrections": []}, {"corrections": [notice()]}]},
            **said,
        }
        self.words: list[tuple[str, ...]] = []
        self.officers: list[Path] = []

    def run(self, *words: object, officer: Path, **_: object) -> Any:
        told = tuple(map(str, words))
        self.words.append(told)
        self.officers.append(officer)
        name = " ".join(told[:2])
        return self.said[name]


def notice(acknowledged: str = "2026-03-01T00:00:00+00:00") -> dict[str, str]:
    return {"acknowledged": acknowledged, "outcome": "USED_NOTE_TO_FILE", "note": "N-9"}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what goes through both acts with some gateways, and what came of them."""
    monkeypatch.setattr(correction, "PATIENCE", 0.0)
    can, aus = (Party(name, tmp_path / name, tmp_path, tmp_path) for name in ("CAN", "AUS"))

    def go(gateways: GatewayPair) -> tuple[bool, int, bool, int]:
        monkeypatch.setattr(correction.subprocess_cli, "run", gateways.run)
        acts = Redress(can, aus, tmp_path / "C-7", tmp_path / "R-1")
        learned, number, fields = acts.learned(CAST, ONE, tmp_path)
        corrected, done = acts.corrected(ONE.person, number, tmp_path)
        return learned.kept, fields, corrected.kept, done

    return go


def test_the_whole_way_keeps_both_promises(told: Any, tmp_path: Path) -> None:
    gateways = GatewayPair()

    assert told(gateways) == (True, 2, True, 1)
    assert json.loads((tmp_path / "changed.json").read_text()) == {"DATE_OF_BIRTH": RIGHT}
    homes = {
        words[1]: Path(words[2]).name for words in gateways.words if words[1] in {"query", "use"}
    }
    assert homes == {"query": "AUS", "use": "AUS"}
    for words, officer in zip(gateways.words, gateways.officers, strict=True):
        assert officer.name == ("C-7" if str(tmp_path / "AUS") in words else "R-1")


@pytest.mark.parametrize(
    "fields",
    [[], [{"field": "LAST_NAME", "authority": PARAGRAPH}]],
    ids=["nothing", "one field of two"],
)
def test_what_was_not_learned_breaks_the_first(told: Any, fields: list[Any]) -> None:
    shown = {"outcome": "MATCH", "fields": fields, "corrected": [{"right": [{"value": RIGHT}]}]}

    assert told(GatewayPair(**{"outbound show": shown}))[0] is False


@pytest.mark.parametrize(
    "said",
    [
        {"corrections trace": {"disclosed": [{"corrections": [notice("")]}]}},
        {"corrections trace": {"disclosed": [{"corrections": []}]}},
        {"corrections open": {"opened": []}},
        {"outbound show": {"fields": [], "corrected": [{"right": [{"value": "1970-01-01"}]}]}},
        {"outbound show": {"fields": [], "corrected": []}},
    ],
    ids=["not acknowledged", "not in the trace", "not opened", "another value", "no value"],
)
def test_a_correction_that_did_not_arrive_breaks_the_second(
    told: Any, said: dict[str, Any]
) -> None:
    assert told(GatewayPair(**said))[2] is False


def test_the_copy_of_the_other_gateway_differs_in_who_is_who_alone() -> None:
    ours = parse(packaged()["au.toml"], "au.toml")
    theirs = parse(correction.mirrored().encode(), "au.toml")

    assert (theirs.home, theirs.partner) == (ours.partner, ours.home)
    assert theirs.home_countries == ours.partner_countries
    assert theirs.partner_countries == ours.home_countries
    assert theirs.home_names == ours.partner_names
    assert theirs.name == ours.name
    assert theirs.answering.purposes == ours.answering.purposes
    assert theirs.asking.purposes == ours.asking.purposes
