"""An examiner sees the fingers that the search took for each other, one pair of each, the best of its impressions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.matching.modality import pairs_to_examine
from matcher.finger import synthetic

PERSON = synthetic.person(3)


def sample(finger: int, number: int, said: int | None = None) -> Sample:
    return Sample(
        modality=Modality.FINGER,
        position=finger if said is None else said,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="test",
        data=synthetic.record(synthetic.impression(PERSON, finger, number), 0),
    )


RECORD = [sample(finger, 1) for finger in (2, 3, 7, 8)]


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ({2: 2, 7: 7}, [(2, 2), (7, 7)]),
        ({2: 7, 3: 8, 7: 2}, [(7, 2), (8, 3), (2, 7)]),
        ({8: 0, 3: 0}, [(0, 3), (0, 8)]),
        ({2: 2, 3: 3, 7: 8, 8: 7}, [(2, 2), (3, 3), (8, 7), (7, 8)]),
        ({2: 2, 5: 5}, [(2, 2)]),
        ({}, []),
    ],
)
def test_what_is_seen_together_is_what_fits(
    said: dict[int, int], seen: list[tuple[int, int]]
) -> None:
    probe = [sample(finger, 2, position) for finger, position in said.items()]

    pairs = pairs_to_examine(probe, RECORD)

    assert [(mine.position, theirs.position) for mine, theirs in pairs] == seen


def test_of_several_impressions_the_best_pair_is_seen() -> None:
    other = Sample(
        modality=Modality.FINGER,
        position=2,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="test",
        data=synthetic.record(synthetic.impression(synthetic.person(4), 2, 1), 0),
    )
    good, held = sample(2, 2), sample(2, 1)

    assert pairs_to_examine([other, good], [other, held]) != []
    assert pairs_to_examine([good], [other, held]) == [(good, held)]


def test_a_finger_too_poor_to_be_searched_is_not_seen() -> None:
    minutiae = synthetic.impression(PERSON, 7, 2)
    empty = replace(
        minutiae,
        **{name: getattr(minutiae, name)[:0] for name in ("xy", "angle", "kind", "quality")},
    )
    poor = replace(sample(7, 2), data=synthetic.record(empty, 0))

    pairs = pairs_to_examine([sample(2, 2), poor], RECORD)

    assert [theirs.position for _, theirs in pairs] == [2]
    assert pairs_to_examine([poor], RECORD) == []


def test_faces_and_eyes_are_seen_beside_those_of_their_position() -> None:
    def eye(position: int, data: bytes) -> Sample:
        return Sample(
            modality=Modality.IRIS,
            position=position,
            format=RecordFormat.IRIS_CODE,
            extractor="test",
            data=data,
        )

    left, right = eye(2, b"left"), eye(1, b"right")

    assert pairs_to_examine([left, right], [eye(2, b"held")]) == [(left, eye(2, b"held"))]


def test_of_two_faces_of_a_person_both_are_seen_and_none_beside_an_eye() -> None:
    def one(modality: Modality, position: int, data: bytes) -> Sample:
        form = RecordFormat.FACE_VECTOR if modality is Modality.FACE else RecordFormat.IRIS_CODE
        return Sample(
            modality=modality, position=position, format=form, extractor="test", data=data
        )

    asked, eye = one(Modality.FACE, 0, b"asked"), one(Modality.IRIS, 1, b"right")
    older, newer = (one(Modality.FACE, 0, each) for each in (b"older", b"newer"))
    held_eye = one(Modality.IRIS, 1, b"held")

    pairs = pairs_to_examine([eye, asked], [older, held_eye, newer])

    assert pairs == [(asked, older), (asked, newer), (eye, held_eye)]
