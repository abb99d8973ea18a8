"""What scores of faces and irises are worth here: the calibrations that are shipped, and how a file of an own one is read.

A calibration decides thresholds, and with them who is a hit. One is shipped for a model or coder, or two operators
adopted one (`gateway.calibrations`), which then counts in its place. A query is searched from beginning to end by those
that counted when its samples were read. That of fingers is shipped with their search and is nobody's to replace.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from gateway.domain.messages import Modality
from gateway.errors import UserError
from keys import strict_json
from matcher import calibration
from matcher.face.models import SUFFIX, FaceModel, load_model, shipped_models
from matcher.iris.calibration import load_coder_calibration, shipped_calibrations
from matcher.iris.coders import CODERS
from matcher.score_calibration import LEAST_NON_MATED, LEAST_PEOPLE, ScoreCalibration

MOST_BYTES: Final = 16_384  # of a calibration; those that are shipped have a thousand
_NAMES: Final = frozenset(
    (
        *("version", "model", "data", "split", "date", "code", "line", "trials", "mated", "people"),
        *("tails", "dimension"),
    )
)
# Of a version: each decision states it in the ledger, in a list.
_VERSION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIMENSION: Final = "dimension"  # of vectors, which codes of irises do not have
# Raw scores: cosines, and 0.5 less a normalised distance of codes. Zero is what unrelated samples come to.
_GREATEST: Final = {Modality.FACE: 1.0, Modality.IRIS: 0.5}
_UNRELATED: Final = 0.0
# What can be meant at all, in log10 units; those that are shipped lie within 5, and their rates within 2.3 and 10.4.
# A flatter tail would have a fused search reckon on a grid without end.
_MOST_RATIO: Final = 20.0
_LEAST_RATE, _MOST_RATE = 0.2, 50.0
_MOST_COUNT: Final = 10**15  # of what was compared


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """One calibration: of the vectors of a model of faces, or of the codes of a coder of irises.

    dimension   numbers of a vector; 0 of irises
    """

    modality: Modality
    scores: ScoreCalibration = field(repr=False)
    dimension: int = 0

    @property
    def model(self) -> str:
        """Name and version of the model or coder, as records state it."""
        return self.scores.model

    @property
    def id(self) -> str:
        """What the ledger states of each decision that rests on it: its version and its digest's beginning."""
        return self.scores.certificate.id

    @property
    def digest(self) -> str:
        """SHA-256 of its file, hexadecimal."""
        return self.scores.certificate.digest

    @property
    def data(self) -> str:
        """What it was fitted on, in words."""
        return self.scores.certificate.data

    @property
    def split(self) -> str:
        """Which part of that was fitted to, in words."""
        return self.scores.certificate.split

    def threshold(self, fpir: float, people: int) -> float:
        """Return the least score of a hit by one sample that keeps a promised FPIR among so many people."""
        return calibration.threshold(fpir, people, 1, self.scores.certificate).score

    def raw(self, score: float) -> float | None:
        """Return the cosine, or the closeness of codes, that one comparison needs for a score; None = none reaches it."""
        if score > self.scores.ratio[-1]:
            return None
        needed = float(self.scores.least(score))
        return None if needed > _GREATEST[self.modality] else needed


@dataclass(frozen=True, slots=True, eq=False)
class Calibrations:
    """Those that count: models of faces by name, coders of irises by label."""

    faces: Mapping[str, FaceModel]
    irises: Mapping[str, ScoreCalibration]

    def each(self) -> tuple[Calibration, ...]:
        """Return them one by one, faces first, by name."""
        faces = (self.faces[name] for name in sorted(self.faces))
        return (
            *(Calibration(Modality.FACE, one.calibration, one.dimension) for one in faces),
            *(Calibration(Modality.IRIS, self.irises[name]) for name in sorted(self.irises)),
        )

    def of(self, model: str) -> Calibration | None:
        """Return that of a model or coder; None where it has none here."""
        return next((one for one in self.each() if one.model == model), None)

    def replaced(self, by: Iterable[Calibration], without: Collection[str] = ()) -> Calibrations:
        """Return these with others in place of those of the same models, and without those of some models."""
        faces, irises = dict(self.faces), dict(self.irises)
        for one in by:
            if one.modality is Modality.FACE:
                faces[one.model] = FaceModel(one.dimension, one.scores)
            else:
                irises[one.model] = one.scores
        for model in without:
            faces.pop(model, None)
            irises.pop(model, None)
        return Calibrations(MappingProxyType(faces), MappingProxyType(irises))


@cache
def shipped() -> Calibrations:
    """Return the calibrations that travel with Passerelle."""
    return Calibrations(shipped_models(), shipped_calibrations())


def shipped_text(one: Calibration) -> bytes:
    """Return the file of a calibration that travels with Passerelle, byte for byte."""
    folders = (resources.files(package) for package in ("matcher.face", "matcher.iris"))
    files = (file for folder in folders for file in folder.iterdir() if file.name.endswith(SUFFIX))
    texts = (file.read_bytes() for file in files)
    return next(text for text in texts if sha256(text).hexdigest() == one.digest)


class CalibrationsInForce:
    """The calibrations that count, now; `current` is replaced as a whole."""

    def __init__(self, current: Calibrations | None = None) -> None:
        self.current = shipped() if current is None else current


def read(octets: bytes) -> Calibration:
    """Return the calibration in a file, as `passerelle eval --calibrate` writes it.

    Raises UserError, which says what is wrong and holds nothing of the file, for anything else: also for what is well
    formed and was fitted to too few people, or to no model that is compared here.
    """
    try:
        fitted = strict_json.read(octets, MOST_BYTES)
        _demand_form(fitted)
        digest = sha256(octets).hexdigest()
        if _DIMENSION in fitted:
            model = load_model(fitted, digest)
            found = Calibration(Modality.FACE, model.calibration, model.dimension)
        else:
            found = Calibration(Modality.IRIS, load_coder_calibration(fitted, digest))
        _demand_meant(found)
    except (ValueError, OverflowError) as fault:
        raise UserError(f"no calibration: {fault}") from None
    return found


def _demand_form(fitted: Any) -> None:  # noqa: ANN401 - what a stranger's JSON says
    """Raise ValueError for what has other names than a calibration, or counts that are none or too small."""
    if not isinstance(fitted, dict):
        raise ValueError("not an object of JSON, with a model and its line and tails")  # noqa: TRY004
    if not isinstance(fitted.get("model"), str):
        raise ValueError("it names no model, or more than one: a file is of one model or coder")  # noqa: TRY004
    if other := sorted(fitted.keys() - _NAMES):
        raise ValueError(f"it has names that no calibration has, {ascii(other[0])[:60]} for one")
    version = fitted.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError("its version is 1 to 64 of A-Z a-z 0-9 . _ - (the ledger states it)")
    least = {"trials": LEAST_NON_MATED, "mated": LEAST_PEOPLE, "people": LEAST_PEOPLE}
    for name, fewest in least.items():
        count = fitted.get(name)
        if type(count) is not int or count < fewest:
            raise ValueError(f"{name} is a whole number of at least {fewest}: too few were seen")
        if count > _MOST_COUNT:
            raise ValueError(f"{name} is at most {_MOST_COUNT:.0e}")
    line, tails = fitted.get("line"), fitted.get("tails")
    if not isinstance(line, list) or not all(_numbers(each, 2) for each in line):
        raise ValueError("its line is a list of pairs of numbers: raw score and log10 ratio")
    if not isinstance(tails, list) or not all(map(_is_tail, tails)):
        raise ValueError(
            "its tails are objects with samples, level, and share and rate of three numbers"
        )


def _is_tail(value: object) -> bool:
    """Return whether it has the names and numbers of a tail, whatever they mean."""
    if not isinstance(value, dict) or value.keys() != {"samples", "level", "share", "rate"}:
        return False
    single = [value["samples"], value["level"]]
    return _numbers(single, 2) and _numbers(value["share"], 3) and _numbers(value["rate"], 3)


def _numbers(value: object, count: int) -> bool:
    """Return whether it is a list of so many numbers; true and false are none."""
    return (
        isinstance(value, list)
        and len(value) == count
        and all(type(each) in {int, float} for each in value)
    )


def _demand_meant(found: Calibration) -> None:
    """Raise ValueError for what can be read and would decide otherwise than it says."""
    certificate = found.scores.certificate
    if found.modality is Modality.FACE:
        if found.model in {coder.label for coder in CODERS.values()}:
            raise ValueError("a coder of irises has this name, and codes have no dimension")
        if len(certificate.tails) != 1:
            raise ValueError(
                "a calibration of faces has one tail: several faces have the union bound"
            )
    if any(tail.share[-1] > 1 for tail in certificate.tails):
        raise ValueError("a tail's share is a part of all: at most 1")
    _demand_bounded(found)
    words = (certificate.data, certificate.split)
    if not all(word.isprintable() for word in words):
        raise ValueError("its data and split are printable text")


def _demand_bounded(found: Calibration) -> None:
    """Raise ValueError for numbers that no fit gives: a search could not be reckoned by them, or everybody were a hit."""
    scores, tails = found.scores, found.scores.certificate.tails
    levels = [*scores.ratio, *(tail.level for tail in tails)]
    if max(map(abs, levels)) > _MOST_RATIO:
        raise ValueError(
            f"log10 ratios and levels of tails lie within -{_MOST_RATIO:g} and {_MOST_RATIO:g}"
        )
    rates = [each for tail in tails for each in tail.rate]
    if min(rates) < _LEAST_RATE or max(rates) > _MOST_RATE:
        raise ValueError(f"a tail's rate lies within {_LEAST_RATE:g} and {_MOST_RATE:g}")
    # Whatever is promised, a hit has at least this score.
    if scores.least(calibration.LEAST_MATCH) <= _UNRELATED:
        raise ValueError(
            "by its line a raw score of 0 would be a hit, which unrelated samples come to: it lies below the log10 ratio 0"
        )
