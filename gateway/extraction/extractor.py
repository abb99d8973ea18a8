"""The port to extractors: pixels in, a record of features out. An extractor lives in the child process alone.

Packages offer one as an entry point of the group `passerelle.extractors`: a function that takes the operator's options
and returns an Extractor. It MUST load all that it needs before it returns (there are no files afterwards, open ones neither), MUST keep no
thread, and MUST NOT write to standard output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from gateway.domain.messages import Modality

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

ENTRY_POINTS = "passerelle.extractors"
OURS = "gateway.extraction.extractors."  # where the extractors that come along are
INSTALL = "pip install --require-hashes -r deploy/images-requirements.lock"
UNSTATED_QUALITY = 255
MOST_RECORD = 65_536  # bytes; what a query may carry of one sample (`wire.query_payload`)
MOST_NAME = 48  # characters of name and version together, as samples state them


class NothingFound(Exception):
    """An extractor found nothing in a picture to make a record of."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """A record of features, and the quality of its picture: 0–100 (of fingers by NFIQ 2 terms), 255 = not measured."""

    record: bytes = field(repr=False)
    quality: int = UNSTATED_QUALITY


class Extractor(Protocol):
    """What makes a record of a picture; `name` and `version` go into the ledger with each record."""

    name: str
    version: str
    modality: Modality

    def extract(self, pixels: Pixels, ppi: int, position: int) -> Extracted:
        """Return the record of a picture; raises NothingFound.

        pixels    (height, width) grey or (height, width, 3) red, green, blue; uint8
        ppi       pixels per inch of a finger; 0 = not stated
        position  what it is of; the record says the same
        """
        ...


class NotInstalled(LookupError):
    """No extractor of that name is here, or what it needs is not; the text says what to do."""


Maker = Callable[[Mapping[str, str]], Extractor]


def load(name: str, options: Mapping[str, str]) -> Extractor:
    """Return the installed extractor of a name; raises NotInstalled where there is none, or what ours needs is absent."""
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS, name=name)
    for each in found:
        try:
            make: Any = each.load()
            made: Extractor = make(options)
        except ModuleNotFoundError as fault:
            if not each.value.startswith(OURS):
                raise
            raise NotInstalled(f"{fault}; it comes with the extra `images`: {INSTALL}") from None
        return made
    known = sorted(each.name for each in entry_points(group=ENTRY_POINTS))
    raise NotInstalled(
        f"no extractor {name} is installed here; there are: {', '.join(known) or 'none'}"
    )
