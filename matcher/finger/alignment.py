"""The best few again: minutiae of two fingers paired under one motion, many gallery fingers at a time.

1  similarity   every probe minutia against every gallery minutia
2  relaxation   the likeliest pairs lift those that agree with them in distance and direction
3  alignment    the best supported pairs each propose a turn and a shift, fitted by all that agree; the fit
                then lets the picture stretch and shear: skin does, and so do pictures of unequal sides
4  bending      what the paired minutiae still miss moves their neighbours along
5  counting     closeness and likeness of mutual nearest minutiae, against how many stand in the overlap

Steps 2 and 3 follow the minutia cylinder-code's relaxation and SourceAFIS's idea of several hypotheses. All
arrays run over b gallery fingers: there is no loop over them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from matcher.finger.constants import (
    ABSENT,
    FINALISTS,
    MIDDLE,
    NARROW,
    REFITS,
    STRONGEST,
    UNLIKE_WEIGHT,
    WIDE,
)
from matcher.finger.descriptor_packing import LEADING, pack, unpack
from matcher.finger.descriptors import Complexes, Finger, resized
from matcher.finger.mated_minutiae import mutual, overlap, targets
from matcher.finger.relaxation import relaxed, strongest
from matcher.finger.rigid_motion import bending, hypotheses, moved, refit
from matcher.finger.template import Bools, Floats, Ints
from matcher.ordering import greatest


@dataclass(frozen=True, slots=True, eq=False)
class Fingers:
    """Gallery fingers side by side, b of them in slots for at most l minutiae each.

    vectors (b, l, d) float32; place, heading (b, l) complex64; count (b,): the slots in use come first
    """

    vectors: Floats = field(repr=False)
    place: Complexes = field(repr=False)
    heading: Complexes = field(repr=False)
    count: Ints = field(repr=False)

    @property
    def used(self) -> Bools:
        """Which slots hold a minutia, (b, l)."""
        return np.arange(self.place.shape[1]) < self.count[:, None]

    def resized(self, scale: tuple[float, float]) -> Fingers:
        """Return the fingers as of pictures made wider and higher; what surrounds a minutia stays as it was."""
        if scale == (1.0, 1.0):
            return self
        heading = resized(self.heading, *scale)
        heading /= np.maximum(np.abs(heading), np.float32(1e-6))  # empty slots have none
        return replace(self, place=resized(self.place, *scale), heading=heading)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the stages saw, each (b,) float32.

    local      mean likeness of the twelve best probe minutiae, by the leading numbers of their descriptors
    relaxed    mean value of the twelve best pairs after relaxation, no minutia twice
    likeness   sum over final pairs of closeness x likeness
    closeness  sum over final pairs of closeness
    overlap    geometric mean of the minutiae of each finger that stand in the overlap, at least 1
    expected   minutiae of the sparser finger that stand in the overlap, seen more widely
    turned     cosine of the turn between the two pictures
    doubt      log10 units that speak against the reading of the record, `Finger.doubt`
    """

    local: Floats
    relaxed: Floats
    likeness: Floats
    closeness: Floats
    overlap: Floats
    expected: Floats
    turned: Floats
    doubt: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The evidence of b comparisons and the motion that explains most of each.

    similarity   (b, n, l) likeness of every probe minutia to every gallery minutia
    mate         (b, n) the gallery minutia that each probe minutia is paired with
    close        (b, n) closeness of final pairs, 0 where there is none
    moved        (b, n) complex64, where each probe minutia comes to lie on the gallery finger
    turn, fold, shift  (b,) complex64: place · turn + conj(place) · fold + shift, before bending, on the
                 gallery finger resized as the probe asks
    """

    evidence: Evidence
    similarity: Floats = field(repr=False)
    mate: Ints = field(repr=False)
    close: Floats = field(repr=False)
    moved: Complexes = field(repr=False)
    turn: Complexes = field(repr=False)
    fold: Complexes = field(repr=False)
    shift: Complexes = field(repr=False)


def gather(fingers: list[Finger]) -> Fingers:
    """Return fingers side by side, padded to the largest, as precisely as a gallery keeps them."""
    count = np.array([len(finger) for finger in fingers], dtype=np.intp)
    shape = (len(fingers), int(count.max(initial=1)))
    vectors = np.zeros((*shape, fingers[0].vectors.shape[1]), dtype=np.float32)
    place = np.zeros(shape, dtype=np.complex64)
    heading = np.ones(shape, dtype=np.complex64)
    for row, finger in enumerate(fingers):
        vectors[row, : len(finger)] = unpack(pack(finger.vectors))
        place[row, : len(finger)] = finger.place
        heading[row, : len(finger)] = finger.heading
    return Fingers(vectors, place, heading, count)


def compare(probe: Finger, fingers: Fingers) -> Evidence:
    """Return the evidence of one probe finger against each of `fingers`."""
    return align(probe, fingers).evidence


def support(probe: Finger, fingers: Fingers) -> Floats:
    """Return `Evidence.relaxed` alone, (b,): a third of the work separates most non-mates from mates."""
    fingers = fingers.resized(probe.scale)
    mine, theirs, *_ = _centred(probe, fingers)
    return strongest(relaxed(mine, theirs, _similarity(probe, fingers)[1]))


def align(probe: Finger, fingers: Fingers) -> Alignment:
    """Return the evidence of one probe finger against each of `fingers`, and the alignment it rests on."""
    fingers = fingers.resized(probe.scale)
    head, similarity = _similarity(probe, fingers)
    local = _mean_of_best(head.max(axis=2), min(STRONGEST, len(probe)))
    mine, theirs, centre, centres = _centred(probe, fingers)
    pairs = relaxed(mine, theirs, similarity)
    reachable, liked = targets(theirs, fingers.used), np.maximum(similarity, 0)
    motion, planes = _settled(mine, theirs, reachable, liked, hypotheses(pairs))
    mates = mutual(planes, reachable, NARROW)
    near, (shared, expected) = mates.close.sum(axis=2), overlap(planes, reachable)
    like = (mates.close * mates.within(liked)).sum(axis=2)
    rows, best = np.arange(len(like)), (like * near / shared).argmax(axis=1)
    turn, fold, shift = _parts(motion[rows, best])
    turned = (turn.real / np.maximum(np.abs(turn), np.float32(1e-6))).astype(np.float32)
    evidence = Evidence(
        local,
        strongest(pairs),
        like[rows, best],
        near[rows, best],
        shared[rows, best],
        expected[rows, best],
        turned,
        np.full(len(rows), probe.doubt, dtype=np.float32),
    )
    place = planes[rows, 0, best] + 1j * planes[rows, 1, best] + centres[:, None]
    place = resized(place, 1 / probe.scale[0], 1 / probe.scale[1])
    shift += centres - turn * centre - fold * np.conj(centre)
    mate, close = mates.mate[rows, best], mates.close[rows, best]
    return Alignment(evidence, similarity, mate, close, place, turn, fold, shift)


def _settled(
    mine: Floats, theirs: Floats, reachable: Floats, liked: Floats, motion: Floats
) -> tuple[Floats, Floats]:
    """Return the finalists' motions (b, h, 2, 3) after refitting, and the probe bent by them, (b, 4, h, n)."""
    mates = mutual(moved(mine, motion), reachable, WIDE)
    weight = mates.close * (mates.within(liked) + np.float32(UNLIKE_WEIGHT))
    promising = greatest(weight.sum(axis=2), FINALISTS)
    mates = mates.among(promising)
    weight = weight[np.arange(len(weight))[:, None], promising]
    motion = refit(mine, theirs, mates, weight)
    for _ in range(REFITS):
        mates = mutual(moved(mine, motion), reachable, MIDDLE)
        weight = mates.close * (mates.within(liked) + np.float32(UNLIKE_WEIGHT))
        motion = refit(mine, theirs, mates, weight)
    planes = moved(mine, motion)
    planes[:, :2] += bending(mine, theirs, planes, mates, weight)
    return motion, planes


def _centred(probe: Finger, fingers: Fingers) -> tuple[Floats, Floats, Complexes, Complexes]:
    """Return both sides' planes about the middle of each finger, and these middles."""
    centre = probe.place.mean(keepdims=True) if len(probe) else np.zeros(1, dtype=np.complex64)
    total = np.where(fingers.used, fingers.place, 0).sum(axis=1)
    centres = total / np.maximum(fingers.count, 1).astype(np.float32)
    theirs = _planes(fingers.place - centres[:, None], fingers.heading)
    return _planes(probe.place - centre, probe.heading), theirs, centre, centres


def _planes(place: Complexes, heading: Complexes) -> Floats:
    """Return places and directions as planes of real numbers, (…, 4, m)."""
    return np.stack([place.real, place.imag, heading.real, heading.imag], axis=-2)


def _parts(motion: Floats) -> tuple[Complexes, Complexes, Complexes]:
    """Return turn, fold and shift of motions (b, 2, 3)."""
    (a, b, x), (c, d, y) = motion.transpose(1, 2, 0)
    return ((a + d) + 1j * (c - b)) / 2, ((a - d) + 1j * (c + b)) / 2, x + 1j * y


def _similarity(probe: Finger, fingers: Fingers) -> tuple[Floats, Floats]:
    """Return likeness (b, n, l) by the leading numbers, as the local stage sees it, and by all."""
    mine, theirs = probe.vectors, fingers.vectors.transpose(0, 2, 1)
    head = np.matmul(mine[:, :LEADING], theirs[:, :LEADING])
    whole = head + np.matmul(mine[:, LEADING:], theirs[:, LEADING:])
    unused = ~fingers.used[:, None, :]
    for each in (head, whole):
        np.copyto(each, np.float32(ABSENT), where=unused)
    return head, whole


def _mean_of_best(values: Floats, best: int) -> Floats:
    last = values.shape[1] - best
    mean: Floats = np.partition(values, last, axis=1)[:, last:].mean(axis=1)
    return mean
