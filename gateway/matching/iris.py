"""Irises: their records of codes, what a file of them is, and their gallery in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf

from gateway.domain.messages import POSITIONS, UNSTATED, Modality, RecordFormat, Sample
from gateway.errors import (
    DeadlineTooShort,
    ElementInvalid,
    ElementsInconsistent,
    FormatUnsupported,
    RecordUnparseable,
)
from gateway.matching import open_iris_file
from gateway.matching.calibrations import Calibrations, CalibrationsInForce, shipped
from gateway.matching.engine import (
    Deadline,
    Found,
    Misread,
    OpenedFile,
    OperatingPoint,
    Prepared,
    Probe,
    Scored,
    UnreadableSample,
)
from gateway.matching.gallery_engine import (
    GalleryEngine,
    UncalibratedRecord,
    demand_own,
    demand_ready,
    read_whole,
    timed,
)
from matcher import fusion
from matcher.calibration import Certificate
from matcher.errors import MalformedRecord, SearchAbandoned
from matcher.fusion import Tails
from matcher.iris import probe as probes
from matcher.iris import record as iris_record
from matcher.iris import synthetic
from matcher.iris.calibration import reckoned_by
from matcher.iris.code_table import CodeTable, turn
from matcher.iris.coders import EYES
from matcher.iris.gallery import Gallery
from matcher.iris.probe import Orientation
from matcher.iris.record import Record
from matcher.iris.template import IrisCode
from matcher.score_calibration import ScoreCalibration

FORMATS = (RecordFormat.IRIS_CODE,)
IMAGE_OF_AN_IRIS = (
    "a picture of an iris is read where an extractor is configured for it; codes are read here"
)
NOT_OF_A_CODE = (
    "impression",
    "width",
    "height",
    "ppi",
)  # what no code has, and nobody states of one
NEAR_MISS = 1.0  # log10 units below the least threshold: who is that near is named, for another modality to add to
UNKNOWN_CODER = "UNKNOWN_VALUE"  # the rule that an ElementInvalid names
OTHERWISE = tuple(each for each in Orientation if each is not Orientation.AS_STATED)
REHEARSED_FPIR = 0.001
TRIAL_PEOPLE = 4
REHEARSED_SEED = 911  # of the person who does not exist, whom rehearsals look for


class IrisProbe(Probe):
    """Eyes of one person: their codes, the calibrations as they were when these were read, and what is searched once prepared."""

    __slots__ = ("calibrations", "codes", "ready")

    def __init__(
        self,
        codes: Sequence[tuple[int, IrisCode]],
        calibrations: Mapping[str, ScoreCalibration],
    ) -> None:
        self.codes = list(codes)
        self.calibrations = calibrations
        self.ready: probes.Probe | None = None


class IrisEngine(GalleryEngine[Gallery]):
    """One gallery of irises in this process.

    calibrations   of the coders whose codes are searched; None = those that are shipped
    """

    modality = Modality.IRIS

    def __init__(self, calibrations: CalibrationsInForce | None = None, threads: int = 1) -> None:
        super().__init__()
        self._calibrations = calibrations or CalibrationsInForce()
        self._threads = threads

    def _empty(self) -> Gallery:
        return Gallery()

    def _held(self, samples: Sequence[Sample]) -> Sequence[tuple[int, IrisCode]]:
        return _codes_of(samples, self._calibrations.current.irises)

    def read(self, samples: Mapping[str, Sample]) -> IrisProbe:
        """Read irises; a picture of one is FormatUnsupported, which says why."""
        calibrations = (
            self._calibrations.current.irises
        )  # of this query, whatever is adopted meanwhile
        return IrisProbe(read_whole(samples, partial(_read_declared, calibrations)), calibrations)

    def prepare(self, probe: Probe) -> Prepared:
        """Turn the codes by all rotations; a code that could be read can be searched."""
        mine = demand_own(probe, IrisProbe)
        mine.ready = probes.prepare(mine.codes, mine.calibrations)
        return Prepared(mine.ready.positions)

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best `limit` people who are at least near the thresholds, each with the number of eyes that they share.

        Where nobody reaches the threshold as stated, it is also said whom the probe would reach with eyes exchanged or
        pictures mirrored; that is looked at in every search, so that none takes longer than another by what it finds.
        Raises EngineUnavailable when not loaded, DeadlineTooShort when time runs out before the search is complete.
        """
        ready, gallery = demand_ready(demand_own(probe, IrisProbe).ready), self._loaded()
        if deadline() <= 0:
            raise DeadlineTooShort
        certificates = _certificates(ready)
        size, tails = len(gallery), _tails(certificates)
        least = _threshold(point.fpir, tails, size)
        floor = least if point.review_fpir is None else _threshold(point.review_fpir, tails, size)
        near = min(least, floor) - NEAR_MISS
        # Three more looks at everybody may each raise somebody: together they keep the promise of one.
        otherwise = _threshold(point.fpir / len(OTHERWISE), tails, size)
        try:
            found = gallery.search(
                ready, limit, floor=near, threads=self._threads, expired=lambda: deadline() <= 0
            )
            misread = self._misread(ready, gallery, otherwise, deadline)
        except SearchAbandoned:
            raise DeadlineTooShort from None
        as_stated = len(found) > 0 and found.score[0] >= least
        columns = found.subject.tolist(), found.score.tolist(), found.shared.tolist()
        return Found(
            candidates=tuple(map(Scored, *columns)),
            calibration="+".join(each.id for each in certificates),
            reckoned_by=reckoned_by(ready.calibrations),
            size=found.size,
            comparable=found.comparable,
            version=found.version,
            # Whoever shares both eyes is held to what one must show, too: the looks give up who is far below that.
            tails=dict.fromkeys(range(1, len(ready.positions) + 1), tails),
            misread=None if as_stated else misread,
        )

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the exact score of each of a few people who have an eye of the probe by the same coder."""
        ready = demand_ready(demand_own(probe, IrisProbe).ready)
        score, shared = self._loaded().scores(ready, subjects)
        said = zip(subjects, score.tolist(), shared.tolist(), strict=True)
        return tuple(Scored(*each) for each in said if each[2])

    def count(self, probe: Probe) -> Mapping[str, int]:
        """Return how many records and codes there are, and codes with their rotations."""
        mine = demand_own(probe, IrisProbe)
        read = len(mine.codes)
        return {"records": read, "codes": read, "templates": 0 if mine.ready is None else read}

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite codes and their rotations with zeros, in place, and drop them."""
        mine, counts = demand_own(probe, IrisProbe), self.count(probe)
        ready = mine.ready
        if ready is not None:
            ready.destroy()
        for _, iris in mine.codes:
            iris.destroy()
        mine.codes, mine.ready = [], None
        return counts

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of some searches takes, for both eyes of somebody who does not exist.

        They have a code by each coder of the gallery. The first searches, which still touch every page of it, are not
        counted.
        """
        coders = self._loaded().coders
        if not coders:  # nobody is searched among nobody
            return (0.0,) * searches
        nobody = IrisProbe(
            [
                (eye, synthetic.capture(synthetic.person(REHEARSED_SEED), eye, 0, coder))
                for coder in coders
                for eye in EYES
            ],
            self._calibrations.current.irises,
        )
        self.prepare(nobody)
        point = OperatingPoint(REHEARSED_FPIR)
        return timed(
            searches, lambda _: nobody, lambda each: self.search(each, point, 1, lambda: 1.0)
        )

    def trial(self) -> tuple[tuple[int, float], ...]:
        """Return whom a search names, of one person who is enrolled and one who is not."""
        calibrations, gallery = shipped().irises, Gallery()
        for seed in range(TRIAL_PEOPLE):
            gallery.add(seed, _both_eyes(seed, 0))
        said: list[tuple[int, float]] = []
        for seed in (0, TRIAL_PEOPLE):
            asked = probes.prepare(_both_eyes(seed, 1), calibrations)
            found = gallery.search(asked, TRIAL_PEOPLE, floor=-inf)
            said += zip(found.subject.tolist(), found.score.tolist(), strict=True)
        return tuple(said)

    def _misread(
        self, ready: probes.Probe, gallery: Gallery, least: float, deadline: Deadline
    ) -> Misread | None:
        """Return the likeliest of whom the probe reaches if it is read otherwise than stated."""
        best: Misread | None = None
        for orientation in OTHERWISE:
            turned = probes.oriented(ready, orientation)
            try:
                found = gallery.search(
                    turned, 1, floor=least, threads=self._threads, expired=lambda: deadline() <= 0
                )
            finally:
                turned.destroy()
            for subject, score in zip(found.subject.tolist(), found.score.tolist(), strict=True):
                if best is None or score > best.score:
                    best = Misread(orientation.name, subject, score)
        return best


def _both_eyes(seed: int, number: int) -> list[tuple[int, IrisCode]]:
    """Return a capture of both eyes of somebody who does not exist."""
    return [(eye, synthetic.capture(synthetic.person(seed), eye, number)) for eye in EYES]


class IrisCodec:
    """Records of iris codes; files of them, and templates as open-iris writes them."""

    formats = FORMATS

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        """Return the sample of one eye, 1 right or 2 left, whose extractor is the record's coder."""
        read = _read(record)
        if position not in POSITIONS[Modality.IRIS]:
            raise UnreadableSample(
                "an eye is 1, right, or 2, left; say --position or use a manifest"
            )
        if position != read.eye:
            raise UnreadableSample(f"the record says eye {read.eye}, the command {position}")
        coder = read.iris.coder.label
        if extractor not in {UNSTATED, coder}:
            raise UnreadableSample(f"the record is by the coder {coder}; say --extractor {coder}")
        return Sample(
            modality=Modality.IRIS,
            position=position,
            format=RecordFormat.IRIS_CODE,
            extractor=coder,
            data=record,
        )

    def sample_to_enrol(
        self, record: bytes, position: int, extractor: str, calibrations: Calibrations
    ) -> Sample:
        """Return the same: a record with too little to find somebody by is not read at all."""
        sample = self.sample(record, position, extractor)
        if sample.extractor not in calibrations.irises:
            raise UncalibratedRecord(sample.extractor)
        return sample

    def open_file(self, octets: bytes) -> OpenedFile:
        """Return the one iris of a file: a record of ours, or a template that open-iris wrote, as JSON."""
        if open_iris_file.is_template(octets):
            return OpenedFile((open_iris_file.opened(octets),))
        read = _read(octets)
        return OpenedFile(((read.eye, octets),))

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        """Return what an examiner can see of two codes: by which coders, how much of each, how the eye was turned.

        A code has nothing that a person could look at, and a score is not shown (ADR 17): the pictures decide.
        """
        mine, theirs = (_read(each.data) for each in (probe, record))
        try:
            return _side_by_side(mine, theirs)
        finally:
            mine.iris.destroy()
            theirs.iris.destroy()

    def tails(self, shared: int, calibrations: Calibrations) -> Tails:
        """Return the tails of every coder's calibration: of one eye and of both, whoever shares one or two."""
        del shared
        labels = sorted(calibrations.irises)
        return _tails([calibrations.irises[each].certificate for each in labels])


def _read_declared(
    calibrations: Mapping[str, ScoreCalibration], sample: Sample, element: str
) -> IrisCode:
    """Return the code of a sample whose record says what its sender declared of it."""
    if sample.format not in FORMATS:
        raise FormatUnsupported(element=f"{element}.format", why=IMAGE_OF_AN_IRIS)
    try:
        read = iris_record.read(sample.data)
    except MalformedRecord as fault:
        raise RecordUnparseable(element=f"{element}.data", why=str(fault)) from fault
    if read.eye != sample.position:
        raise ElementsInconsistent(element=f"{element}.position")
    if read.iris.coder.label != sample.extractor:
        raise ElementsInconsistent(element=f"{element}.extractor")
    for name in NOT_OF_A_CODE:
        if getattr(sample, name):
            raise ElementsInconsistent(element=f"{element}.{name}")
    if sample.extractor not in calibrations:  # its distance would be a number that means nothing
        raise ElementInvalid(element=f"{element}.extractor", rule=UNKNOWN_CODER)
    return read.iris


def _side_by_side(probe: Record, record: Record) -> dict[str, object]:
    sides = {
        name: {
            "coder": each.iris.coder.label,
            "usable_percent": round(100 * each.iris.usable / each.iris.coder.bits),
        }
        for name, each in (("probe", probe), ("record", record))
    }
    alike = probe.iris.coder is record.iris.coder
    found: dict[str, object] = {**sides, "comparable": alike}
    if alike:
        table = CodeTable(record.iris.coder)
        table.put(record.iris, 0, 1)
        turned = turn(probe.iris)
        columns = int(table.compare(turned, table.rows()).rotation[0])
        found["turn_degrees"] = round(360 * columns / record.iris.coder.columns, 1)
        turned.destroy()
        table.wipe(0)
    return found


def _certificates(ready: probes.Probe) -> list[Certificate]:
    """Return the certificates of a probe's coders, by label."""
    coders = sorted({iris.coder.label for _, iris in ready.eyes})
    return [ready.calibrations[label].certificate for label in coders]


def _tails(certificates: Sequence[Certificate]) -> Tails:
    return tuple(tail for each in certificates for tail in each.tails)


def _threshold(fpir: float, tails: Tails, size: int) -> float:
    """Return the greatest of the thresholds of some coders: whichever compared, the promise holds."""
    return fusion.threshold(fpir, [tails], size).score


def _read(record: bytes) -> Record:
    try:
        return iris_record.read(record)
    except MalformedRecord as fault:
        raise UnreadableSample(str(fault)) from None


def _codes_of(
    samples: Sequence[Sample], calibrations: Mapping[str, ScoreCalibration]
) -> list[tuple[int, IrisCode]]:
    """Return the irises of stored samples; raises ValueError for a record that is not of its eye, or not calibrated."""
    read = [(one.position, _read(one.data)) for one in samples]
    for _, each in read:
        if each.iris.coder.label not in calibrations:
            raise UncalibratedRecord(each.iris.coder.label)
    if any(position != each.eye for position, each in read):
        raise ValueError("a stored record is of another eye than its row says")
    return [(position, each.iris) for position, each in read]
