"""People who do not exist: the same from the same seed, with numbers like those of real records."""

from __future__ import annotations

import numpy as np
import pytest

from matcher.finger import record_fmr, synthetic
from matcher.finger.alignment import compare, gather
from matcher.finger.descriptors import default_model, describe
from matcher.finger.probe import assess
from matcher.finger.score_fusion import default_likelihood, finger_ratio


def test_a_seed_is_a_person() -> None:
    one, again = (synthetic.impression(synthetic.person(7), 4, 2) for _ in range(2))
    other = synthetic.impression(synthetic.person(7), 4, 3)

    assert (one.xy == again.xy).all()
    assert (one.angle == again.angle).all()
    assert len(one) != len(other) or (one.xy != other.xy).any()


def test_impressions_have_the_counts_of_real_records() -> None:
    """FVC2002 set B by a common extractor: 27 to 41 minutiae in the mean of a database (matching.md 1)."""
    made = [
        synthetic.impression(synthetic.person(seed), at, 1)
        for seed in range(30)
        for at in (1, 5, 9)
    ]
    count = [len(each) for each in made]

    assert 30 <= np.mean(count) <= 42
    assert min(count) >= 12
    assert max(count) <= 80
    assert all(assess(each) is None for each in made)


@pytest.mark.parametrize("form", list(record_fmr.Format))
def test_a_synthetic_record_reads_as_what_was_made(form: record_fmr.Format) -> None:
    made = synthetic.impression(synthetic.person(1), 10, 1)

    read = record_fmr.read(synthetic.record(made, 10, form)).views[0]

    apart = np.angle(np.exp(1j * (read.minutiae.angle - made.angle).astype(np.float64)))
    assert read.position == 10
    assert (read.minutiae.xy == made.xy).all()
    assert np.abs(apart).max() <= np.radians(1.01)


@pytest.mark.parametrize("position", [0, 11])
def test_a_person_has_ten_fingers(position: int) -> None:
    with pytest.raises(ValueError):
        synthetic.person(1).finger(position)


def test_scores_of_mates_taken_as_in_the_field_fall_as_real_ones_do() -> None:
    """FVC2002, both extractors: one in ten below 4.2, one in three below 10.3, half at the most there is."""
    model, likelihood = default_model(), default_likelihood()
    scores = []
    for seed in range(40):
        person = synthetic.person(seed, synthetic.TOUCHED)
        for at in (2, 7):
            held, asked = (
                describe(
                    synthetic.impression(
                        person, at, number, synthetic.field_capture(person, at, number)
                    ),
                    model,
                )
                for number in (1, 2)
            )
            scores.append(finger_ratio(compare(asked, gather([held])), likelihood)[0])

    tenth, third, half = np.quantile(scores, (0.1, 0.3, 0.5))

    assert 1 < tenth < 7
    assert 7 < third <= half
    assert half > 10


def test_a_harder_capture_shows_less_and_reads_worse() -> None:
    easy, hard, hardest = (synthetic.capture(difficulty) for difficulty in (0, 1, 50))

    assert easy == synthetic.CAREFUL
    assert hard.shown < easy.shown
    assert hard.missed > easy.missed
    assert hardest.shown > 0
    assert hardest.missed < 1
    assert len(synthetic.impression(synthetic.person(1), 2, 1, hardest)) >= 0
