"""Fingers: their records, what of them is good enough, and their gallery in this process.

The gallery's arrays lie in our own process. It is the specification of all other engines of fingers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gateway.domain.messages import (
    POSITIONS,
    UNKNOWN_POSITION,
    Modality,
    Problem,
    ProblemCode,
    RecordFormat,
    Sample,
)
from gateway.errors import (
    BiographicInQuery,
    DeadlineTooShort,
    ElementsInconsistent,
    EngineUnavailable,
    FormatUnsupported,
    RecordUnparseable,
)
from gateway.matching.calibrations import Calibrations
from gateway.matching.engine import (
    Deadline,
    Found,
    OpenedFile,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    UnreadableSample,
)
from gateway.matching.finger_marks import KINDS
from gateway.matching.gallery_engine import (
    GalleryEngine,
    Search,
    demand_own,
    demand_ready,
    read_whole,
    timed,
)
from gateway.sample_files import record_text
from gateway.sample_files.errors import MalformedFile
from matcher import calibration
from matcher.errors import MalformedRecord, SearchAbandoned
from matcher.finger import assignment, record_fmr, record_formats, synthetic
from matcher.finger import probe as probes
from matcher.finger.descriptors import default_model, describe, distinct
from matcher.finger.explanation import explain
from matcher.finger.gallery import Candidates, Gallery, reckoned_by
from matcher.finger.template import Minutiae
from matcher.fusion import Tails

PPI_PER_PPCM = 2.54  # 197 pixels per centimetre are 500 pixels per inch
PPI_TOLERANCE = 1  # pixels per inch; the record's whole pixels per centimetre cannot say more
FORMATS = tuple(RecordFormat(int(each)) for each in record_fmr.Format)
REHEARSED_FINGERS = (2, 7)  # right and left index, which most exchanges carry
TRIAL_PEOPLE, TRIAL_FINGERS = 4, (2, 7)
REHEARSED_SEED = 315  # of the person who does not exist, whom rehearsals look for


class FingerProbe(Probe):
    """Fingers of one person: their minutiae, and what is searched once they are prepared."""

    __slots__ = ("minutiae", "ready")

    def __init__(self, minutiae: Sequence[tuple[int, Minutiae]]) -> None:
        self.minutiae = list(minutiae)
        self.ready: probes.Probe | None = None


class FingerEngine(GalleryEngine[Gallery]):
    """One gallery of fingers in this process."""

    modality = Modality.FINGER

    def __init__(self, threads: int = 1) -> None:
        super().__init__()
        self._threads = threads

    def _empty(self) -> Gallery:
        return Gallery()

    def _held(self, samples: Sequence[Sample]) -> Sequence[tuple[int, Minutiae]]:
        return _minutiae_of(samples)

    def read(self, samples: Mapping[str, Sample]) -> FingerProbe:
        """Read fingers; a record that says position 0, unknown, takes the declared one."""
        return FingerProbe(read_whole(samples, read_declared))

    def prepare(self, probe: Probe) -> Prepared:
        """Describe the fingers that are good enough; the others become problems."""
        mine = demand_own(probe, FingerProbe)
        mine.ready = probes.prepare(mine.minutiae)
        problems = (Problem(each.position, ProblemCode[each.code]) for each in mine.ready.faults)
        return Prepared(mine.ready.usable, tuple(problems))

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best `limit` people of the whole gallery, each with the number of fingers that they share.

        Hands exchanged and fingers mixed up are tried of every probe, whoever is found (`matcher.finger.assignment`).
        Raises EngineUnavailable when not loaded, DeadlineTooShort when time runs out before the search is
        complete, and the matcher's NothingUsable for a probe without a usable finger.
        """
        (found,) = self.search_all([Search(probe, point, limit, deadline)])
        if isinstance(found, Exception):
            raise found
        return found

    def search_all(self, searches: Sequence[Search]) -> Sequence[Found | Exception]:
        """Return what each comes to; those that may share a pass go on until the last of them has no time left."""
        outcomes: dict[int, Found | Exception] = {}
        together: dict[int, list[tuple[int, Search, probes.Probe]]] = {}
        for number, each in enumerate(searches):
            try:
                ready = _searchable(each)
            except Exception as error:  # noqa: BLE001 - it is this search's alone
                outcomes[number] = error
            else:
                together.setdefault(each.limit, []).append((number, each, ready))
        for limit, some in together.items():
            ended = self._pass([(each, ready) for _, each, ready in some], limit)
            outcomes |= dict(zip((number for number, _, _ in some), ended, strict=True))
        return [outcomes[number] for number in range(len(searches))]

    def _pass(
        self, some: Sequence[tuple[Search, probes.Probe]], limit: int
    ) -> Sequence[Found | Exception]:
        """Return what searches for as many people come to, in one pass over the gallery."""
        try:
            found = self._loaded().search_many(
                [ready for _, ready in some],
                limit,
                threads=self._threads,
                expired=lambda: all(each.deadline() <= 0 for each, _ in some),
            )
        except SearchAbandoned:
            return [DeadlineTooShort() for _ in some]
        except EngineUnavailable as error:
            return [error for _ in some]
        return [
            _found(each, ready) if len(some) == 1 or one.deadline() > 0 else DeadlineTooShort()
            for each, (one, ready) in zip(found, some, strict=True)
        ]

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the fused score of each person who has one of the probe's fingers, aligned in full."""
        ready = demand_ready(demand_own(probe, FingerProbe).ready)
        return _scored(self._loaded().scores(ready, subjects))

    def count(self, probe: Probe) -> Mapping[str, int]:
        """Return how many records, sets of minutiae and templates there are."""
        mine = demand_own(probe, FingerProbe)
        read, templates = len(mine.minutiae), 0 if mine.ready is None else len(mine.ready.fingers)
        return {"records": read, "minutiae": read, "templates": templates}

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite minutiae and templates with zeros, in place, and drop them."""
        mine, counts = demand_own(probe, FingerProbe), self.count(probe)
        ready = mine.ready
        if ready is not None:
            ready.destroy()
        for _, minutiae in mine.minutiae:
            minutiae.destroy()
        mine.minutiae, mine.ready = [], None
        return counts

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of some searches takes, for two fingers of somebody who does not exist.

        The first ones, which still load the model and touch every page of the gallery, are not counted.
        """
        nobody, gallery = synthetic.person(REHEARSED_SEED), self._loaded()

        def fingers(number: int) -> list[tuple[int, Minutiae]]:
            return [(at, synthetic.impression(nobody, at, number)) for at in REHEARSED_FINGERS]

        return timed(
            searches,
            fingers,
            lambda each: gallery.search(probes.prepare(each), 1, threads=self._threads),
        )

    def trial(self) -> tuple[tuple[int, float], ...]:
        """Return whom searches name by two fingers, of one person who is enrolled and one who is not."""
        gallery = Gallery()
        for seed in range(TRIAL_PEOPLE):
            whose = synthetic.person(seed)
            gallery.add(seed, [(at, synthetic.impression(whose, at, 0)) for at in TRIAL_FINGERS])
        said: list[tuple[int, float]] = []
        for seed in (0, TRIAL_PEOPLE):
            whose = synthetic.person(seed)
            probe = probes.prepare(
                [(at, synthetic.impression(whose, at, 1)) for at in TRIAL_FINGERS]
            )
            found = gallery.search(probe, TRIAL_PEOPLE, threads=self._threads)
            said += zip(found.subject.tolist(), found.score.tolist(), strict=True)
        return tuple(said)


class FingerCodec:
    """Records of fingers: ISO/IEC 19794-2 and INCITS 378, first and second editions; files of them."""

    formats = FORMATS

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        """Return the sample of one finger, which states of the record what the record itself states.

        position   1-10, or 0 for a question about a finger of which nobody knows which it is
        """
        known = (UNKNOWN_POSITION, *POSITIONS[Modality.FINGER])
        return _stated(record, position, extractor, known)[0]

    def sample_to_enrol(
        self, record: bytes, position: int, extractor: str, calibrations: Calibrations
    ) -> Sample:
        """Return the sample of one finger to enrol, if it is good enough to find somebody by."""
        del calibrations
        sample, minutiae = _stated(record, position, extractor, POSITIONS[Modality.FINGER])
        problem = probes.assess(minutiae)
        if problem is not None:
            raise UnreadableSample(f"too poor to enrol: {problem.lower().replace('_', ' ')}")
        return sample

    def open_file(self, octets: bytes) -> OpenedFile:
        """Return the fingers of a record of one or several, each as a record that every strict reader reads."""
        try:
            found = record_formats.opened(octets)
        except MalformedRecord as fault:
            raise UnreadableSample(str(fault)) from None
        return OpenedFile(tuple((one.position, one.record) for one in found.prints), found.repairs)

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        """Return two fingers side by side, the probe's minutiae moved onto the record's, and which agree.

        No score and no likelihood: who knows what the machine thinks of it sees what the machine saw (ADR 17).
        """
        mine, theirs = (_view(each.data).minutiae for each in (probe, record))
        try:
            return _side_by_side(mine, theirs)
        finally:
            mine.destroy()
            theirs.destroy()

    def tails(self, shared: int, calibrations: Calibrations) -> Tails:
        """Return the tails by which whoever shares so many fingers is judged, all hypotheses together."""
        del calibrations
        return _tails(shared)


def read_declared(sample: Sample, element: str) -> Minutiae:
    """Return the minutiae of a sample whose record says what its sender declared of it.

    Raises FormatUnsupported, RecordUnparseable, ElementsInconsistent naming the element that disagrees, or BiographicInQuery
    for extended data of a kind that no standard defines: anything may be written there.
    """
    if sample.format not in FORMATS:
        raise FormatUnsupported(element=f"{element}.format")
    try:
        record = record_fmr.read(sample.data)
    except MalformedRecord as fault:
        raise RecordUnparseable(element=f"{element}.data", why=str(fault)) from fault
    if int(record.format) != int(sample.format):
        raise ElementsInconsistent(element=f"{element}.format")
    if len(record.views) != 1:
        raise ElementsInconsistent(element=f"{element}.data")
    _require_agreement(sample, record, element)
    _require_no_text(sample, element)
    return record.views[0].minutiae


def _require_no_text(sample: Sample, element: str) -> None:
    """Raise BiographicInQuery where a record has room for text about a person, and uses it (IRPR 315.38)."""
    try:
        found = record_text.names(sample.format, sample.data)
    except MalformedFile as fault:  # read in one way there and in another here: not passed
        raise RecordUnparseable(element=f"{element}.data", why=str(fault)) from None
    if found:
        raise BiographicInQuery(element=f"{element}.data")


def _require_agreement(sample: Sample, record: record_fmr.Record, element: str) -> None:
    """Raise ElementsInconsistent where the record's one view is not what its sender declared of it."""
    view = record.views[0]
    if view.position not in (0, sample.position):
        raise ElementsInconsistent(element=f"{element}.position")
    for name, declared, own in (
        ("width", sample.width, record.width),
        ("height", sample.height, record.height),
    ):
        if declared and declared != own:
            raise ElementsInconsistent(element=f"{element}.{name}")
    if sample.impression != view.impression:
        raise ElementsInconsistent(element=f"{element}.impression")
    for ppcm in (record.x_ppcm, record.y_ppcm):
        if sample.ppi and abs(sample.ppi - ppcm * PPI_PER_PPCM) > PPI_TOLERANCE:
            raise ElementsInconsistent(element=f"{element}.ppi")


def _stated(
    data: bytes, position: int, extractor: str, known: Sequence[int]
) -> tuple[Sample, Minutiae]:
    try:
        record = record_fmr.read(data)
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None
    if len(record.views) != 1:
        raise UnreadableSample(f"the record holds {len(record.views)} views; one finger a record")
    # What the record is comes first: to say of a picture that its position is missing would be no help.
    if position not in known:
        raise UnreadableSample("finger position must be 1 to 10; say --position or use a manifest")
    view = record.views[0]
    if view.position not in (0, position):
        raise UnreadableSample(f"the record says finger {view.position}, the command {position}")
    sample = Sample(
        modality=Modality.FINGER,
        position=position,
        format=RecordFormat(int(record.format)),
        extractor=extractor,
        data=data,
        impression=view.impression,
    )
    return sample, view.minutiae


def _minutiae_of(samples: Sequence[Sample]) -> list[tuple[int, Minutiae]]:
    """Return the fingers of stored samples; raises ValueError for a record that is not of its position."""
    return [
        (one.position, probes.read_sample(probes.FingerSample(one.position, one.data)))
        for one in samples
    ]


def _searchable(one: Search) -> probes.Probe:
    """Return what a search is for; raises NothingUsable, or DeadlineTooShort where no time is left."""
    ready = demand_ready(demand_own(one.probe, FingerProbe).ready)
    if one.deadline() <= 0:
        raise DeadlineTooShort
    if not ready.fingers:
        raise probes.NothingUsable(ready.faults)
    return ready


def _found(found: Candidates, ready: probes.Probe) -> Found:
    return Found(
        candidates=_scored(found),
        calibration=assignment.search_certificate().id,
        reckoned_by=reckoned_by(),
        size=found.size,
        comparable=found.comparable,
        version=found.version,
        tails={number: _tails(number) for number in range(1, len(ready.usable) + 1)},
    )


def _scored(found: Candidates) -> tuple[Scored, ...]:
    columns = (each.tolist() for each in (found.subject, found.score, found.shared, found.ways))
    return tuple(
        Scored(subject, score, shared, hypothesis.name, int(ways))
        for hypothesis, subject, score, shared, ways in zip(found.hypothesis, *columns, strict=True)
    )


def _tails(shared: int) -> Tails:
    return calibration.tails_for(shared, assignment.search_certificate())


def _view(record: bytes) -> record_fmr.View:
    return record_fmr.read(record).views[0]


def _side_by_side(probe: Minutiae, record: Minutiae) -> dict[str, object]:
    model = default_model()
    found = explain(describe(probe, model), describe(record, model))
    mine, theirs = distinct(probe), distinct(record)
    return {
        "probe": [
            _mark(found.moved[at], probe.angle[row] + found.turn, int(probe.kind[row]))
            for at, row in enumerate(mine)
        ],
        "record": [
            _mark(record.xy[row], record.angle[row], int(record.kind[row])) for row in theirs
        ],
        "pairs": [[int(a), int(b)] for a, b in found.pairs],
        "turn_degrees": round(float(np.degrees(found.turn)), 1),
        "shift_pixels": [round(each, 1) for each in found.shift],
    }


def _mark(xy: np.ndarray, angle: float, kind: int) -> dict[str, object]:
    return {
        "x": round(float(xy[0]), 1),
        "y": round(float(xy[1]), 1),
        "degrees": round(float(np.degrees(angle)) % 360, 1),
        "kind": KINDS[kind],
    }
