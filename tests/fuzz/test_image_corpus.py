"""The kept corpus of images says what it says, and its mutants are images or unreadable, never anything else."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

import pytest

from gateway.domain.messages import Modality
from gateway.sample_files.containers import formats
from gateway.sample_files.containers.image import UnreadableImage

sys.path.insert(0, str(Path(__file__).parent))

import fuzz
import image_corpus as maker

KEPT = {path.stem: path.read_bytes() for path in sorted(maker.FOLDER.glob("*.bin"))}
MUTANTS = 5_000


def read(data: bytes) -> None:
    """Read bytes as what they say they are, of the first modality that has such a format."""
    form = formats.detect(data)
    for modality in Modality:
        if form in formats.formats_of(modality):
            formats.read(data, form, modality)
            return
    raise UnreadableImage("no image")


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_image_is_what_its_name_says(name: str) -> None:
    if name.startswith("accept-"):
        read(KEPT[name])
    else:
        assert name.startswith("refuse-")
        with pytest.raises(UnreadableImage):
            read(KEPT[name])


def test_the_corpus_of_images_is_what_its_maker_makes() -> None:
    assert {name: KEPT.get(name) for name, _ in maker.made()} == dict(maker.made())


def test_mutants_of_images_are_images_or_unreadable() -> None:
    rng, seeds = random.Random(3), list(KEPT.values())
    for _ in range(MUTANTS):
        data = fuzz.mutated(seeds, rng)
        with contextlib.suppress(UnreadableImage):
            read(data)
