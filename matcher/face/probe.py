"""The faces of one person that are searched with: one vector or several, of one model or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matcher.face.models import FaceModel, UnknownModel, shipped_models
from matcher.face.template import FaceVector

MOST_VECTORS = (
    16  # of one person; each makes the score of all dearer, and more than a few add nothing
)


class NothingUsable(ValueError):
    """There is no vector to search with or to enrol."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """One person's vectors and what their cosines are worth, ready to be compared.

    models   by whose calibrations it is searched, by name, from beginning to end; else the ones that are shipped

    Raises NothingUsable for no vector, UnknownModel for one of a model without a calibration, ValueError for too many
    and for a dimension that is not the model's.
    """

    vectors: tuple[FaceVector, ...] = field(repr=False)
    models: Mapping[str, FaceModel] = field(default_factory=shipped_models, repr=False)

    def __post_init__(self) -> None:
        check_faces(self.vectors)
        for face in self.vectors:
            model = self.models.get(face.model)
            if model is None:
                raise UnknownModel("no calibration of the vector's model is known here")
            if len(face) != model.dimension:
                raise ValueError("the vector's dimension is not its model's")

    def of(self, model: str) -> tuple[FaceVector, ...]:
        """Return the vectors of one model."""
        return tuple(each for each in self.vectors if each.model == model)

    def destroy(self) -> None:
        """Overwrite every vector with zeros, in place."""
        for each in self.vectors:
            each.destroy()


def check_faces(faces: Sequence[FaceVector]) -> None:
    """Raise NothingUsable for no face of a person, ValueError for too many."""
    if not faces:
        raise NothingUsable("no face to search with or to enrol")
    if len(faces) > MOST_VECTORS:
        raise ValueError(f"more than {MOST_VECTORS} faces of one person")
