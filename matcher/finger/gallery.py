"""All enrolled people as arrays: added to and removed from at any time, searched block by block.

An empty or removed row belongs to nobody and is never in a shortlist. A search works on a snapshot; adding
and removing go on beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from matcher.errors import AlreadyEnrolled, UnknownSubject
from matcher.finger import person_code
from matcher.finger.assignment import POSITIONS, Hypothesis, Weighed, exchanged, shared, weigh
from matcher.finger.descriptors import CANVAS, UNKNOWN, Finger, Frame, Model, default_model
from matcher.finger.gallery_block import MOST_ROWS, Block, Rows, picked_rows, slots_for
from matcher.finger.person_code import CodesThen, PersonCode, PersonCodes
from matcher.finger.probe import (
    UNKNOWN_POSITION,
    NothingUsable,
    Probe,
    SampleFault,
    check_positions,
    prepare,
)
from matcher.finger.score_fusion import Likelihood, default_likelihood
from matcher.finger.search_cascade import Cascade, Placed, best_finite
from matcher.finger.template import Floats, Ints, Minutiae
from matcher.subject_table import PeopleThen, SubjectTable

LEAST_TO_COMPACT = 1024  # wiped rows; fewer are not worth moving the others
# The best people of a search, compared with the probe's fingers in any order: who has most fingers in their places is
# among the first without it.
MIXED = 2
MOST_FRAMES = 16  # sizes of pictures that have blocks of their own; each may cost a resized canvas one more pass

FILE_DIGITS = 16  # hexadecimal, of a file's SHA-256: enough to tell two of ours apart

Subjects = NDArray[np.uint64]
Kind = tuple[int, int, Frame, int]  # of a block: position, slots, frame, number of the impression


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best people of a search, whose scores are the rarest first, and what each finger said.

    subject (k,) uint64; score (k,) float32, fused log10 likelihood ratio less the price of the ways tried
    evidence (k, 10) float32, log10 ratio of the person's finger at position column + 1; nan = not compared
    hypothesis (k,), ways (k,) float64: which fingers the probe's are taken to be, and out of how many ways
    size, version   people in the gallery that was searched, and its version
    comparable      how many of them a search could compare: who have a finger that may be the probe's, of that which most have
    """

    subject: Subjects = field(repr=False)
    score: Floats = field(repr=False)
    evidence: Floats = field(repr=False)
    hypothesis: tuple[Hypothesis, ...]
    ways: NDArray[np.float64] = field(repr=False)
    size: int
    version: int
    comparable: int = 0

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def shared(self) -> Ints:
        """How many fingers each shares with the probe, (k,): by which threshold the score is judged."""
        return shared(self.evidence)


@cache
def reckoned_by() -> str:
    """Return what scores depend on beside prints and gallery: fitted files, libraries and the processor's kernels.

    A sum of products is rounded in the order in which these kernels add, so that the scores of two machines may
    differ in their last digits; which of equals are kept does not (`alignment.greatest`).
    """
    built = np.show_config(mode="dicts")
    blas, simd = built["Build Dependencies"]["blas"], built["SIMD Extensions"]
    kernels = "+".join(
        [*simd.get("baseline", ()), *simd.get("found", ())]
    )  # numpy leaves empty lists out
    model, likelihood = default_model().digest, default_likelihood().digest
    codes = person_code.default_codebook().digest
    return (
        f"model {model[:FILE_DIGITS]}, likelihood {likelihood[:FILE_DIGITS]}, codes {codes[:FILE_DIGITS]}, numpy {np.__version__},"
        f" {blas['name']} {blas['version']}, {kernels}"
    )


class Gallery:
    """People and their fingers; thread-safe. A search sees the gallery as it stood when it began.

    `version` grows by one with each change.
    """

    def __init__(self, model: Model | None = None, likelihood: Likelihood | None = None) -> None:
        self._model = default_model() if model is None else model
        self._likelihood = default_likelihood() if likelihood is None else likelihood
        self._lock = RLock()
        self._blocks: list[Block] = []
        self._open: dict[Kind, int] = {}  # the block of a kind that is not full
        self._frames: set[Frame] = set()
        self._people = SubjectTable()
        self._book = person_code.book_for(self._model)
        self._codes = PersonCodes()
        self._wiped = 0
        self._version = 0
        self._standing: tuple[dict[int, list[Rows]], dict[int, int]] | None = None

    def __len__(self) -> int:
        return len(self._people)

    def __contains__(self, subject: int) -> bool:
        return subject in self._people

    @property
    def fingers(self) -> int:
        """How many fingers are enrolled, each impression counted."""
        with self._lock:
            return self._people.samples

    @property
    def nbytes(self) -> int:
        """Bytes of the fingers' arrays and of people's codes."""
        with self._lock:
            return sum(block.nbytes for block in self._blocks) + self._codes.nbytes

    @property
    def version(self) -> int:
        """A number that grows with each change."""
        return self._version

    def add(self, subject: int, fingers: Sequence[tuple[int, Minutiae]]) -> tuple[SampleFault, ...]:
        """Enrol a person and return the faults of the fingers that were left out.

        Raises AlreadyEnrolled, NothingUsable where no finger is good enough, ValueError for positions
        outside 1-10, more than MOST_IMPRESSIONS of one, or a subject that is not an unsigned 64-bit number.
        """
        if not 0 <= subject < 1 << 64:
            raise ValueError("a subject is an unsigned 64-bit number")
        check_positions([position for position, _ in fingers])
        probe = prepare(fingers, self._model)
        if not probe.fingers:
            raise NothingUsable(probe.faults)
        code = self._coded(probe)
        with self._lock:
            if subject in self._people:
                raise AlreadyEnrolled("remove the subject before enrolling it again")
            self._version += 1
            self._codes.put(self._people.next_number, code)
            self._settle(subject, self._version, probe.fingers)
        return probe.faults

    def replace(
        self, subject: int, fingers: Sequence[tuple[int, Minutiae]]
    ) -> tuple[SampleFault, ...]:
        """Make a person's fingers these, whether enrolled before or not; none = the person is removed.

        Raises as `add` does, with the old fingers still in place.
        """
        probe = prepare(fingers, self._model)
        if fingers and not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            if subject in self._people:
                self.remove(subject)
            return self.add(subject, fingers) if fingers else ()

    def remove(self, subject: int) -> None:
        """Remove a person and overwrite the fingers' arrays; raises UnknownSubject."""
        with self._lock:
            if subject not in self._people:
                raise UnknownSubject("no such subject in the gallery")
            self._codes.wipe(self._people.number_of(subject))
            places = self._people.remove(subject) or ()
            self._standing = None
            for block, row in places:
                self._blocks[block].wipe(row)
            self._version += 1
            self._wiped += len(places)
            if self._wiped > max(LEAST_TO_COMPACT, self.fingers):
                self._compact()

    def search(
        self,
        probe: Probe,
        limit: int = 10,
        *,
        threads: int = 1,
        shortlist: int | None = None,
        expired: Callable[[], bool] = lambda: False,
    ) -> Candidates:
        """Return the `limit` people whose scores are the rarest beside those of others who share as many fingers.

        A finger is compared with that of its position and with that of the other hand, in two passes that exclude each
        other; one of unknown position with all ten. The best few are compared in any order of fingers as
        well. What was tried more often lowers the score (`finger.assignment`). There may be fewer people than `limit`: who
        cannot reach a score that decides anything is left out by the stages of `matcher.finger.search_cascade`, but for the
        best two, so that whoever is found, the work is about the same.
        `expired` is asked between blocks; once it says yes, SearchAbandoned is raised. `shortlist` is how many people are
        aligned in full instead, at least `limit`; at the gallery's size the search is exhaustive.
        Raises NothingUsable for a probe without a usable finger: poor quality is never a "no match".
        """
        (found,) = self.search_many(
            [probe], limit, threads=threads, shortlist=shortlist, expired=expired
        )
        return found

    def search_many(
        self,
        probes: Sequence[Probe],
        limit: int = 10,
        *,
        threads: int = 1,
        shortlist: int | None = None,
        expired: Callable[[], bool] = lambda: False,
    ) -> list[Candidates]:
        """Return what `search` returns for each probe; they share one pass over the gallery."""
        for probe in probes:
            if not probe.fingers:
                raise NothingUsable(probe.faults)
        passes = [(number, *each) for number, probe in enumerate(probes) for each in _passes(probe)]
        with self._lock:
            people = self._people.now()
            rows, held = self._snapshot()
            size, version = len(self._people), self._version
            codes = self._codes.now()
        passes = [each for each in passes if any(rows[at] for at in _wanted(each[2]))]
        cascade = Cascade(self._model, self._likelihood, max(1, threads), expired, limit, shortlist)
        searched = self._searched(passes, rows, (people, codes, size), cascade)
        found: list[list[_Tried]] = [[] for _ in probes]
        for (number, hypothesis, probe), (chosen, evidence) in zip(passes, searched, strict=True):
            read = hypothesis, probe.usable
            tried = self._tried(probe, read, (people, chosen), evidence)
            found[number].append(tried)
        self._mix(probes, found, people, cascade)
        best = []
        for probe, tries in zip(probes, found, strict=True):
            most = max(held[at] for _, each in _passes(probe) for at in _wanted(each))
            ranked = _best(people, tries, limit, size, version)
            best.append(replace(ranked, comparable=most))
        return best

    def scores(self, probe: Probe, subjects: Sequence[int]) -> Candidates:
        """Return each of the subjects who has a finger that may be the probe's, every pair aligned in full.

        At least as rare a score as a search says of the person, which compares few people in any order. Raises
        NothingUsable for a probe without a usable finger.
        """
        if not probe.fingers:
            raise NothingUsable(probe.faults)
        with self._lock:
            people, version = self._people.now(), self._version
            here = [subject for subject in dict.fromkeys(subjects) if subject in self._people]
            chosen = np.array([self._people.number_of(each) for each in here], dtype=np.intp)
        cascade = Cascade(self._model, self._likelihood, 1, lambda: False, len(here), len(here))
        evidence = np.full((len(chosen), len(probe.usable), POSITIONS), np.nan, dtype=np.float32)
        cascade.all_pairs([probe], [self._placed(people, chosen)], [evidence])
        tries = [
            self._tried(probe, (each, each.positions(probe.usable)), (people, chosen), evidence)
            for each in Hypothesis
        ]
        return _best(people, tries, len(here), len(here), version)

    def _searched(
        self,
        passes: Sequence[tuple[int, Hypothesis, Probe]],
        rows: dict[int, list[Rows]],
        then: tuple[PeopleThen, CodesThen, int],
        cascade: Cascade,
    ) -> list[tuple[Ints, Floats]]:
        """Return what the cascade finds for each pass: among those whose codes are like the probe's, or among all.

        Passes without a filter go through the cascade together, each other one alone: its people are its own.
        """
        people, codes, size = then
        found: dict[int, tuple[Ints, Floats]] = {}
        for at, (_, said, probe) in enumerate(passes):
            kept = self._kept(probe, codes, (people, size), cascade)
            if kept is not None:
                found[at] = self._among(kept, (probe, said), people, cascade)
        others = [at for at in range(len(passes)) if at not in found]
        readings = [(passes[at][2], passes[at][1] is not Hypothesis.STATED) for at in others]
        together = cascade.search(
            readings, rows, people.number, lambda chosen: self._placed(people, chosen)
        )
        found |= dict(zip(others, together, strict=True))
        return [found[at] for at in range(len(passes))]

    def _kept(
        self, probe: Probe, codes: CodesThen, then: tuple[PeopleThen, int], cascade: Cascade
    ) -> Ints | None:
        """Return the numbers of the people whom a filter leaves, ascending; None where all are to be searched."""
        people, size = then
        if size < person_code.LEAST_PEOPLE or cascade.shortlist is not None:
            return None
        code = self._coded(probe)
        if code is None or self._may_be_resized(probe):
            return None
        likeness = codes.likeness(code, people.number, cascade.threads, cascade.expired)
        with self._lock:
            here = self._people.held(people)
        most = max(person_code.kept_of(size), cascade.limit)
        kept = person_code.best_alike(likeness, here, most)
        return kept if 2 * len(kept) <= size else None

    def _among(
        self, kept: Ints, read: tuple[Probe, Hypothesis], people: PeopleThen, cascade: Cascade
    ) -> tuple[Ints, Floats]:
        """Return what the cascade finds for a probe, as read under a hypothesis, among the people of these numbers."""
        probe, said = read
        wanted = set(_wanted(probe))
        like: dict[Kind, list[Placed]] = {}
        for each in self._placed(people, kept):
            if each.position in wanted:
                rows = each.rows
                kind = each.position, len(rows.packed), rows.frame, rows.impression
                like.setdefault(kind, []).append(each)
        few: dict[int, list[Rows]] = {at: [] for at in range(1, POSITIONS + 1)}
        for (position, *_), placed in like.items():
            for start in range(0, len(placed), MOST_ROWS):
                some = placed[start : start + MOST_ROWS]
                person = np.array([each.person for each in some], dtype=np.int32)
                few[position].append(picked_rows([(each.rows, each.row) for each in some], person))
        ((chosen, evidence),) = cascade.search(
            [(probe, said is not Hypothesis.STATED)],
            few,
            len(kept),
            lambda chosen: self._placed(people, kept[chosen]),
            out_of=people.number,
        )
        return kept[chosen], evidence

    def _coded(self, probe: Probe) -> PersonCode | None:
        return None if self._book is None else person_code.coded(probe.fingers, self._book)

    def _may_be_resized(self, probe: Probe) -> bool:
        """Return whether a finger has a second reading beside anybody's: codes know what is stated only."""
        with self._lock:
            frames = self._frames - {UNKNOWN}
        mine = {finger.frame for _, finger in probe.fingers if finger.frame != UNKNOWN}
        return any((one == CANVAS) != (other == CANVAS) for one in mine for other in frames)

    def _tried(
        self,
        probe: Probe,
        read: tuple[Hypothesis, Sequence[int]],
        chosen: tuple[PeopleThen, Ints],
        evidence: Floats,
    ) -> _Tried:
        """Return what a hypothesis, with the positions under it, says of the chosen people who were not removed meanwhile.

        A row wiped under the search says nothing.
        """
        people, numbers = chosen
        held = np.zeros((len(numbers), POSITIONS), dtype=np.intp)
        with self._lock:
            for row, number in enumerate(numbers.tolist()):
                subject = int(people.subjects[number])
                if self._people.enrolment(subject) == people.enrolments[number]:
                    for block, _ in self._people.places(subject):
                        held[row, self._blocks[block].position - 1] += 1
        here = held.any(axis=1)
        mine = np.bincount(probe.columns, minlength=len(probe.usable)).tolist()
        hypothesis, positions = read
        weighed = weigh(evidence[here], positions, (mine, held[here]), hypothesis)
        return _Tried(hypothesis, numbers[here], weighed, evidence[here])

    def _mix(
        self,
        probes: Sequence[Probe],
        found: Sequence[list[_Tried]],
        people: PeopleThen,
        cascade: Cascade,
    ) -> None:
        """Add to each probe's hypotheses what its best two people come to where its fingers may be in any order."""
        chosen = [_best_numbers(tries) for tries in found]
        known = [_known(*each) for each in zip(probes, chosen, found, strict=True)]
        cascade.all_pairs(probes, [self._placed(people, each) for each in chosen], known)
        mixed = Hypothesis.FINGERS_MIXED
        for probe, numbers, evidence, tries in zip(probes, chosen, known, found, strict=True):
            read = mixed, mixed.positions(probe.usable)
            tries.append(self._tried(probe, read, (people, numbers), evidence))

    def _placed(self, people: PeopleThen, chosen: Ints) -> list[Placed]:
        """Return the impressions of the chosen people who were not removed or changed meanwhile."""
        placed: list[Placed] = []
        rows: dict[int, Rows] = {}  # of several people's one copy
        with self._lock:
            for person, number in enumerate(chosen.tolist()):
                subject = int(people.subjects[number])
                if self._people.enrolment(subject) == people.enrolments[number]:
                    for block, row in self._people.places(subject):
                        if block not in rows:
                            rows[block] = self._blocks[block].rows()
                        position = self._blocks[block].position
                        placed.append(Placed(person, position, rows[block], row))
        return placed

    def _settle(self, subject: int, enrolment: int, fingers: Sequence[tuple[int, Finger]]) -> None:
        self._standing = None
        person = self._people.next_number
        places, impressions = [], Counter[int]()
        for position, finger in fingers:
            kind = position, slots_for(len(finger)), self._frame(finger), impressions[position]
            impressions[position] += 1
            number = self._room(kind)
            places.append((number, self._blocks[number].append(person, finger)))
        self._people.add(subject, enrolment, places)

    def _frame(self, finger: Finger) -> Frame:
        """Return the frame of the finger's block; beyond the first few sizes all but the canvas share one.

        It says nothing, and whoever is there is compared as stated.
        """
        if finger.frame in {*self._frames, CANVAS} or len(self._frames) < MOST_FRAMES:
            self._frames.add(finger.frame)
            return finger.frame
        return UNKNOWN

    def _room(self, kind: Kind) -> int:
        """Return the number of a block that has room for one more row."""
        number = self._open.get(kind)
        if number is None or self._blocks[number].full:
            number = self._open[kind] = len(self._blocks)
            position, slots, frame, impression = kind
            self._blocks.append(Block(slots, self._model.size, frame, position, impression))
        return number

    def _snapshot(self) -> tuple[dict[int, list[Rows]], dict[int, int]]:
        """Return the blocks of each position as they stand, and how many people have that finger.

        Whoever has several impressions of it has a first. What a search begins with is made anew after a change only.
        """
        if self._standing is None:
            rows: dict[int, list[Rows]] = {at: [] for at in range(1, POSITIONS + 1)}
            for block in self._blocks:
                rows[block.position].append(block.rows())
            held = {
                at: sum(each.people for each in blocks if not each.impression)
                for at, blocks in rows.items()
            }
            self._standing = rows, held
        return self._standing

    def _compact(self) -> None:
        """Move all rows to fresh blocks, without the wiped ones; searches under way keep the old blocks.

        Nothing is given up before all have moved: where memory ends, the gallery is as it was.
        """
        fresh = Gallery(self._model, self._likelihood)
        for subject in self._people:
            person = fresh._people.next_number
            places = []
            for number, row in self._people.places(subject):
                block = self._blocks[number]
                room = fresh._room((block.position, block.slots, block.frame, block.impression))
                places.append((room, fresh._blocks[room].adopt(person, block, row)))
            fresh._codes.put(person, self._codes.get(self._people.number_of(subject)))
            fresh._people.add(subject, self._people.enrolment(subject), places)
        self._codes = fresh._codes
        self._people, self._blocks, self._open = fresh._people, fresh._blocks, fresh._open
        self._frames = {block.frame for block in fresh._blocks}
        self._wiped, self._standing = 0, None


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A hypothesis, the numbers of the people who were compared under it (k,), and what it comes to.

    evidence (k, f, 10): of each finger of the probe as it is read under the hypothesis; nan = not compared
    """

    hypothesis: Hypothesis
    number: Ints = field(repr=False)
    weighed: Weighed = field(repr=False)
    evidence: Floats = field(repr=False)


def _passes(probe: Probe) -> Iterator[tuple[Hypothesis, Probe]]:
    """Yield the probe as it is stated and, where it states any position, with its hands exchanged."""
    yield Hypothesis.STATED, probe
    if any(position != UNKNOWN_POSITION for position, _ in probe.fingers):
        other = sorted(
            ((exchanged(position), finger) for position, finger in probe.fingers),
            key=lambda each: each[0],
        )
        yield Hypothesis.HANDS_EXCHANGED, Probe(tuple(other), probe.faults)


def _best_numbers(tries: Sequence[_Tried]) -> Ints:
    """Return the numbers of the people who are best under any hypothesis and are compared in any order, best first."""
    number = np.concatenate([each.number for each in tries] or [np.zeros(0, dtype=np.intp)])
    rarity = np.concatenate([each.weighed.rarity for each in tries] or [np.zeros(0)])
    order = best_finite(rarity, len(rarity))
    return np.array(list(dict.fromkeys(number[order].tolist()))[:MIXED], dtype=np.intp)


def _known(probe: Probe, chosen: Ints, tries: Sequence[_Tried]) -> Floats:
    """Return what is known of each of the probe's fingers as it is stated and the chosen people's, (k, f, 10), else nan."""
    known = np.full((len(chosen), len(probe.usable), POSITIONS), np.nan, dtype=np.float32)
    for each in tries:
        positions = each.hypothesis.positions(probe.usable)
        as_read = sorted(range(len(positions)), key=positions.__getitem__)
        for person, number in enumerate(chosen.tolist()):
            for evidence in each.evidence[each.number == number]:
                known[person, as_read] = np.fmax(known[person, as_read], evidence)
    return known


def _wanted(probe: Probe) -> Sequence[int]:
    """Return the positions whose fingers a probe's may be."""
    positions = sorted({position for position, _ in probe.fingers})
    return range(1, POSITIONS + 1) if UNKNOWN_POSITION in positions else positions


def _best(
    people: PeopleThen, tries: Sequence[_Tried], limit: int, size: int, version: int
) -> Candidates:
    """Return the best `limit` people, each under the best of the hypotheses; of equals, under the first tried."""
    number = np.concatenate([each.number for each in tries])
    score, evidence, ways, rarity = (
        np.concatenate([getattr(each.weighed, name) for each in tries])
        for name in ("score", "evidence", "ways", "rarity")
    )
    hypotheses = [each.hypothesis for each in tries for _ in each.number]
    order = best_finite(rarity, len(rarity))
    first = np.sort(np.unique(number[order], return_index=True)[1])
    kept = order[first[:limit]]
    return Candidates(
        subject=people.subjects[number[kept]],
        score=score[kept],
        evidence=evidence[kept],
        hypothesis=tuple(hypotheses[at] for at in kept),
        ways=ways[kept],
        size=size,
        version=version,
    )
