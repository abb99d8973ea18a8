"""Of equals the first are kept, on every processor."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from matcher.finger import synthetic
from matcher.finger.alignment import greatest
from matcher.finger.gallery import Gallery, reckoned_by
from matcher.finger.probe import prepare
from matcher.finger.search_cascade import best_finite

EQUALS = 24

# Prints who comes out first of people who are equals, and what chose them.
SEARCH = f"""
from matcher.finger import synthetic
from matcher.finger.gallery import Gallery, reckoned_by
from matcher.finger.probe import prepare
gallery, person = Gallery(), synthetic.person(7)
for stranger in range(4):
    gallery.add(1000 + stranger, [(2, synthetic.impression(synthetic.person(100 + stranger), 2, 0))])
for number in range({EQUALS}):
    gallery.add(number, [(2, synthetic.impression(person, 2, 0))])
found = gallery.search(prepare([(2, synthetic.impression(person, 2, 1))]), 10)
print(found.subject.tolist(), reckoned_by(), sep="|")
"""


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_the_greatest_are_those_of_a_full_stable_sort(seed: int, few: bool) -> None:
    chance = np.random.default_rng(seed)
    width = int(chance.integers(1, 700))
    values = chance.integers(-3, 4, (5, width)).astype(np.float32)  # seven values: many equals
    values[chance.random(values.shape) < 0.1] = -np.inf
    values[0] = -2 if few else -np.inf
    number = int(chance.integers(1, min(width, 16 if few else width) + 1))

    found = greatest(values, number)

    wanted = np.sort(np.argsort(-values, axis=1, kind="stable")[:, :number], axis=1)
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_the_best_are_ranked_as_by_a_full_stable_sort(seed: int) -> None:
    chance = np.random.default_rng(seed)
    score = chance.integers(0, 4, 400).astype(np.float32)
    score[chance.random(400) < 0.2] = -np.inf

    found = best_finite(score, 16)

    assert found.tolist() == np.argsort(-score, kind="stable")[:16].tolist()


def test_of_people_who_are_equals_the_first_enrolled_are_found() -> None:
    gallery, person = Gallery(), synthetic.person(7)
    for number in range(EQUALS):
        gallery.add(number, [(2, synthetic.impression(person, 2, 0))])

    found = gallery.search(prepare([(2, synthetic.impression(person, 2, 1))]), 10)

    assert len(set(found.score.tolist())) == 1
    assert found.subject.tolist() == list(range(10))


def test_a_processor_of_fewer_instructions_finds_the_same_of_equals() -> None:
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("this processor has nothing that numpy could be told to leave off")
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SEARCH],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    subjects, by = done.stdout.strip().split("|")
    assert subjects == str(list(range(10)))
    assert by != reckoned_by()  # it says by what it was reckoned
    assert by.split(", ")[:-1] == reckoned_by().split(", ")[:-1]


def test_what_scores_depend_on_is_named_and_says_nothing_else() -> None:
    parts = reckoned_by().split(", ")

    names = [part.split()[0] for part in parts[:4]]
    assert names == ["model", "likelihood", "codes", "numpy"]
    assert len(parts) == 6
