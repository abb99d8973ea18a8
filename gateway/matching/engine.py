"""Who is it? The port to engines, one for each modality: what is loaded, changed and searched, and what that must mean.

An engine's probe is opaque: whoever holds one hands it back, and only its engine knows what is in it. What decides is
behind the port too: what is usable, which score a promised error rate asks for, and what that rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.messages import Modality, Problem, RecordFormat, Sample
from gateway.matching.calibrations import Calibrations
from matcher.fusion import Tails

Batch = Sequence[tuple[int, Sequence[Sample]]]  # subject number, unsigned 64 bits; their samples
Deadline = Callable[[], float]  # seconds that remain


class UnreadableSample(ValueError):
    """A record cannot be used: it breaks its standard, or is not what it is said to be; the text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a subject's samples are from now on; none = the subject is removed."""

    subject: int
    samples: tuple[Sample, ...] = field(default=(), repr=False)


class Source(Protocol):
    """All enrolled subjects: a recipe to read them, not a connection.

    All shards together MUST yield every subject with a sample of the modality exactly once, and MUST raise rather
    than end early.
    """

    def batches(self, modality: Modality, shard: int, of: int) -> Iterator[Batch]:
        """Yield the subjects of one of so many shards, in batches, with their samples of one modality."""
        ...


class Probe:
    """One person's samples of one modality, read; opaque to everyone but the engine that read them."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What can be searched of a probe, and what is too poor.

    usable     positions, ascending; none = nothing can be searched
    problems   one for each other sample
    extracted  the samples that images were made into, whether usable or not, by the element of the request that holds each
    extractor  what made those, by name and version; empty where there were no images
    """

    usable: tuple[int, ...]
    problems: tuple[Problem, ...] = ()
    extracted: Mapping[str, Sample] = field(default_factory=dict, repr=False)
    extractor: str = ""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How many searches for somebody who is not enrolled may raise a candidate, as shares of such searches.

    fpir         the promise for a match, 0 < fpir < 1
    review_fpir  the same for what an examiner looks at; None where nobody does
    """

    fpir: float
    review_fpir: float | None = None


@dataclass(frozen=True, slots=True)
class Misread:
    """Somebody whom a probe reaches only if its samples are not what is said of them.

    how   EXCHANGED (the right eye stated as the left), MIRRORED (made of a mirrored picture), MIRRORED_AND_EXCHANGED
    """

    how: str
    subject: int
    score: float


@dataclass(frozen=True, slots=True)
class Scored:
    """What one modality says of a person.

    score          log10 likelihood ratio
    shared         how many of the probe's samples it compared with one of the person's: by which of `Found.tails` it is judged
    reading, ways  how the probe's samples were taken to fit the person, where an engine tries more than what is stated, and
                   out of how many ways; empty and 0 = as stated
    """

    subject: int
    score: float
    shared: int = 1
    reading: str = ""
    ways: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of the whole gallery of one modality came to.

    candidates     the best first: whose score is the rarest beside those of others who share as many samples
    calibration    version and digest of what thresholds rest on
    reckoned_by    what scores depend on beside samples and gallery: models, libraries, the processor
    size, version  people in the gallery that was searched, and its version
    comparable     of how many of them something can be compared with the probe: of faces and irises, who have a record
                   of its model or coder, of that which most have; 0 = the search says nothing of anybody
    tails          of non-mated scores, by the number of samples that a person may share with the probe: every threshold
                   rests on them. The greatest number is that of whoever shares all that is usable
    misread        whom the probe reaches if its samples are taken for others than stated, where it reaches nobody as
                   stated
    """

    candidates: tuple[Scored, ...]
    calibration: str
    reckoned_by: str
    size: int
    comparable: int
    version: int
    tails: Mapping[int, Tails] = field(repr=False)
    misread: Misread | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who may be the probe's.

    score       fused log10 likelihood ratio: the sum over the modalities that were searched
    threshold   the least that keeps the promise for a match, of whoever shares as many samples of each modality
    floor       the same for an examiner's look; None where nobody looks
    scores      what each says alone; none of a modality of which no sample is held of the person, which adds 0
    alone       the least score of each of these that would be a match by it alone
    """

    subject: int
    score: float
    threshold: float
    floor: float | None
    scores: Mapping[Modality, Scored]
    alone: Mapping[Modality, float]


@dataclass(frozen=True, slots=True)
class Identified:
    """What a search by one modality or by several came to.

    candidates     the best first: who is farthest above their threshold, or least below it
    threshold      that of whoever shares every usable sample of each modality of which anything is enrolled
    floor          the same for an examiner's look; None where nobody looks
    alone          the threshold of each modality by itself, of whoever shares every usable sample
    fpir_expected  share of searches without a mate that reach a threshold, by the likeliest fits
    size           people for whom the promise holds; who is in several galleries is counted in each
    by_modality    what each modality alone came to
    """

    candidates: tuple[Candidate, ...]
    threshold: float
    floor: float | None
    alone: Mapping[Modality, float]
    fpir_expected: float
    size: int
    by_modality: Mapping[Modality, Found]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Whether a search can be answered; how many people it would see, and a number that grows with each change."""

    loaded: bool
    size: int = 0
    version: int = 0


class Engine(Protocol):
    """The port: a gallery of one modality that is loaded, changed and searched.

    A search MUST see all subjects of the last load and the changes since, or raise; it MUST NOT answer from
    a part of them. The version MUST grow with each change.
    """

    @property
    def modality(self) -> Modality:
        """Whose samples it reads."""
        ...

    def load(self, source: Source) -> None:
        """Replace everything by what the source yields, or raise EngineUnavailable and keep nothing."""
        ...

    def apply(self, change: Change) -> None:
        """Make one subject's samples what the change says; the same change twice is one change."""
        ...

    def read(self, samples: Mapping[str, Sample]) -> Probe:
        """Read one person's samples of this modality strictly, by the element of the request that holds each.

        Raises FormatUnsupported, RecordUnparseable or ElementsInconsistent, which name the element, for a record of
        another format, one that breaks its standard, or is not what its sender declared.
        """
        ...

    def prepare(self, probe: Probe) -> Prepared:
        """Make a probe ready to be searched, and say what of it cannot be."""
        ...

    def search(self, probe: Probe, point: OperatingPoint, limit: int, deadline: Deadline) -> Found:
        """Return the best `limit` people for a prepared probe, and the tails by which their scores are judged.

        Whoever cannot reach a threshold for the point may be left out.
        Raises EngineUnavailable, or DeadlineTooShort when time runs out.
        """
        ...

    def scores(self, probe: Probe, subjects: Sequence[int]) -> tuple[Scored, ...]:
        """Return the exact score of each of a few people for a prepared probe, in any order.

        Nothing is returned of whom no sample is held that can be compared. A score is what `search` would say of the
        person but for the rounding of sums, not an estimate of it. Raises EngineUnavailable.
        """
        ...

    def destroy(self, probe: Probe) -> Mapping[str, int]:
        """Overwrite and drop what a probe holds, however far it came; return how many there were, by kind.

        It MUST NOT raise: the DESTRUCTION entry counts what it returns.
        """
        ...

    def rehearse(self, searches: int) -> tuple[float, ...]:
        """Return how many seconds each of so many searches takes, for somebody who does not exist."""
        ...

    def status(self) -> EngineStatus:
        """Return what there is to be searched."""
        ...


class Codec(Protocol):
    """What is known of a modality without a gallery: its records, and what is promised of its scores."""

    @property
    def formats(self) -> tuple[RecordFormat, ...]:
        """The formats that it reads, as the capabilities list them."""
        ...

    def sample(self, record: bytes, position: int, extractor: str) -> Sample:
        """Return the sample that holds a record, with the format and impression that the record names.

        Raises UnreadableSample for a record that breaks its standard, is of several positions or of another one.
        """
        ...

    def sample_to_enrol(
        self, record: bytes, position: int, extractor: str, calibrations: Calibrations
    ) -> Sample:
        """Return the same; raises UnreadableSample also for a record that nobody could be found by.

        It is too poor, or of a model or coder without a calibration.
        """
        ...

    def open_file(self, octets: bytes) -> OpenedFile:
        """Return the records in a file that an operator has; raises UnreadableSample, which says what the file is."""
        ...

    def compare(self, probe: Sample, record: Sample) -> Mapping[str, object]:
        """Return what an examiner sees of two samples of one position, as plain values: no score, no likelihood."""
        ...

    def tails(self, shared: int, calibrations: Calibrations) -> Tails:
        """Return the tails of non-mated scores of whoever shares so many samples, as `Found.tails` has them."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What an operator's file holds: position and record of each sample, 0 = not said; and what was repaired to read it."""

    records: tuple[tuple[int, bytes], ...] = field(repr=False)
    repairs: tuple[str, ...] = ()
