"""The faces of one person that are searched with: one vector or several, of one model or several."""

from __future__ import annotations

from dataclasses import dataclass, field

from matcher.face.template import FaceVector

MOST_VECTORS = (
    16  # of one person; each makes the score of all dearer, and more than a few add nothing
)


class NothingUsable(ValueError):
    """There is no vector to search with or to enrol."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """One person's vectors, ready to be compared; raises NothingUsable for none, ValueError for too many."""

    vectors: tuple[FaceVector, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.vectors:
            raise NothingUsable("no face to search with or to enrol")
        if len(self.vectors) > MOST_VECTORS:
            raise ValueError(f"more than {MOST_VECTORS} faces of one person")

    def of(self, model: str) -> tuple[FaceVector, ...]:
        """Return the vectors of one model."""
        return tuple(each for each in self.vectors if each.model == model)

    def destroy(self) -> None:
        """Overwrite every vector with zeros, in place."""
        for each in self.vectors:
            each.destroy()
