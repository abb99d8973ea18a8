"""The engines of a gateway together: loaded and changed alike, and asked by all modalities of one query, images among them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent import futures
from dataclasses import replace

from gateway.domain.messages import Modality, Problem, ProblemCode, RecordFormat, Sample
from gateway.errors import EngineUnavailable, FormatUnsupported, InvalidArgument
from gateway.extraction.service import ExtractionService
from gateway.matching import images
from gateway.matching import modality as modalities
from gateway.matching.calibrations import CalibrationsInForce
from gateway.matching.engine import (
    Change,
    Deadline,
    Engine,
    Identified,
    OperatingPoint,
    Prepared,
    Probe,
    Source,
)
from gateway.matching.identification import Probes, identify
from gateway.matching.images import Begun, PendingImage, Records
from gateway.matching.workers.engine import WorkerEngine
from gateway.matching.workers.pool import WorkerPool

EXTRACTION_SECONDS = 60.0  # that images may take where nobody says less; the longest deadline of a call (protocol 12)


class _WithImages(Probe):
    """Samples of one modality, images among them: until they are prepared the images wait, and the others are held to be read again.

    probe   the engine's own: of the records alone at first, then of those that images became too
    """

    __slots__ = ("begun", "beside", "pending", "probe")

    def __init__(
        self, probe: Probe, beside: Mapping[str, Sample], pending: tuple[PendingImage, ...]
    ) -> None:
        self.probe, self.beside, self.pending = probe, beside, pending
        self.begun: tuple[Begun, ...] = ()


class Engines:
    """One engine for each modality of the table; loaded, changed and searched together.

    images         what makes records of images; a service without extractors reads none
    quantised      modalities whose galleries hold their numbers in fewer bits, where there is an engine that can
    calibrations   what scores are worth, as it is when a query is read; None = those that are shipped
    workers        processes that hold the galleries and search them; 0 = this one
    """

    def __init__(
        self,
        images: ExtractionService | None = None,
        quantised: frozenset[Modality] = frozenset(),
        calibrations: CalibrationsInForce | None = None,
        workers: int = 0,
    ) -> None:
        by = calibrations or CalibrationsInForce()
        local = modalities.engines_of(by, quantised)
        self.pool = WorkerPool(workers, local, by, quantised) if workers else None
        self.by_modality: Mapping[Modality, Engine] = local
        if self.pool is not None:
            self.by_modality = {at: WorkerEngine(each, self.pool) for at, each in local.items()}
        self.images = images or ExtractionService()

    @property
    def places(self) -> int:
        """How many questions search processes have before them; 0 where this process searches."""
        return 0 if self.pool is None else self.pool.places

    def close(self) -> None:
        """End extractors and search processes; whoever waits for one is told."""
        self.images.close()
        if self.pool is not None:
            self.pool.close()

    def formats(self) -> tuple[RecordFormat, ...]:
        """Return the formats that are read here: records, and images of modalities that have an extractor."""
        return tuple(sorted({*modalities.list_formats(), *images.formats_read(self.images)}))

    def load(self, source: Source) -> None:
        """Load every engine; raises EngineUnavailable."""
        for engine in self.by_modality.values():
            engine.load(source)

    def apply(self, change: Change) -> None:
        """Hand each engine the samples of its modality; who has none of them any more is removed there."""
        for modality, engine in self.by_modality.items():
            mine = tuple(one for one in change.samples if one.modality is modality)
            engine.apply(replace(change, samples=mine))

    def read(self, samples: Mapping[str, Sample]) -> Probes:
        """Read one person's samples, each by the engine of its modality, by the element of the request that holds it.

        No sample at all is a probe of fingers with nothing in it. Raises FormatUnsupported, naming the element, for a
        modality that nothing here searches, and what an engine raises; what was read until then is destroyed.
        """
        groups: dict[Modality, dict[str, Sample]] = {} if samples else {Modality.FINGER: {}}
        for element, sample in samples.items():
            if sample.modality not in self.by_modality:
                why = f"no {sample.modality.name} is searched here"
                raise FormatUnsupported(element=f"{element}.modality", why=why)
            groups.setdefault(sample.modality, {})[element] = sample
        probes = {}
        try:
            for modality in sorted(groups):
                probes[modality] = self._read(modality, groups[modality])
        except BaseException:  # one bad record leaves nothing of the others
            self.destroy(probes)
            raise
        return probes

    def await_images(self, probes: Probes, deadline: Deadline) -> None:
        """Wait until the images among samples are records, or have failed; raises nothing, `prepare` says how it went."""
        begun = list[Begun]()
        for probe in probes.values():
            if isinstance(probe, _WithImages):
                probe.begun = probe.begun or images.begin(probe.pending, self.images)
                begun += probe.begun
        futures.wait([awaited for _, awaited in begun], max(0.0, deadline()))

    def prepare(
        self, probes: Probes, deadline: Deadline | None = None
    ) -> Mapping[Modality, Prepared]:
        """Make probes ready to be searched, images into records first; each problem says of which modality its sample is.

        Raises EngineUnavailable where no extractor can be had, DeadlineTooShort where time runs out before all images
        are records.
        """
        prepared = {}
        for modality, probe in probes.items():
            records = self._extracted(modality, probe, deadline or (lambda: EXTRACTION_SECONDS))
            made = self.by_modality[modality].prepare(_own(probe))
            problems = (*made.problems, *records.problems)
            prepared[modality] = replace(
                made,
                problems=tuple(replace(each, modality=modality) for each in problems),
                extracted=records.made,
                extractor=records.extractor,
            )
        return prepared

    def search(
        self, probes: Probes, point: OperatingPoint, limit: int, deadline: Deadline
    ) -> Identified:
        """Return what all of the prepared probes together come to; see `gateway.matching.identification`."""
        own = {modality: _own(probe) for modality, probe in probes.items()}
        return identify(self.by_modality, own, point, limit, deadline)

    def destroy(self, probes: Probes) -> Mapping[Modality, Mapping[str, int]]:
        """Overwrite and drop what the probes hold; return how many there were, by modality and kind."""
        return {each: self._destroy(each, probe) for each, probe in probes.items()}

    def _read(self, modality: Modality, samples: Mapping[str, Sample]) -> Probe:
        """Read samples of one modality; images are held to their containers and wait."""
        beside = {at: each for at, each in samples.items() if not images.is_image(each)}
        pending = tuple(
            images.admit(at, each, self.images)
            for at, each in samples.items()
            if images.is_image(each)
        )
        probe = self.by_modality[modality].read(beside)
        return _WithImages(probe, beside, pending) if pending else probe

    def _extracted(self, modality: Modality, probe: Probe, deadline: Deadline) -> Records:
        """Make records of the images of a probe, and have the engine read them with those that were there.

        A record that the engine refuses is no record: its image gave none. Whoever sent the image is not told of an
        element that they did not send.
        """
        if not isinstance(probe, _WithImages):
            return Records({}, ())
        codec, engine = modalities.TABLE[modality].codec, self.by_modality[modality]
        probe.begun = probe.begun or images.begin(probe.pending, self.images)
        records = images.extract(probe.begun, self.images, codec, deadline)
        made = {at: each for at, each in records.made.items() if _is_read(engine, at, each)}
        failed = tuple(
            Problem(each.position, ProblemCode.EXTRACTION_FAILED, modality=modality)
            for at, each in records.made.items()
            if at not in made
        )
        # What was there is given up only once all is read: a fault between leaves it to be destroyed and counted.
        alone, probe.probe = probe.probe, engine.read({**probe.beside, **made})
        engine.destroy(alone)
        return replace(records, made=made, problems=(*records.problems, *failed))

    def _destroy(self, modality: Modality, probe: Probe) -> Mapping[str, int]:
        counts = self.by_modality[modality].destroy(_own(probe))
        if not isinstance(probe, _WithImages):
            return counts
        gone = {"images": len(probe.pending), **counts}
        for _, awaited in probe.begun:
            awaited.cancel()  # what still waits is never decoded
        probe.pending, probe.begun, probe.beside = (), (), {}
        return gone

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of so many searches takes, by every modality: the most that a query carries."""
        taken = [engine.rehearse(searches) for engine in self.by_modality.values()]
        return tuple(sum(each) for each in zip(*taken, strict=True))

    def demand_loaded(self) -> None:
        """Raise EngineUnavailable unless every engine can be searched."""
        if not all(engine.status().loaded for engine in self.by_modality.values()):
            raise EngineUnavailable

    @property
    def size(self) -> int:
        """How many people can be found, by the modality by which most can."""
        return max(engine.status().size for engine in self.by_modality.values())


def _is_read(engine: Engine, element: str, sample: Sample) -> bool:
    """Return whether an engine reads a record that was made of an image; nothing of it is left."""
    try:
        read = engine.read({element: sample})
    except InvalidArgument:
        return False
    engine.destroy(read)
    return True


def _own(probe: Probe) -> Probe:
    """Return the probe that its engine made."""
    return probe.probe if isinstance(probe, _WithImages) else probe
