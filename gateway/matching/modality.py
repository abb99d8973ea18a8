"""Which codec and which engine a modality has here, and the engines of a gateway together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.domain.messages import Modality, RecordFormat
from gateway.errors import EngineUnavailable
from gateway.matching.engine import Change, Codec, Engine, Source, UnreadableSample
from gateway.matching.finger import FingerCodec, FingerEngine


@dataclass(frozen=True, slots=True)
class Implementation:
    """What reads the records of a modality, and what makes an engine that searches them."""

    codec: Codec
    engine: Callable[[], Engine]


TABLE: Mapping[Modality, Implementation] = {
    Modality.FINGER: Implementation(FingerCodec(), FingerEngine),
}


def codec_of(modality: Modality) -> Codec:
    """Return what reads records of a modality; raises UnreadableSample where nothing here does."""
    if modality not in TABLE:
        raise UnreadableSample(f"no record of the modality {modality.name} is read here")
    return TABLE[modality].codec


def list_formats() -> tuple[RecordFormat, ...]:
    """Return the record formats that are read here, of every modality."""
    return tuple(sorted({form for each in TABLE.values() for form in each.codec.formats}))


class Engines:
    """One engine for each modality of the table; loaded and changed together."""

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

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of so many searches takes, of the slowest engine."""
        taken = [engine.rehearse(searches) for engine in self.by_modality.values()]
        return tuple(max(each) for each in zip(*taken, strict=True))

    def demand_loaded(self) -> None:
        """Raise EngineUnavailable unless every engine can be searched."""
        if not all(engine.status().loaded for engine in self.by_modality.values()):
            raise EngineUnavailable

    @property
    def size(self) -> int:
        """How many people can be found, by the modality by which most can."""
        return max(engine.status().size for engine in self.by_modality.values())
