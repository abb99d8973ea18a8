"""The extractors that the settings name, started: child processes that make records of images."""

from __future__ import annotations

from gateway.config import Extraction
from gateway.domain.messages import Modality
from gateway.errors import UserError
from gateway.extraction.child_process import ChildSettings, ExtractorUnavailable
from gateway.extraction.service import ExtractionService

MEBIBYTE = 1 << 20


def build_extraction(settings: Extraction) -> ExtractionService:
    """Return the service of the extractors that are configured; raises UserError, which says what to do."""
    try:
        return started(settings)
    except ExtractorUnavailable as fault:
        raise UserError(
            f"{fault}  → without extraction.* in the settings no image is read"
        ) from None


def try_extractors(settings: Extraction, *, up: bool) -> str:
    """Start one child process of each extractor, as a start would, and end it; raises UserError, which says what to do.

    up   whether a gateway serves by these settings: beside it a second model would take memory that nobody counted on
    """
    named = [each for each in (settings.finger, settings.face, settings.iris) if each is not None]
    if not named:
        return "no extractor is set: partners send records, and no image is read"
    if up:
        return f"{', '.join(named)}: started with the gateway that serves"
    service = build_extraction(settings.model_copy(update={"processes": 1}))
    try:
        offers = {each: service.offer(each) for each in Modality}
    finally:
        service.close()
    told = [
        f"{each.name.lower()} by {offer.extractor}"
        for each, offer in offers.items()
        if offer is not None
    ]
    return ", ".join(told)


def started(settings: Extraction) -> ExtractionService:
    """Return the same, whoever names the extractors; raises ExtractorUnavailable.

    There is no way to go on without the sandbox: where the kernel refuses it, no image is read.
    """
    card: dict[str, str] = {} if settings.face_card is None else {"card": str(settings.face_card)}
    named = (
        (Modality.FINGER, settings.finger, dict[str, str]()),
        (Modality.FACE, settings.face, card),
        (Modality.IRIS, settings.iris, dict[str, str]()),
    )
    children = tuple(
        ChildSettings(
            modality=modality,
            extractor=name,
            options=options,
            memory=settings.memory_mib * MEBIBYTE,
            seconds=settings.picture_s,
        )
        for modality, name, options in named
        if name is not None
    )
    return ExtractionService(children, processes=settings.processes, waiting=settings.waiting)
