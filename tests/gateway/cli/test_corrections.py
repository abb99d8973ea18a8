"""`passerelle corrections`, `outbound`, from inside a closed gateway; and the graph, three ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.cli import admin_session
from gateway.cli.casework import corrections_graph
from gateway.cli.casework.corrections_graph import Node
from gateway.cli.operation_command import Call

NUMBER = "20260301-0123456789abcdef0123"
LAWFUL = (
    *("--to", "AUS", "--agreement", "au@1", "--purpose", "VISA_PERMIT_BENEFIT", "--case", "C-1"),
    *("--unit", "U-1", "--nationality", "SYR"),
)


@pytest.fixture
def caseworker(homes: Any, run: Any, passphrase: Any, officer: Any) -> Any:
    """Return what runs a command of CAN's as a caseworker."""
    home = homes["CAN"]
    own = officer("P-7", "caseworker")

    def do(*words: Any) -> Any:
        *verbs, rest = words
        return run(*verbs, home, *rest, "--as", own, *passphrase, "--json")

    return do


def test_what_was_never_disclosed_cannot_be_corrected(caseworker: Any) -> None:
    said = caseworker(
        *("corrections", "open"),
        ("--number", NUMBER, "--kind", "WITHDRAWN", "--reason", "why"),
    )

    assert said.code == 2
    assert "nothing of this was disclosed" in said.document["error"]["message"]


def test_nothing_open_is_an_empty_list_and_an_empty_trace_is_no(caseworker: Any) -> None:
    listed = caseworker("corrections", "list", ("--open",))
    traced = caseworker("corrections", "trace", ("--number", NUMBER))

    assert (listed.code, listed.document["corrections"]) == (0, [])
    assert traced.code == 1


@pytest.mark.parametrize("verb", ["settle", "retry"])
def test_an_unknown_correction_is_said_to_be_so(caseworker: Any, verb: str) -> None:
    more = ("--not-used", "--reason", "why") if verb == "settle" else ()
    said = caseworker("corrections", verb, ("00" * 16, *more))

    assert said.code == 2
    assert "corrections list" in said.document["error"]["message"]


def test_what_our_law_stops_is_told_plainly(caseworker: Any, record: Any, tmp_path: Path) -> None:
    """IRPR 315.4(2): no query to a party in whose country the person alleges persecution."""
    finger = f"2={record(tmp_path / 'a.fmr', 1, impression=1)}"
    said = caseworker(
        "outbound",
        "query",
        (*LAWFUL, "--status", "CLAIMANT", "--alleged-persecution", "AUS", "--finger", finger),
    )

    assert said.code == 1
    (told,) = said.document["asked"]
    assert (told["state"], told["reason"]) == ("STOPPED", "PERSECUTION_EXCLUSION")
    assert (told["ended_by"], told["paragraph"]) == ("OUR_GATEWAY", "IRPR 315.4(2)")


def test_a_question_that_was_stopped_is_shown_to_whoever_reads_it(
    *, homes: Any, run: Any, passphrase: Any, officer: Any, record: Any, tmp_path: Path
) -> None:
    finger = f"2={record(tmp_path / 'a.fmr', 1, impression=1)}"
    who = ("--as", officer("P-7", "caseworker"), *passphrase)
    barred = ("--status", "CLAIMANT", "--alleged-persecution", "AUS", "--finger", finger)

    asked = run("outbound", "query", homes["CAN"], *LAWFUL, *barred, *who)
    number = asked.out.split()[1]
    shown = run("outbound", "show", homes["CAN"], number, *who)
    listed = run("outbound", "list", homes["CAN"], *who)

    assert (asked.code, shown.code, listed.code) == (1, 0, 0)
    for said in (asked, shown):
        assert "PERSECUTION_EXCLUSION  (IRPR 315.4(2))  stopped here, nothing was sent" in said.out
        assert "to do    Do not ask this partner about the person." in said.out
    assert number in listed.out
    assert "PERSECUTION_EXCLUSION" in listed.out


def test_what_is_lawful_still_needs_a_partner_that_is_known(
    caseworker: Any, record: Any, tmp_path: Path
) -> None:
    finger = f"2={record(tmp_path / 'a.fmr', 1, impression=1)}"

    said = caseworker(
        "outbound", "query", (*LAWFUL, "--status", "FOREIGN_NATIONAL", "--finger", finger)
    )

    assert said.code == 2
    assert "party import" in said.document["error"]["message"]


def test_nothing_asked_is_an_empty_list_and_nothing_to_use(caseworker: Any) -> None:
    listed = caseworker("outbound", "list", ())
    shown = caseworker("outbound", "show", (NUMBER,))
    used = caseworker("outbound", "use", (NUMBER, "--in", "R-1"))

    assert (listed.code, listed.document["asked"]) == (0, [])
    assert shown.code == used.code == 2


def test_the_pages_of_a_list_come_together_as_one() -> None:
    asked: list[object] = []

    def perform(act: str, values: Mapping[str, object]) -> dict[str, object]:
        asked.append((act, values["number"], values["page_token"]))
        place = len(asked)
        return {
            "state": "USED",
            "fields": ["a"] if place == 1 else [],
            "corrected": [place],
            "next_page_token": f"t{place}" if place < 3 else "",
        }

    whole = admin_session.pages(
        perform, "asked.show", {"number": NUMBER, "page_token": ""}, ("fields", "corrected")
    )

    assert asked == [("asked.show", NUMBER, each) for each in ("", "t1", "t2")]
    assert (whole["fields"], whole["corrected"]) == (["a"], [1, 2, 3])
    assert whole["next_page_token"] == ""


CORRECTION = {
    "kind": "WRONG_PERSON",
    "state": "LATE",
    "late": True,
    "acknowledged": "",
    "outcome": "",
}
TRACE = {
    "subject": "F-1",
    "number": "",
    "disclosed": [
        {
            "partner": "AUS",
            "number": NUMBER,
            "fields": [{"field": "GENDER", "record_version": 2}],
            "corrections": [
                CORRECTION,
                {**CORRECTION, "acknowledged": "2026-03-02", "outcome": "DESTROYED"},
            ],
        }
    ],
    "received": [],
}


def test_the_graph_is_a_tree_for_eyes() -> None:
    assert corrections_graph.tree(corrections_graph.of_trace(TRACE)) == [
        "person F-1",
        f"└── AUS {NUMBER}",
        "    ├── match",
        "    ├── GENDER v2",
        "    ├── WRONG_PERSON: LATE (late)",
        "    └── WRONG_PERSON: DESTROYED",
    ]


@pytest.mark.parametrize("option", ["--svg", "--dot"])
def test_where_a_person_was_disclosed_is_drawn_for_its_owner_alone(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(Call, "perform_all", lambda *_, **__: TRACE)
    drawn = tmp_path / "trace"

    said = run("corrections", "trace", tmp_path, "--subject", "F-1", option, drawn)

    assert said.code == 0, said.err
    assert drawn.stat().st_mode & 0o777 == 0o600
    assert "F-1" in drawn.read_text(encoding="utf-8")


def test_the_graph_is_a_picture_that_parses_and_holds_every_node() -> None:
    picture = ET.fromstring(  # noqa: S314 - we drew it
        corrections_graph.svg(Node("a <b>", below=(Node("c & d"), Node("e", "late"))))
    )

    assert len(picture.findall(".//{*}rect")) == len(picture.findall(".//{*}text")) == 3
    assert len(picture.findall(".//{*}polyline")) == 2


def test_the_graph_speaks_graphviz() -> None:
    drawn = corrections_graph.dot(Node('a "b"', below=(Node("c"),)))

    assert drawn.startswith("digraph")
    assert "n -> n_0;" in drawn
    assert "a 'b'" in drawn
