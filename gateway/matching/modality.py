"""Which codec and which engine a modality has here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.matching.calibrations import Calibration, Calibrations, CalibrationsInForce
from gateway.matching.engine import Codec, UnreadableSample
from gateway.matching.face import FaceCodec, FaceEngine, quantised_engine
from gateway.matching.finger import FingerCodec, FingerEngine
from gateway.matching.finger_pairs import best_pairs
from gateway.matching.gallery_engine import GalleryEngine
from gateway.matching.iris import IrisCodec, IrisEngine
from matcher import fusion
from matcher.finger.assignment import search_certificate


@dataclass(frozen=True, slots=True)
class Implementation:
    """What reads the records of a modality, and what makes an engine that searches them, by the calibrations in force."""

    codec: Codec
    engine: Callable[[CalibrationsInForce], GalleryEngine[Any]]


def _finger_engine(calibrations: CalibrationsInForce) -> FingerEngine:
    """Return an engine of fingers, whose calibration is shipped with it."""
    del calibrations
    return FingerEngine()


TABLE: Mapping[Modality, Implementation] = {
    Modality.FINGER: Implementation(FingerCodec(), _finger_engine),
    Modality.FACE: Implementation(FaceCodec(), FaceEngine),
    Modality.IRIS: Implementation(IrisCodec(), IrisEngine),
}

QUANTISED: Mapping[Modality, Callable[[CalibrationsInForce], GalleryEngine[Any]]] = {
    Modality.FACE: quantised_engine
}


def engines_of(
    calibrations: CalibrationsInForce, quantised: frozenset[Modality] = frozenset()
) -> Mapping[Modality, GalleryEngine[Any]]:
    """Return an engine of each modality, in this process, with nobody loaded.

    quantised   modalities whose galleries hold their numbers in fewer bits, where there is an engine that can
    """
    makers = {modality: each.engine for modality, each in TABLE.items()}
    makers |= {modality: QUANTISED[modality] for modality in quantised}
    return {modality: make(calibrations) for modality, make in makers.items()}


def codec_of(modality: Modality) -> Codec:
    """Return what reads records of a modality; raises UnreadableSample where nothing here does."""
    if modality not in TABLE:
        raise UnreadableSample(f"no record of the modality {modality.name} is read here")
    return TABLE[modality].codec


def list_modalities() -> frozenset[Modality]:
    """Return the modalities that are searched here."""
    return frozenset(TABLE)


def list_formats() -> tuple[RecordFormat, ...]:
    """Return the record formats that are read here, of every modality."""
    return tuple(sorted({form for each in TABLE.values() for form in each.codec.formats}))


def least_score(
    calibrations: Calibrations, fpir: float, people: int, shared: Mapping[Modality, int]
) -> float:
    """Return the least score that keeps a promised FPIR by some calibrations.

    people   all who are searched
    shared   samples that the person shares with the probe, of each modality that is held of them
    """
    held = [codec_of(modality).tails(number, calibrations) for modality, number in shared.items()]
    return fusion.threshold(fpir, held, people).score


def named(ids: Mapping[Modality, Sequence[str]], known: Mapping[str, Calibration]) -> Calibrations:
    """Return the calibrations that a decision names, and no other: a threshold rests on the models of its query alone.

    ids     of each modality, as decisions state them
    known   those that are to be had, by id; that of fingers is shipped with their search, and no other is to be had

    Raises LookupError with the id of one that is not.
    """
    found = []
    for modality, each in ids.items():
        if modality is Modality.FINGER:
            if other := [one for one in each if one != search_certificate().id]:
                raise LookupError(other[0])
            continue
        for one in each:
            if one not in known or known[one].modality is not modality:
                raise LookupError(one)
            found.append(known[one])
    return Calibrations({}, {}).replaced(found)


def pairs_to_examine(
    probe: Sequence[Sample], record: Sequence[Sample]
) -> list[tuple[Sample, Sample]]:
    """Return which samples of a probe an examiner sees beside which of a candidate's, by modality and position.

    Fingers as the search took them to fit; of faces and eyes all of one position, in their order: of two that are held, of two models
    perhaps, nobody chooses for the examiner.
    """
    found = best_pairs(
        *([each for each in side if each.modality is Modality.FINGER] for side in (probe, record))
    )
    found += [
        (mine, theirs)
        for mine in probe
        for theirs in record
        if mine.modality is not Modality.FINGER
        if (mine.modality, mine.position) == (theirs.modality, theirs.position)
    ]
    return sorted(found, key=lambda pair: (pair[1].modality, pair[1].position))
