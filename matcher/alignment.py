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

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from matcher.finger import Complexes, Finger
from matcher.packing import LEADING, pack, unpack
from matcher.template import Floats

# --- constants of the comparison; all-pairs error on FVC2002 is flat within ±20 % of each.
ABSENT = -4.0  # likeness of a padded slot: no real pair is below -1, so padding never wins
PAIRS = 48  # likeliest pairs that enter the relaxation
STRETCH = (
    5.0,
    0.04,
)  # pixels, and share of the distance: how far two distances of a pair may differ
TURN_TOLERANCE = 0.30  # radians; between the turns that two pairs propose
RADIAL_TOLERANCE = (
    0.25  # radians; between a pair's turn and the turn of the line that joins two pairs
)
ROUNDS = 5  # of relaxation, of which half the old value stays each time
PEERS = 8  # agreeing pairs that double a pair's value in one round
MOST_SUPPORT = 4.0  # bound of a pair's value: no clique may run away
STRONGEST = 12  # pairs or minutiae whose mean is a score; fewer shared minutiae decide little
HYPOTHESES = 4  # turns and shifts tried
FINALISTS = 2  # of them, looked at again after refitting and bending
STIFFNESS = (20000.0, 5000.0)  # square pixels; what holds scale, and shear, to none
REFITS = 1  # more looks between the first and the last
HEADING_ARM = (
    400.0  # square pixels; what a direction weighs against a place 20 pixels from the centre
)
WIDE = (14.0, 0.50)  # pixels, radians: closeness of the first look
MIDDLE = (10.0, 0.40)  # of the looks between
NARROW = (6.5, 0.30)  # of the last, after bending
LEAST_CLOSENESS = 0.01  # below it two minutiae are not a pair
UNLIKE_WEIGHT = 0.2  # what a close pair weighs in the fit however unlike its surroundings
BEND_REACH = 70.0  # pixels; how far a paired minutia's error moves its neighbours
BEND_INERTIA = 1.0  # weight of no bending
OVERLAP_REACH = 30.0  # pixels; a minutia this near to one of the other finger lies in the overlap

Number = TypeVar("Number", bound=np.generic)
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]
Motion = tuple[Complexes, Complexes, Complexes]  # turn, fold and shift, (b, h) each


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


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the stages saw, each (b,) float32.

    local      mean likeness of the twelve best probe minutiae, by the leading numbers of their descriptors
    relaxed    mean value of the twelve best pairs after relaxation, no minutia twice
    likeness   sum over final pairs of closeness x likeness
    closeness  sum over final pairs of closeness
    overlap    geometric mean of the minutiae of each finger that stand in the overlap, at least 1
    """

    local: Floats
    relaxed: Floats
    likeness: Floats
    closeness: Floats
    overlap: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """The evidence of b comparisons and the motion that explains most of each.

    similarity   (b, n, l) likeness of every probe minutia to every gallery minutia
    close        (b, n, l) closeness of final pairs, 0 elsewhere
    moved        (b, n) complex64, where each probe minutia comes to lie on the gallery finger
    turn, fold, shift  (b,) complex64: place · turn + conj(place) · fold + shift, before bending
    """

    evidence: Evidence
    similarity: Floats = field(repr=False)
    close: Floats = field(repr=False)
    moved: Complexes = field(repr=False)
    turn: Complexes = field(repr=False)
    fold: Complexes = field(repr=False)
    shift: Complexes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """The k likeliest pairs of each comparison: probe and gallery minutia, likeness, agreement."""

    probe: Ints
    gallery: Ints
    usable: Bools
    likeness: Floats
    from_place: Complexes
    to_place: Complexes
    turn: Complexes
    agreement: Floats  # (b, k, k) in [0, 1]


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


def join(parts: Sequence[Fingers]) -> Fingers:
    """Return the fingers of several parts as one, padded to the largest."""
    slots = max(part.place.shape[1] for part in parts)

    def padded(array: NDArray[Number]) -> NDArray[Number]:
        width = [(0, 0)] * array.ndim
        width[1] = (0, slots - array.shape[1])
        return np.pad(array, width)

    return Fingers(
        np.concatenate([padded(part.vectors) for part in parts]),
        np.concatenate([padded(part.place) for part in parts]),
        np.concatenate([padded(part.heading) for part in parts]),
        np.concatenate([part.count for part in parts]),
    )


def compare(probe: Finger, fingers: Fingers) -> Evidence:
    """Return the evidence of one probe finger against each of `fingers`."""
    return align(probe, fingers).evidence


def align(probe: Finger, fingers: Fingers) -> Alignment:
    """Return the evidence of one probe finger against each of `fingers`, and the alignment it rests on."""
    head, similarity = _similarity(probe, fingers)
    local = _mean_of_best(head.max(axis=2), min(STRONGEST, len(probe)))
    pairs = _likeliest(probe, fingers, similarity)
    value = _relax(pairs)
    motion = _hypotheses(pairs, value)
    liking: Floats = (np.maximum(similarity, 0) + np.float32(UNLIKE_WEIGHT))[:, None]
    close, _ = _closeness(_moved(probe, motion), fingers, WIDE)
    weight = _most(close * liking, FINALISTS)
    motion = _refit(probe, fingers, weight)
    for _ in range(REFITS):
        close, _ = _closeness(_moved(probe, motion), fingers, MIDDLE)
        weight = close * liking
        motion = _refit(probe, fingers, weight)
    place, heading = _moved(probe, motion)
    place = place + _bending(probe, fingers, place, weight)
    close, nearest = _closeness((place, heading), fingers, NARROW)
    stages = local, _strongest(pairs, value)
    evidence, best = _best(stages, similarity, close, _overlap(fingers, nearest))
    rows = np.arange(len(best))
    turn, fold, shift = (each[rows, best] for each in motion)
    return Alignment(evidence, similarity, close[rows, best], place[rows, best], turn, fold, shift)


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


def _likeliest(probe: Finger, fingers: Fingers, similarity: Floats) -> _Pairs:
    slots = similarity.shape[2]
    flat = similarity.reshape(len(similarity), -1)
    number = min(PAIRS, flat.shape[1])
    top = np.argpartition(flat, flat.shape[1] - number, axis=1)[:, flat.shape[1] - number :]
    mine, theirs = top // slots, top % slots
    likeness = np.take_along_axis(flat, top, axis=1)
    usable = likeness > -1.5
    turn = np.take_along_axis(fingers.heading, theirs, axis=1) * probe.heading[mine].conj()
    from_place = probe.place[mine]
    to_place = np.take_along_axis(fingers.place, theirs, axis=1)
    agreement = _agreement(from_place, to_place, turn)
    agreement *= mine[:, :, None] != mine[:, None, :]
    agreement *= theirs[:, :, None] != theirs[:, None, :]
    agreement *= usable[:, :, None] & usable[:, None, :]
    return _Pairs(
        mine, theirs, usable, np.maximum(likeness, 0), from_place, to_place, turn, agreement
    )


def _agreement(from_place: Complexes, to_place: Complexes, turn: Complexes) -> Floats:
    """Return how well each two pairs go together under one rigid motion, (b, k, k) in [0, 1]."""
    here = from_place[:, None, :] - from_place[:, :, None]
    there = to_place[:, None, :] - to_place[:, :, None]
    near, far = np.abs(here), np.abs(there)
    line = there * here.conj() / np.maximum(near * far, np.float32(1e-3))
    stretch = (far - near) / (STRETCH[0] + STRETCH[1] / 2 * (near + far))
    radial = (line * turn.conj()[:, :, None]).real
    radial = (radial + radial.transpose(0, 2, 1)) / 2
    turned = (turn[:, None, :] * turn.conj()[:, :, None]).real
    # 1 - cos stands for half the squared angle: no arc tangent is ever taken.
    cost = stretch * stretch / 2
    cost += (1 - turned) / TURN_TOLERANCE**2
    cost += (1 - radial) / RADIAL_TOLERANCE**2
    return np.exp(-cost).astype(np.float32)


def _relax(pairs: _Pairs) -> Floats:
    value = pairs.likeness
    for _ in range(ROUNDS):
        support = np.matmul(pairs.agreement, value[:, :, None])[:, :, 0]
        value = np.minimum((value + support / PEERS) / 2, np.float32(MOST_SUPPORT))
    return value


def _strongest(pairs: _Pairs, value: Floats) -> Floats:
    rows = np.arange(len(value))
    left = np.where(pairs.usable, value, 0)
    total = np.zeros(len(value), dtype=np.float32)
    for _ in range(STRONGEST):
        best = left.argmax(axis=1)
        total += left[rows, best]
        taken = pairs.probe == pairs.probe[rows, best][:, None]
        taken |= pairs.gallery == pairs.gallery[rows, best][:, None]
        left[taken] = 0
    return total / STRONGEST


def _hypotheses(pairs: _Pairs, value: Floats) -> Motion:
    """Return motions (b, h): each of the best supported pairs, with all that agree with it."""
    rows = np.arange(len(value))
    left = np.where(pairs.usable, value * np.matmul(pairs.agreement, value[:, :, None])[:, :, 0], 0)
    seeds = np.empty((len(value), HYPOTHESES), dtype=np.intp)
    for number in range(HYPOTHESES):
        seeds[:, number] = best = left.argmax(axis=1)
        left *= 1 - pairs.agreement[rows, best]  # the next seed is of another opinion
        left[rows, best] = -1
    weight = np.take_along_axis(pairs.agreement, seeds[:, :, None], axis=1) * value[:, None, :]
    itself = np.take_along_axis(value, seeds, axis=1)
    np.put_along_axis(weight, seeds[:, :, None], itself[:, :, None], axis=2)
    total = weight.sum(axis=2) + np.float32(1e-6)
    start, end = pairs.from_place[:, None, :], pairs.to_place[:, None, :]
    middle, target = (weight * start).sum(axis=2) / total, (weight * end).sum(axis=2) / total
    spread = weight * (end - target[:, :, None]) * (start - middle[:, :, None]).conj()
    turn = _unit(spread.sum(axis=2) + HEADING_ARM * (weight * pairs.turn[:, None, :]).sum(axis=2))
    return turn, np.zeros_like(turn), (target - turn * middle).astype(np.complex64)


def _unit(values: Complexes) -> Complexes:
    unit: Complexes = values / np.maximum(np.abs(values), np.float32(1e-6))
    return unit.astype(np.complex64)


def _moved(probe: Finger, motion: Motion) -> tuple[Complexes, Complexes]:
    """Return where the probe's minutiae come to lie and to point, (b, h, n) each."""
    turn, fold, shift = (each[:, :, None] for each in motion)
    place = turn * probe.place + fold * probe.place.conj() + shift
    return place, _unit(turn * probe.heading + fold * probe.heading.conj())


def _closeness(
    moved: tuple[Complexes, Complexes], fingers: Fingers, width: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return closeness (b, h, n, l) of mutual nearest minutiae, 0 elsewhere, and squared distances."""
    away = moved[0][:, :, :, None] - fingers.place[:, None, None, :]
    distance = away.real**2 + away.imag**2
    unused = ~fingers.used[:, None, None, :]
    np.copyto(distance, np.float32(1e9), where=unused)
    heading = moved[1][:, :, :, None]
    theirs = fingers.heading[:, None, None, :]
    facing = heading.real * theirs.real + heading.imag * theirs.imag
    cost = distance * np.float32(0.5 / width[0] ** 2) + (1 - facing) * np.float32(width[1] ** -2)
    close = np.exp(-cost)
    mutual = close >= close.max(axis=3, keepdims=True)
    mutual &= close >= close.max(axis=2, keepdims=True)
    mutual &= close > LEAST_CLOSENESS
    return close * mutual, distance


def _most(weight: Floats, number: int) -> Floats:
    """Return the weights (b, number, n, l) of the hypotheses that explain most at the first look."""
    last = weight.shape[1] - number
    best = np.argpartition(weight.sum(axis=(2, 3)), last, axis=1)[:, last:]
    most: Floats = np.take_along_axis(weight, best[:, :, None, None], axis=1)
    return most


def _refit(probe: Finger, fingers: Fingers, weight: Floats) -> Motion:
    """Return the motions (b, h) that fit all weighted pairs (b, h, n, l) best.

    Least squares for place -> turn * place + fold * conj(place) + shift; the turn is drawn to the best rigid
    one, the fold to none, as strongly as STIFFNESS says.
    """
    mine, theirs = weight.sum(axis=3), weight.sum(axis=2)
    total = mine.sum(axis=2) + np.float32(1e-6)
    middle = (mine * probe.place).sum(axis=2) / total
    target = (theirs * fingers.place[:, None]).sum(axis=2) / total
    ends = _towards(weight, fingers.place)
    spread = (ends * probe.place.conj()).sum(axis=2) - total * target * middle.conj()
    headings = (_towards(weight, fingers.heading) * probe.heading.conj()).sum(axis=2)
    rigid = _unit(spread + HEADING_ARM * headings)
    folded = (ends * probe.place).sum(axis=2) - total * target * middle
    around = (mine * np.abs(probe.place) ** 2).sum(axis=2) - total * np.abs(middle) ** 2
    along = (mine * probe.place**2).sum(axis=2) - total * middle**2
    firm, soft = around + STIFFNESS[0], around + STIFFNESS[1]
    pulled = spread + STIFFNESS[0] * rigid
    turn = (pulled * soft - folded * along.conj()) / (firm * soft - np.abs(along) ** 2)
    fold = (folded - turn * along) / soft
    shift = target - turn * middle - fold * middle.conj()
    return turn.astype(np.complex64), fold.astype(np.complex64), shift.astype(np.complex64)


def _towards(weight: Floats, values: Complexes) -> Complexes:
    """Return the weighted sums over gallery minutiae, (b, h, n)."""
    columns = np.stack([values.real, values.imag], axis=2)[:, None]
    sums = np.matmul(weight, columns)
    return _complex(sums[..., 0], sums[..., 1])


def _bending(probe: Finger, fingers: Fingers, moved: Complexes, weight: Floats) -> Complexes:
    """Return how far each probe minutia moves with its paired neighbours, (b, h, n)."""
    mine = weight.sum(axis=3)
    missed = _towards(weight, fingers.place) - mine * moved
    apart = np.abs(probe.place[:, None] - probe.place)
    pull = np.exp(apart * apart * np.float32(-0.5 / BEND_REACH**2))
    bent = _complex(np.matmul(missed.real, pull), np.matmul(missed.imag, pull))
    bent /= np.matmul(mine, pull) + np.float32(BEND_INERTIA)
    return bent


def _complex(real: Floats, imaginary: Floats) -> Complexes:
    joined = np.empty(real.shape, dtype=np.complex64)
    joined.real, joined.imag = real, imaginary
    return joined


def _overlap(fingers: Fingers, distance: Floats) -> Floats:
    """Return the geometric mean of the minutiae of each finger that stand in the overlap, (b, h)."""
    mine = (distance.min(axis=3) < OVERLAP_REACH**2).sum(axis=2)
    theirs = ((distance.min(axis=2) < OVERLAP_REACH**2) & fingers.used[:, None]).sum(axis=2)
    mean: Floats = np.sqrt(np.maximum(mine * theirs, 1)).astype(np.float32)
    return mean


def _best(
    stages: tuple[Floats, Floats], similarity: Floats, close: Floats, overlap: Floats
) -> tuple[Evidence, Ints]:
    """Return the evidence under the hypothesis that explains most, and its number."""
    like = (close * np.maximum(similarity, 0)[:, None]).sum(axis=(2, 3))
    near = close.sum(axis=(2, 3))
    best = (like * near / overlap).argmax(axis=1)
    chosen = (
        np.take_along_axis(each, best[:, None], axis=1)[:, 0].astype(np.float32)
        for each in (like, near, overlap)
    )
    return Evidence(*stages, *chosen), best
