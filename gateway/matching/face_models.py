"""The models of faces that are known here: those that are shipped, and those of packages that an operator installed.

A package offers its folder as an entry point of the group `passerelle.face_models`; each file `*.json` in it is a
calibration, as `passerelle eval --modality face --calibrate` writes it. Nothing of the package is run but its
`__init__.py`. Of a model that is shipped too, the installed calibration counts: it is of the operator's own people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.metadata import entry_points
from types import MappingProxyType

from gateway.errors import UserError
from keys import strict_json
from matcher.face.models import SUFFIX, FaceModel, load_model, shipped_models

ENTRY_POINTS = "passerelle.face_models"
MOST_BYTES = 65_536  # of a calibration; ours has a thousand


@cache
def known_models() -> Mapping[str, FaceModel]:
    """Return the models by name; raises UserError for a file that is no calibration, or a model that two files have.

    A process knows those that were installed when it first asked.
    """
    installed: dict[str, FaceModel] = {}
    for origin, octets in _files():
        try:
            model = load_model(strict_json.read(octets, MOST_BYTES), sha256(octets).hexdigest())
        except ValueError as fault:
            raise UserError(f"{origin}: {fault}") from None
        if model.name in installed:  # which of the two would decide is nobody's to guess
            raise UserError(f"{origin}: another installed file has the model {model.name} too")
        installed[model.name] = model
    return MappingProxyType({**shipped_models(), **installed})


def _files() -> Iterator[tuple[str, bytes]]:
    for point in entry_points(group=ENTRY_POINTS):
        try:
            files = sorted(resources.files(point.module).iterdir(), key=lambda one: one.name)
            for file in files:
                if file.name.endswith(SUFFIX):
                    yield f"{point.module}/{file.name}", file.read_bytes()
        except (ImportError, OSError):
            raise UserError(
                f"{point.module}: the package of face models cannot be read; install it again"
            ) from None
