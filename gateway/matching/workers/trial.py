"""What every engine must say alike before its answers count: a few searches of people who do not exist."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain.messages import Modality
from gateway.matching.gallery_engine import GalleryEngine

Said = tuple[tuple[int, tuple[tuple[int, float], ...]], ...]  # by modality: subjects and scores


def answers(engines: Iterable[GalleryEngine[object]]) -> Said:  # type: ignore[type-var]
    """Return subjects and scores of each engine's trial searches, the same to the last bit wherever they agree."""
    return tuple((int(Modality(each.modality)), each.trial()) for each in engines)
