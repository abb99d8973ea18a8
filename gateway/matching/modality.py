"""Which codec and which engine a modality has here, and the engines of a gateway together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.domain.messages import Modality, RecordFormat, Sample
from gateway.errors import EngineUnavailable, FormatUnsupported
from gateway.matching.engine import (
    Change,
    Codec,
    Deadline,
    Engine,
    Identified,
    OperatingPoint,
    Prepared,
    Source,
    UnreadableSample,
)
from gateway.matching.face import FaceCodec, FaceEngine
from gateway.matching.finger import FingerCodec, FingerEngine
from gateway.matching.identification import Probes, identify
from gateway.matching.iris import IrisCodec, IrisEngine
from matcher import fusion


@dataclass(frozen=True, slots=True)
class Implementation:
    """What reads the records of a modality, and what makes an engine that searches them."""

    codec: Codec
    engine: Callable[[], Engine]


TABLE: Mapping[Modality, Implementation] = {
    Modality.FINGER: Implementation(FingerCodec(), FingerEngine),
    Modality.FACE: Implementation(FaceCodec(), FaceEngine),
    Modality.IRIS: Implementation(IrisCodec(), IrisEngine),
}


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


def least_score(fpir: float, searched: Mapping[Modality, tuple[int, int]]) -> float:
    """Return the least score that keeps a promised FPIR, by the calibrations of today.

    searched   people and usable samples, by modality
    """
    return fusion.threshold(
        fpir,
        [
            fusion.Searched(size, codec_of(modality).tails(usable))
            for modality, (size, usable) in searched.items()
        ],
    ).score


class Engines:
    """One engine for each modality of the table; loaded, changed and searched together."""

    def __init__(self) -> None:
        made = (each.engine() for each in TABLE.values())
        self.by_modality: Mapping[Modality, Engine] = {each.modality: each for each in made}

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
                probes[modality] = self.by_modality[modality].read(groups[modality])
        except BaseException:  # one bad record leaves nothing of the others
            self.destroy(probes)
            raise
        return probes

    def prepare(self, probes: Probes) -> Mapping[Modality, Prepared]:
        """Make probes ready to be searched; each problem says of which modality its sample is."""
        prepared = {}
        for modality, probe in probes.items():
            made = self.by_modality[modality].prepare(probe)
            problems = tuple(replace(each, modality=modality) for each in made.problems)
            prepared[modality] = replace(made, problems=problems)
        return prepared

    def search(
        self, probes: Probes, point: OperatingPoint, limit: int, deadline: Deadline
    ) -> Identified:
        """Return what all of the prepared probes together come to; see `gateway.matching.identification`."""
        return identify(self.by_modality, probes, point, limit, deadline)

    def destroy(self, probes: Probes) -> Mapping[Modality, Mapping[str, int]]:
        """Overwrite and drop what the probes hold; return how many there were, by modality and kind."""
        return {each: self.by_modality[each].destroy(probe) for each, probe in probes.items()}

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
