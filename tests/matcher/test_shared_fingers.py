"""Each person is held against the threshold of as many fingers as they share with the probe, and the promise holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matcher.calibration import default_certificate
from matcher.finger import synthetic
from matcher.finger.assignment import Hypothesis, search_certificate, shared, threshold, weigh
from matcher.finger.gallery import Gallery
from matcher.finger.probe import prepare
from matcher.finger.score_fusion import DEPENDENCE
from matcher.finger.template import Floats, Minutiae

FPIR, PEOPLE = 1e-4, 100_000
ALL = tuple(range(1, 11))


def alike(score: float, fingers: int) -> Floats:
    """Return the ratios of a person whose fingers, all alike, come to a fused score, (10,); nan = not shared."""
    ratios = np.full(len(ALL), np.nan, dtype=np.float32)
    ratios[:fingers] = score * (1 + (fingers - 1) * DEPENDENCE) / fingers
    return ratios


def weighed(*people: Floats) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score, rarity and number of shared fingers of people for a probe of ten, as it is stated."""
    evidence = np.full((len(people), len(ALL), len(ALL)), np.nan, dtype=np.float32)
    evidence[:, range(10), range(10)] = people
    held = np.where(np.isnan(people), 0, 1)
    found = weigh(evidence, list(ALL), ([1] * 10, held), Hypothesis.STATED)
    return found.score, found.rarity, shared(found.evidence)


def test_the_threshold_falls_with_each_finger_that_is_shared() -> None:
    levels = [threshold(FPIR, PEOPLE, number).score for number in ALL]

    assert levels == sorted(levels, reverse=True)
    assert (
        levels[0] - levels[-1] > 1
    )  # ten fingers of somebody else hardly ever come near what one may
    assert threshold(FPIR, PEOPLE, 1).score == max(
        tail.score(FPIR / PEOPLE) for tail in search_certificate().tails
    )


def test_a_score_that_one_finger_must_not_decide_by_is_a_match_of_ten() -> None:
    one, ten = (threshold(FPIR, PEOPLE, number).score for number in (1, 10))
    between = (one + ten) / 2

    score, rarity, number = weighed(alike(between, 1), alike(between, 10))

    assert number.tolist() == [1, 10]
    assert ten < score[1] == pytest.approx(score[0], abs=1e-4)
    assert score[0] < one
    assert rarity[1] >= -math.log(FPIR / PEOPLE) > rarity[0]


def test_the_rarest_score_is_first_and_not_the_greatest() -> None:
    """A person who misses the threshold of one finger does not hide the one who reaches that of ten."""
    one, ten = (threshold(FPIR, PEOPLE, number).score for number in (1, 10))

    score, rarity, _ = weighed(alike(one - 0.1, 1), alike(ten + 0.1, 10))

    assert score[0] > score[1]
    assert rarity[1] > rarity[0]


@pytest.mark.parametrize("number", [1, 2, 5, 10])
def test_reaching_the_threshold_is_being_as_rare_as_was_promised(number: int) -> None:
    least, promised = threshold(FPIR, PEOPLE, number).score, -math.log(FPIR / PEOPLE)

    score, rarity, _ = weighed(alike(least + 1e-3, number), alike(least - 1e-3, number))

    assert score[0] >= least > score[1]
    assert rarity[0] >= promised > rarity[1]


def test_whoever_shares_nothing_has_no_score() -> None:
    score, rarity, number = weighed(np.full(10, np.nan, dtype=np.float32), alike(0.0, 1))

    assert number.tolist() == [0, 1]
    assert (score[0], rarity[0]) == (-np.inf, -np.inf)


def test_a_gallery_of_people_with_one_finger_to_ten_keeps_the_promise_for_all_together() -> None:
    """Scores of those who are no mates are drawn as high as the cautious end of the certificate permits."""
    random, people, promised, searches = np.random.default_rng(22), 50, 1e-2, 40_000
    numbers = random.integers(1, 11, people)
    tails = [default_certificate().tails[number - 1] for number in numbers]
    level, share, rate = np.array([(t.level, t.share[2], t.rate[0]) for t in tails]).T
    least = np.array([threshold(promised, people, int(number)).score for number in numbers])

    drawn = level + np.log(share / random.random((searches, people))) / rate
    alarms = float((drawn >= least).any(axis=1).mean())

    assert 0 < alarms <= promised + 4 * math.sqrt(promised / searches)


def prints(seed: int, number: int, positions: tuple[int, ...]) -> list[tuple[int, Minutiae]]:
    person = synthetic.person(seed)
    return [(at, synthetic.impression(person, at, number)) for at in positions]


HELD = {1: (2,), 2: (2, 7), 3: (2, 3, 7, 8), 4: (3,), 5: (7, 8), 6: (2, 3, 7, 8)}


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    made = Gallery()
    for seed, positions in HELD.items():
        made.add(seed, prints(seed, 1, positions))
    return made


def test_how_many_fingers_each_candidate_shares_is_said_with_the_score(gallery: Gallery) -> None:
    found = gallery.search(prepare(prints(3, 2, (2, 7))), shortlist=len(HELD))

    number = dict(zip(found.subject.tolist(), found.shared.tolist(), strict=True))
    assert found.subject[0] == 3
    assert (number[1], number[2], number[3]) == (1, 2, 2)
    assert (
        4 not in number
    )  # who has the middle finger alone shares none of them, stated or exchanged


@pytest.mark.parametrize(
    ("stated", "who", "hypothesis", "number"),
    [
        (
            {7: 2, 8: 3},
            5,
            Hypothesis.HANDS_EXCHANGED,
            2,
        ),  # both fingers, said to be of the other hand
        ({2: 7, 3: 8, 7: 2, 8: 3}, 6, Hypothesis.HANDS_EXCHANGED, 4),
        (
            {2: 0, 3: 0},
            1,
            Hypothesis.STATED,
            1,
        ),  # two of unknown position, one of which is enrolled
        ({2: 2, 3: 8, 7: 7, 8: 3}, 6, Hypothesis.FINGERS_MIXED, 4),
    ],
)
def test_what_is_shared_is_counted_as_the_fingers_were_taken_to_be(
    gallery: Gallery, stated: dict[int, int], who: int, hypothesis: Hypothesis, number: int
) -> None:
    person = synthetic.person(who)
    probe = prepare([(said, synthetic.impression(person, at, 2)) for at, said in stated.items()])

    found = gallery.search(probe, 1)

    assert (found.subject[0], found.hypothesis[0], found.shared[0]) == (who, hypothesis, number)


def test_a_finger_that_is_too_poor_is_not_shared(gallery: Gallery) -> None:
    (good, poor) = prints(3, 2, (2, 7))
    few = Minutiae(
        *(getattr(poor[1], name)[:3] for name in ("xy", "angle", "kind", "quality")), 360, 400
    )

    probe = prepare([good, (7, few)])

    assert probe.usable == (2,)
    assert gallery.search(probe, 1).shared.tolist() == [1]
