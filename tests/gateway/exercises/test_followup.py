"""What counts as kept of what follows a match: fields by paragraph, a citizen unseen, records of nobody."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway.client import Refused
from gateway.domain.messages import Outcome
from gateway.domain.person import Caveat, Details, DetailsOutcome, Field, FieldCode, SubjectKind
from gateway.exercises.demo import disclosure, masking, people, person_files
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.disclosure import UNAGREED, WANTED
from gateway.exercises.demo.followup import Casework, Followed, Officers
from gateway.exercises.demo.masking import NEVER
from gateway.exercises.demo.output import DemoOutput
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import Person
from gateway.exercises.demo.queries import found
from gateway.subjects import record_row

NOW = datetime.now(UTC)
CITIZEN = Person("P-19", "DB4 107+108", enrolled=True, impressions={}, citizen=True)
KNOWN = Person("P-01", "DB1 101+102", enrolled=True, impressions={})
OTHER = Person("P-02", "DB1 103+104", enrolled=True, impressions={})
CAVEAT = Caveat("AGREEMENT", "Arrangement between Canada and Australia")


class Peer:
    """A peer that discloses what it is told to, and refuses prints as it should or does not."""

    def __init__(self, fields: Sequence[Field], reason: str = "FIELD_NOT_PERMITTED") -> None:
        self.fields, self.reason = tuple(fields), reason

    def details(self, number: str, reference: bytes, wanted: Sequence[FieldCode], **_: Any) -> Any:
        del number, reference
        if UNAGREED in wanted and self.reason:
            raise Refused("PERMISSION_DENIED", self.reason, "fields[5]")
        self.told = Details(DetailsOutcome.DISCLOSED, self.fields)
        return type("Disclosed", (), {"details": self.told})()


def fields() -> list[Field]:
    return [
        Field(code=code, value=b"X", authority="IRPR 315.41(2)(a)", caveats=(CAVEAT,))
        for code in WANTED
    ]


def told(asked: Any, peer: Peer) -> list[bool]:
    fields, promises = disclosure.disclosed(peer, asked(KNOWN, Outcome.MATCH))  # type: ignore[arg-type]
    assert fields == peer.fields
    return [promise.kept for promise in promises]


def test_all_fields_with_paragraph_and_caveat_keep_the_promise(asked: Any) -> None:
    assert told(asked, Peer(fields())) == [True, True]


@pytest.mark.parametrize(
    "given",
    [
        fields()[1:],
        [replace(fields()[0], caveats=()), *fields()[1:]],
        [],
    ],
    ids=["one is missing", "one has no caveat", "nothing"],
)
def test_a_field_too_few_or_without_its_caveat_breaks_it(asked: Any, given: list[Field]) -> None:
    assert told(asked, Peer(given)) == [True, False]


@pytest.mark.parametrize("reason", ["", "ELEMENT_INVALID"])
def test_prints_that_are_given_or_refused_for_another_reason_break_it(
    asked: Any, reason: str
) -> None:
    assert told(asked, Peer(fields(), reason)) == [False, True]


def test_hits_of_two_people_are_followed_up(asked: Any) -> None:
    answers = [
        asked(CITIZEN, Outcome.NO_MATCH),
        asked(KNOWN, Outcome.MATCH, "N-2"),
        asked(KNOWN, Outcome.MATCH, "N-3"),
        asked(OTHER, Outcome.MATCH, "N-4"),
    ]

    one = found(answers)
    assert one is answers[1]
    assert found(answers, but=one.person) is answers[3]
    assert found(answers[:1]) is None
    assert found(answers[:3], but=one.person) is None


def test_without_two_hits_there_is_a_line_that_says_so(
    asked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        masking.subprocess_cli, "run", lambda *_, **__: {"answers": {"decision": []}}
    )
    kept: list[Promise] = []
    telling = DemoOutput(Console(file=io.StringIO()))
    cast = people.with_citizen(people.invented(range(5)))
    party = Party("CAN", tmp_path, tmp_path, tmp_path)
    casework = Casework(party, party, cast, tmp_path, telling, kept.append)

    followed = casework.follow(
        Stage(None, None, None, cast),  # type: ignore[arg-type]
        Officers(tmp_path, tmp_path, tmp_path),
        [asked(KNOWN, Outcome.MATCH)],
    )

    assert [one.kept for one in kept] == [False]
    assert followed == Followed()


def test_a_citizen_who_was_found_and_not_shown_keeps_the_promise(asked: Any) -> None:
    answers = [asked(CITIZEN, Outcome.NO_MATCH), asked(KNOWN, Outcome.MATCH, "N-2")]

    promise, masked = masking.hidden(answers, {"N-1"}, NEVER)

    assert (promise.kept, masked) == (True, 1)
    assert asked(CITIZEN, Outcome.NO_MATCH).good


@pytest.mark.parametrize(
    ("outcome", "size", "found", "why"),
    [
        (Outcome.MATCH, 8873, {"N-1"}, NEVER),
        (Outcome.NO_MATCH, 8875, {"N-1"}, NEVER),
        (Outcome.NO_MATCH, 8873, set(), NEVER),
        (Outcome.NO_MATCH, 8873, {"N-1"}, ""),
    ],
    ids=["revealed", "of another size", "never found", "by no paragraph"],
)
def test_whatever_tells_a_citizen_apart_breaks_it(
    asked: Any, outcome: Outcome, size: int, found: set[str], why: str
) -> None:
    answers = [asked(CITIZEN, outcome, size=size), asked(KNOWN, Outcome.MATCH, "N-2")]

    assert not masking.hidden(answers, found, why)[0].kept


def test_the_records_of_nobody_are_records(tmp_path: Path) -> None:
    """Every row is one that the registry takes, with a photograph that is an image."""
    cast = people.with_citizen(people.invented(range(5)))

    file = person_files.write_records(cast, tmp_path)

    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for row in rows:
        octets = (tmp_path / row["PHOTOGRAPH"]).read_bytes()
        row["PHOTOGRAPH"] = base64.b64encode(octets).decode()
    taken = dict(record_row.read_row(row, NOW) for row in rows)
    assert {who: record.status.kind for who, record in taken.items()} == {
        "P-01": SubjectKind.FOREIGN_NATIONAL,
        "P-02": SubjectKind.FOREIGN_NATIONAL,
        "P-04": SubjectKind.CITIZEN,
    }
    assert all(record.data[FieldCode.LAST_NAME].value == b"SPECIMEN" for record in taken.values())
    assert all(set(WANTED) <= record.data.keys() for record in taken.values())
