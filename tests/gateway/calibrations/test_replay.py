"""A past query is decided again by the calibrations that its entry names, whatever counts today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.cli.audit.replay import decided_again
from gateway.domain.messages import Modality
from gateway.law import regulation
from gateway.law.agreement import Agreement
from gateway.ledger.exchange_history import OpenedEntry
from gateway.ledger.policy_replay import Replayed
from gateway.matching.calibrations import Calibration, shipped
from gateway.operations.declaration import Role
from gateway.server.application import Gateway
from matcher import fusion
from matcher.finger.assignment import search_certificate
from tests.gateway.ledger.test_policy_replay import ASKED, HIT, agreement, pair
from tests.gateway.own_calibrations import face_file, iris_file, read

TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")
STRICTER, PEOPLE = 1e-6, 1000
# Of another model, and of the model itself: by each, more is asked for than the shipped one asks for.
UNRELATED = face_file(
    tails=[{"samples": 1, "level": 2.0, "share": [0.01, 0.01, 0.01], "rate": [0.9, 1.0, 1.1]}]
)
REPLACING = UNRELATED.replace("model-1", "facenet512").replace(
    '"dimension": 64', '"dimension": 512'
)


@pytest.fixture
def home(homes: Any, secret: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder where three were adopted, under a law that permits faces and irises."""
    bounds = replace(regulation.BOUNDS[3], modalities=frozenset(Modality))
    monkeypatch.setitem(regulation.BOUNDS, 3, bounds)
    with Gateway.open(homes[0], secret) as gateway:
        for text in (UNRELATED, REPLACING, iris_file()):
            said = {"text": text, "reason": "fitted in spring"}
            gateway.admin.perform(TWO, "calibrations.adopt", said)
    return Path(homes[0])


def of(model: str) -> Calibration:
    one = shipped().of(model)
    assert one is not None
    return one


def least(one: Calibration) -> float:
    return fusion.threshold(STRICTER, [one.scores.certificate.tails], PEOPLE).score


def permitting(modality: Modality, *changes: tuple[str, str]) -> Agreement:
    return agreement(("FINGER = ", f"{modality.name} = "), *changes)


def stricter(modality: Modality = Modality.FACE) -> Agreement:
    return permitting(modality, ("fpir = 1e-4", f"fpir = {STRICTER:g}"))


def entries(
    score: float, calibration: str | None, modality: Modality = Modality.FACE
) -> list[OpenedEntry]:
    asked = ASKED | {"modality": modality.name}
    told: Mapping[str, str] = HIT | {"scores": repr(score), "shared_samples": "1"}
    return pair(asked, told if calibration is None else {**told, "calibration": calibration})


def one_of(found: tuple[list[Replayed], Any]) -> Replayed:
    (done,), skipped = found
    assert not skipped
    return done


def test_a_hit_stays_one_after_others_were_adopted(home: Path) -> None:
    """Also after its own model's was replaced: what counted then is shipped, or its text is kept."""
    then = of("facenet512")
    assert least(then) + 1 < min(least(read(UNRELATED)), least(read(REPLACING)))

    found = one_of(decided_again(entries(least(then) + 0.01, then.id), stricter(), home))
    assert (found.now, found.changed) == ("MATCH", False)
    found = one_of(decided_again(entries(least(then) - 0.01, then.id), stricter(), home))
    assert (found.now, found.changed) == ("NO_MATCH", True)


@pytest.mark.parametrize(("text", "modality"), [(REPLACING, "FACE"), (iris_file(), "IRIS")])
def test_what_an_adopted_one_decided_is_decided_again_by_it(
    home: Path, text: str, modality: str
) -> None:
    then = read(text)
    for score, now in ((least(then) + 0.01, "MATCH"), (least(then) - 0.01, "NO_MATCH")):
        told = entries(score, then.id, Modality[modality])
        assert one_of(decided_again(told, stricter(Modality[modality]), home)).now == now


def test_of_two_models_the_greater_threshold_holds(home: Path) -> None:
    two = of("facenet512"), read(UNRELATED)
    named = "+".join(each.id for each in two)

    above, below = (
        one_of(decided_again(entries(least(two[1]) + by, named), stricter(), home)).now
        for by in (0.01, -0.01)
    )

    assert (above, below) == ("MATCH", "NO_MATCH")


@pytest.mark.parametrize(
    ("calibration", "modality", "why"),
    [
        ("lost-0123456789abcdef", "FACE", "its calibration lost-0123456789abcdef is not to be had"),
        (of("masek-1").id, "FACE", f"its calibration {of('masek-1').id} is not to be had"),
        ("earlier-0123456789abcdef", "FINGER", "its calibration earlier-"),
        (None, "FACE", "the entry does not name its calibrations"),
        (f"{of('facenet512').id},{of('masek-1').id}", "FACE", "the entry does not name its"),
    ],
)
def test_by_another_calibration_nothing_is_decided_and_the_reason_is_counted(
    home: Path, calibration: str | None, modality: str, why: str
) -> None:
    done, skipped = decided_again(
        entries(9.0, calibration, Modality[modality]), stricter(Modality[modality]), home
    )

    assert not done
    ((said, count),) = skipped.items()
    assert said.startswith(why)
    assert count == 1


def test_under_the_same_share_no_calibration_is_asked_for(home: Path) -> None:
    """The recorded threshold is what it was."""
    found = one_of(
        decided_again(entries(9.0, "lost-0123456789abcdef"), permitting(Modality.FACE), home)
    )

    assert not found.changed


def test_fingers_are_decided_again_by_the_certificate_of_their_search(home: Path) -> None:
    told = entries(30.0, search_certificate().id, Modality.FINGER)

    assert one_of(decided_again(told, stricter(Modality.FINGER), home)).now == "MATCH"


def test_each_that_is_skipped_is_skipped_for_its_own_reason(home: Path) -> None:
    sealed = pair(None, None)
    elsewhere = agreement(('partner = "AUS"', 'partner = "NZL"'))

    _, other = decided_again([*entries(9.0, None), *sealed], elsewhere, home)
    entry = entries(9.0, None)
    later = [replace(each, frame=replace(each.frame, agreement_version=9)) for each in entry]
    done, gone = decided_again(later, None, home)

    assert [(str(why), count) for why, count in other.items()] == [
        ("details that this key does not open, or that are gone", 1),
        ("the agreement is with another partner", 1),
    ]
    assert not done
    assert list(gone) == ["the version of its agreement is not in this folder"]
