"""A record or an image of ours → the sample that a partner is asked by, which declares what it holds."""

from __future__ import annotations

from gateway.domain.messages import Modality, Sample
from gateway.matching import images
from gateway.matching.modality import codec_of
from gateway.sample_files.containers import formats


def sample_to_ask(
    octets: bytes, modality: Modality, position: int, extractor: str, ppi: int = 0
) -> Sample:
    """Return the sample to ask by, with the format and the impression that its headers state; no pixel is decoded.

    position    one of the modality's, or UNKNOWN_POSITION of a finger
    extractor   of a record; an image has none, and a record of a face or an eye names its own model or coder
    ppi         pixels per inch of a picture of a finger; 0 = it says it itself

    Raises UnreadableSample, with the reason.
    """
    if formats.detect(octets) is None:
        return codec_of(modality).sample(octets, position, extractor)
    return images.to_ask(images.OwnImage(octets, modality, position, ppi), extractor)
