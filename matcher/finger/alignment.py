"""The best few again: minutiae of two fingers paired under one motion, many pairs of fingers at a time.

1  similarity   every probe minutia against every gallery minutia
2  relaxation   the likeliest pairs lift those that agree with them in distance and direction
3  alignment    the best supported pairs each propose a turn and a shift, fitted by all that agree; the fit
                then lets the picture stretch and shear: skin does, and so do pictures of unequal sides
4  bending      what the paired minutiae still miss moves their neighbours along
5  counting     closeness and likeness of mutual nearest minutiae, against how many stand in the overlap

Steps 2 and 3 follow the minutia cylinder-code's relaxation and SourceAFIS's idea of several hypotheses. All
arrays run over b pairs of a probe's finger and a gallery's: there is no loop over them. What a pair comes to
depends on the two widths that its fingers are padded to, and on no other pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from matcher.finger.constants import (
    ABSENT,
    BEND_INERTIA,
    BEND_REACH,
    EXPECTED_REACH,
    FAR,
    FINALISTS,
    HEADING_ARM,
    HYPOTHESES,
    LEAST_CLOSENESS,
    MIDDLE,
    MOST_COST,
    MOST_SUPPORT,
    NARROW,
    OVERLAP_REACH,
    PAIRS,
    PEERS,
    RADIAL_TOLERANCE,
    REFITS,
    ROUNDS,
    STIFFNESS,
    STRETCH,
    STRONGEST,
    SUPPORTING,
    TURN_TOLERANCE,
    UNLIKE_WEIGHT,
    WIDE,
)
from matcher.finger.descriptors import LEADING, Complexes, Finger, pack, resized, unpack
from matcher.finger.template import Bools, Floats, Ints

# Minutiae that fingers are padded to: with few widths many pairs go together, and one pair is always as wide.
WIDTHS = (56, 96, 255)


def width_for(minutiae: int) -> int:
    """Return the width that a finger of so many minutiae is padded to."""
    return next(width for width in WIDTHS if minutiae <= width)


@dataclass(frozen=True, slots=True, eq=False)
class Fingers:
    """Fingers side by side, b of them in slots for at most l minutiae each.

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

    def resized(self, scale: Floats) -> Fingers:
        """Return the fingers as of pictures made wider and higher, (b, 2); what surrounds a minutia stays as it was."""
        if (scale == 1).all():
            return self
        across, down = scale[:, :1], scale[:, 1:]
        heading = resized(self.heading, across, down)
        heading /= np.maximum(np.abs(heading), np.float32(1e-6))  # empty slots have none
        return replace(self, place=resized(self.place, across, down), heading=heading)


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """A probe's finger for each of b gallery fingers: `Finger.scale` (b, 2) float32 and `Finger.doubt` (b,) of each."""

    fingers: Fingers
    scale: Floats = field(repr=False)
    doubt: Floats = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the stages saw, each (b,) float32.

    local      mean likeness of the twelve best probe minutiae, by the leading numbers of their descriptors
    likeness   sum over final pairs of closeness x likeness
    closeness  sum over final pairs of closeness
    overlap    geometric mean of the minutiae of each finger that stand in the overlap, at least 1
    expected   minutiae of the sparser finger that stand in the overlap, seen more widely
    turned     cosine of the turn between the two pictures
    doubt      log10 units that speak against the reading of the record, `Finger.doubt`
    """

    local: Floats
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

    n and l are the widths that the fingers are padded to.
    """

    evidence: Evidence
    similarity: Floats = field(repr=False)
    mate: Ints = field(repr=False)
    close: Floats = field(repr=False)
    moved: Complexes = field(repr=False)
    turn: Complexes = field(repr=False)
    fold: Complexes = field(repr=False)
    shift: Complexes = field(repr=False)


def gather(fingers: Sequence[Finger], width: int | None = None) -> Fingers:
    """Return fingers side by side, as precisely as a gallery keeps them, padded to a width or that of the largest."""
    kept = [replace(finger, vectors=unpack(pack(finger.vectors))) for finger in fingers]
    return _beside(kept, width)


def repeated(probe: Finger, number: int) -> Probes:
    """Return one probe's finger for each of so many gallery fingers."""
    return probes_of([probe] * number)


def probes_of(fingers: Sequence[Finger], width: int | None = None) -> Probes:
    """Return probes' fingers side by side, as they are, padded to a width or that of the largest."""
    scale = np.array([finger.scale for finger in fingers], dtype=np.float32).reshape(-1, 2)
    doubt = np.array([finger.doubt for finger in fingers], dtype=np.float32)
    return Probes(_beside(fingers, width), scale, doubt)


def _beside(fingers: Sequence[Finger], width: int | None) -> Fingers:
    count = np.array([len(finger) for finger in fingers], dtype=np.intp)
    shape = len(fingers), width_for(int(count.max(initial=0))) if width is None else width
    size = fingers[0].vectors.shape[1] if fingers else 0
    vectors = np.zeros((*shape, size), dtype=np.float32)
    place = np.zeros(shape, dtype=np.complex64)
    heading = np.ones(shape, dtype=np.complex64)
    for row, finger in enumerate(fingers):
        vectors[row, : len(finger)] = finger.vectors
        place[row, : len(finger)] = finger.place
        heading[row, : len(finger)] = finger.heading
    return Fingers(vectors, place, heading, count)


def compare(probe: Finger, fingers: Fingers) -> Evidence:
    """Return the evidence of one probe finger against each of `fingers`."""
    return align(repeated(probe, len(fingers.count)), fingers).evidence


def support(probes: Probes, fingers: Fingers) -> Floats:
    """Return the mean value of the twelve best pairs after relaxation, no minutia twice, (b,).

    Of few pairs: those of non-mates then support each other less, and it takes a fifth of the time.
    """
    mine, theirs, *_ = _centred(probes.fingers, fingers.resized(probes.scale))
    similarity = _similarity(probes.fingers, fingers)[1]
    return strongest(relaxed(mine, theirs, similarity, SUPPORTING))


def align(probes: Probes, fingers: Fingers) -> Alignment:
    """Return the evidence of each probe's finger against the one beside it, and the alignment it rests on."""
    head, similarity = _similarity(probes.fingers, fingers)
    local = _mean_of_best(head.max(axis=2), probes.fingers.count)
    mine, theirs, centre, centres = _centred(probes.fingers, fingers.resized(probes.scale))
    pairs = relaxed(mine, theirs, similarity)
    reachable, liked = targets(theirs, fingers.used), np.maximum(similarity, 0)
    absent = np.where(probes.fingers.used, np.float32(0), np.float32(FAR))
    motion, planes = _settled((mine, absent), theirs, reachable, liked, hypotheses(pairs))
    mates = mutual(planes, absent, reachable, NARROW)
    near, (shared, expected) = mates.close.sum(axis=2), overlap(planes, absent, reachable)
    like = (mates.close * mates.within(liked)).sum(axis=2)
    rows, best = np.arange(len(like)), (like * near / shared).argmax(axis=1)
    turn, fold, shift = _parts(motion[rows, best])
    turned = (turn.real / np.maximum(np.abs(turn), np.float32(1e-6))).astype(np.float32)
    evidence = Evidence(
        local,
        like[rows, best],
        near[rows, best],
        shared[rows, best],
        expected[rows, best],
        turned,
        probes.doubt,
    )
    place = planes[rows, 0, best] + 1j * planes[rows, 1, best] + centres[:, None]
    place = resized(place, 1 / probes.scale[:, :1], 1 / probes.scale[:, 1:])
    shift += centres - turn * centre - fold * np.conj(centre)
    mate, close = mates.mate[rows, best], mates.close[rows, best]
    return Alignment(evidence, similarity, mate, close, place, turn, fold, shift)


def _settled(
    probe: tuple[Floats, Floats], theirs: Floats, reachable: Floats, liked: Floats, motion: Floats
) -> tuple[Floats, Floats]:
    """Return the finalists' motions (b, h, 2, 3) after refitting, and the probe bent by them, (b, 4, h, n)."""
    mine, absent = probe
    mates = mutual(moved(mine, motion), absent, reachable, WIDE)
    weight = mates.weight(liked)
    promising = greatest(weight.sum(axis=2), FINALISTS)
    mates = mates.among(promising)
    weight = weight[np.arange(len(weight))[:, None], promising]
    motion = refit(mine, theirs, mates, weight)
    for _ in range(REFITS):
        mates = mutual(moved(mine, motion), absent, reachable, MIDDLE)
        weight = mates.weight(liked)
        motion = refit(mine, theirs, mates, weight)
    planes = moved(mine, motion)
    planes[:, :2] += bending(mine, theirs, planes, mates, weight)
    return motion, planes


def _centred(probes: Fingers, fingers: Fingers) -> tuple[Floats, Floats, Complexes, Complexes]:
    """Return both sides' planes about the middle of each finger, and these middles (b,)."""
    (mine, centre), (theirs, centres) = (_about_middle(each) for each in (probes, fingers))
    return mine, theirs, centre, centres


def _about_middle(fingers: Fingers) -> tuple[Floats, Complexes]:
    total = np.where(fingers.used, fingers.place, 0).sum(axis=1)
    middle = total / np.maximum(fingers.count, 1).astype(np.float32)
    return _planes(fingers.place - middle[:, None], fingers.heading), middle


def _planes(place: Complexes, heading: Complexes) -> Floats:
    """Return places and directions as planes of real numbers, (…, 4, m)."""
    return np.stack([place.real, place.imag, heading.real, heading.imag], axis=-2)


def _parts(motion: Floats) -> tuple[Complexes, Complexes, Complexes]:
    """Return turn, fold and shift of motions (b, 2, 3)."""
    (a, b, x), (c, d, y) = motion.transpose(1, 2, 0)
    return ((a + d) + 1j * (c - b)) / 2, ((a - d) + 1j * (c + b)) / 2, x + 1j * y


def _similarity(probes: Fingers, fingers: Fingers) -> tuple[Floats, Floats]:
    """Return likeness (b, n, l) by the leading numbers, as the local stage sees it, and by all."""
    mine, theirs = probes.vectors, fingers.vectors.transpose(0, 2, 1)
    head = np.matmul(mine[..., :LEADING], theirs[:, :LEADING])
    whole = head + np.matmul(mine[..., LEADING:], theirs[:, LEADING:])
    unused = ~(probes.used[:, :, None] & fingers.used[:, None, :])
    for each in (head, whole):
        np.copyto(each, np.float32(ABSENT), where=unused)
    return head, whole


def _mean_of_best(values: Floats, count: Ints) -> Floats:
    """Return the mean of each row's twelve greatest values, or of all where there are fewer; (b, n), (b,) -> (b,)."""
    number = np.minimum(count, STRONGEST)
    best = np.sort(values, axis=1)[:, ::-1][:, :STRONGEST]
    total = np.where(np.arange(best.shape[1]) < number[:, None], best, 0).sum(axis=1)
    mean: Floats = total / np.maximum(number, 1).astype(np.float32)
    return mean


# The likeliest pairs of two fingers lift those that agree with them in distance and direction.
#
# All arrays run over b pairs of fingers. Places and directions come as planes of real numbers, (b, 4, n) for the
# probe and (b, 4, l): x, y, and the direction's cosine and sine, about a middle of each finger.


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The k likeliest pairs of each comparison and what they are worth after relaxation.

    probe, gallery  (b, k) minutiae; usable (b, k): not of padding
    start, end      (b, 2, k) their places; turn (b, 2, k): cosine and sine of the turn that each proposes
    agreement       (b, k, k) in [0, 1]; value (b, k)
    """

    probe: Ints = field(repr=False)
    gallery: Ints = field(repr=False)
    usable: Bools = field(repr=False)
    start: Floats = field(repr=False)
    end: Floats = field(repr=False)
    turn: Floats = field(repr=False)
    agreement: Floats = field(repr=False)
    value: Floats = field(repr=False)


def relaxed(probe: Floats, fingers: Floats, similarity: Floats, number: int = PAIRS) -> Pairs:
    """Return so many likeliest pairs by (b, n, l) likeness, each lifted by those that agree with it."""
    slots = similarity.shape[2]
    flat = similarity.reshape(len(similarity), -1)
    number = min(number, flat.shape[1])
    rows = np.arange(len(flat))[:, None]
    top = greatest(flat, number)
    mine, theirs = np.divmod(top, slots)
    likeness = flat[rows, top]
    usable = likeness > -1.5
    here, there = (
        side[rows[:, :, None], _FOUR, at[:, None]]
        for side, at in ((probe, mine), (fingers, theirs))
    )
    turn = np.empty((len(flat), 2, number), dtype=np.float32)
    turn[:, 0] = there[:, 2] * here[:, 2] + there[:, 3] * here[:, 3]
    turn[:, 1] = there[:, 3] * here[:, 2] - there[:, 2] * here[:, 3]
    start, end = here[:, :2], there[:, :2]
    agreement = _agreement(start, end, turn)
    agreement *= _different(mine, theirs)
    if not usable.all():
        agreement *= usable[:, :, None] & usable[:, None, :]
    value = np.maximum(likeness, 0)
    for _ in range(ROUNDS):
        support = np.matvec(agreement, value)
        value = np.minimum((value + support / PEERS) / 2, np.float32(MOST_SUPPORT))
    return Pairs(mine, theirs, usable, start, end, turn, agreement, value)


_FOUR = np.arange(4)[:, None]


def _agreement(start: Floats, end: Floats, turn: Floats) -> Floats:
    """Return how well each two pairs go together under one rigid motion, (b, k, k) in [0, 1]."""
    x, y, u, v = (_apart(each[:, axis]) for each in (start, end) for axis in (0, 1))
    near, far = _length(x, y), _length(u, v)
    # The line that joins two pairs turns as they do: cosine and sine of its turn, times both lengths.
    along, across = x * u, x * v
    along += y * v
    across -= y * u
    along *= turn[:, 0, :, None] + turn[:, 0, None]
    across *= turn[:, 1, :, None] + turn[:, 1, None]
    along += across
    stretch = far - near
    np.multiply(near, far, out=across)
    near += far
    along /= np.maximum(across, np.float32(1e-3), out=across)
    near *= np.float32(STRETCH[1] / 2)
    near += np.float32(STRETCH[0])
    stretch /= near
    # 1 - cos stands for half the squared angle: no arc tangent is ever taken.
    cost = np.multiply(stretch, stretch, out=stretch)
    cost *= np.float32(0.5)
    along *= np.float32(0.5 / RADIAL_TOLERANCE**2)
    cost -= along
    cost -= np.matmul(turn.swapaxes(1, 2) * np.float32(TURN_TOLERANCE**-2), turn, out=far)
    cost += np.float32(TURN_TOLERANCE**-2 + RADIAL_TOLERANCE**-2)
    np.minimum(cost, np.float32(MOST_COST), out=cost)
    agreement: Floats = np.exp(np.negative(cost, out=cost), out=cost)
    return agreement


def _apart(values: Floats) -> Floats:
    apart: Floats = values[:, None, :] - values[:, :, None]
    return apart


def _length(x: Floats, y: Floats) -> Floats:
    length = x * x
    length += y * y
    return np.sqrt(length, out=length)


def _different(mine: Ints, theirs: Ints) -> Floats:
    """Return 0 where two pairs share a minutia and 1 elsewhere."""
    apart = _apart(mine.astype(np.float32))
    apart *= _apart(theirs.astype(np.float32))
    np.multiply(apart, apart, out=apart)
    return np.minimum(apart, np.float32(1), out=apart)


def strongest(pairs: Pairs) -> Floats:
    """Return the mean value of the twelve best pairs, no minutia twice, (b,)."""
    rows = np.arange(len(pairs.value))
    left = np.where(pairs.usable, pairs.value, 0)
    total = np.zeros(len(left), dtype=np.float32)
    for _ in range(STRONGEST):
        best = left.argmax(axis=1)
        total += left[rows, best]
        taken = pairs.probe == pairs.probe[rows, best][:, None]
        taken |= pairs.gallery == pairs.gallery[rows, best][:, None]
        left[taken] = 0
    return total / STRONGEST


# Which minutiae of two fingers are each other's nearest, once one finger has been moved onto the other.
#
# Fingers come as planes of real numbers as above; h motions are tried for each of b pairs of
# fingers. A probe minutia has at most one mate, so that mates are (b, h, n) arrays.

# Rows of what is multiplied with a moved minutia's x, y, cosine, sine, squared place and 1.
_PLACE, _SQUARE = slice(0, 2), 5


@dataclass(frozen=True, slots=True, eq=False)
class MatedMinutiae:
    """Mutually nearest minutiae: the mate of each probe minutia, and the pair's closeness, 0 = none; (b, h, n)."""

    mate: Ints = field(repr=False)
    close: Floats = field(repr=False)

    def among(self, motions: Ints) -> MatedMinutiae:
        """Return what is paired under some of the motions, (b, h')."""
        rows = np.arange(len(motions))[:, None]
        return MatedMinutiae(self.mate[rows, motions], self.close[rows, motions])

    def of(self, values: Floats) -> Floats:
        """Return each mate's values of (b, c, l), as (b, h, n, c)."""
        first = np.arange(0, len(values) * values.shape[2], values.shape[2])[:, None, None]
        by_minutia = values.swapaxes(1, 2).reshape(-1, values.shape[1])
        found: Floats = by_minutia.take(self.mate + first, axis=0)
        return found

    def within(self, table: Floats) -> Floats:
        """Return each pair's entry of a (b, n, l) table, (b, h, n)."""
        b, n, slots = table.shape
        first = np.arange(0, b * n * slots, slots).reshape(b, 1, n)
        found: Floats = table.reshape(-1).take(self.mate + first)
        return found

    def weight(self, liked: Floats) -> Floats:
        """Return what each pair weighs in a fit, (b, h, n), by the (b, n, l) likeness of minutiae."""
        weight = self.within(liked)
        weight += np.float32(UNLIKE_WEIGHT)
        weight *= self.close
        return weight


def targets(fingers: Floats, used: Bools) -> Floats:
    """Return the gallery's planes (b, 4, l) as `mutual` and `overlap` multiply with them, (b, 6, l)."""
    columns = np.ones((len(fingers), 6, fingers.shape[2]), dtype=np.float32)
    columns[:, :4] = fingers
    columns[:, _SQUARE] = (fingers[:, _PLACE] ** 2).sum(axis=1)
    columns[:, _SQUARE][~used] = FAR
    return columns


def mutual(
    planes: Floats, absent: Floats, theirs: Floats, width: tuple[float, float]
) -> MatedMinutiae:
    """Return which minutiae are nearest to each other, in place and direction, and how near.

    absent (b, n): FAR for a slot of the probe's without a minutia, else 0
    """
    b, _, h, n = planes.shape
    slots = theirs.shape[2]
    place, turn = np.float32(0.5 / width[0] ** 2), np.float32(width[1] ** -2)
    rows = np.empty((b, 6, h, n), dtype=np.float32)
    np.multiply(planes[:, _PLACE], -2 * place, out=rows[:, _PLACE])
    np.multiply(planes[:, 2:], -turn, out=rows[:, 2:4])
    rows[:, 4] = _square(planes, absent) * place + turn
    rows[:, _SQUARE] = place
    cost = np.matmul(rows.reshape(b, 6, h * n).swapaxes(1, 2), theirs)
    mate = cost.argmin(axis=2)
    least = cost.reshape(-1).take(mate + np.arange(0, cost.size, slots).reshape(b, h * n))
    least, mate = least.reshape(b, h, n), mate.reshape(b, h, n)
    nearest = cost.reshape(b, h, n, slots).min(axis=2)
    first = np.arange(0, nearest.size, slots).reshape(b, h, 1)
    found = least <= nearest.reshape(-1).take(mate + first)
    found &= least < _MOST_DISTANT
    np.minimum(least, np.float32(MOST_COST), out=least)
    close = np.exp(np.negative(least, out=least), out=least)
    close *= found
    return MatedMinutiae(mate, close)


_MOST_DISTANT = np.float32(-np.log(LEAST_CLOSENESS))


def _square(planes: Floats, absent: Floats) -> Floats:
    """Return how far places lie from the middle, squared; FAR for a slot without a minutia, (b, h, n)."""
    x, y = planes[:, 0], planes[:, 1]
    square: Floats = x * x
    square += y * y
    square += absent[:, None]
    return square


def overlap(planes: Floats, absent: Floats, theirs: Floats) -> tuple[Floats, Floats]:
    """Return how many minutiae of each finger stand in the overlap, (b, h) each.

    First the geometric mean of both fingers' numbers, at least 1; then the number of the one that has fewer,
    within EXPECTED_REACH.
    """
    b, _, h, n = planes.shape
    rows = np.empty((b, 4, h, n), dtype=np.float32)
    np.multiply(planes[:, _PLACE], np.float32(-2), out=rows[:, :2])
    rows[:, 2] = _square(planes, absent)
    rows[:, 3] = 1
    distance = np.matmul(rows.reshape(b, 4, h * n).swapaxes(1, 2), theirs[:, [0, 1, 4, 5]])
    sides = distance.min(axis=2).reshape(b, h, n), distance.reshape(b, h, n, -1).min(axis=2)
    mine, yours = (_within(each, OVERLAP_REACH) for each in sides)
    fewer = np.minimum(*(_within(each, EXPECTED_REACH) for each in sides))
    return np.sqrt(np.maximum(mine * yours, 1)), fewer


def _within(square: Floats, reach: float) -> Floats:
    within: Floats = (square < np.float32(reach**2)).sum(axis=2).astype(np.float32)
    return within


# Motions of one finger onto another: proposed by pairs that agree, and fitted to pairs of minutiae.
#
# A motion is a matrix (2, 3). Fingers come as planes of real numbers as above; h motions are
# tried for each of b pairs of fingers.


def hypotheses(pairs: Pairs) -> Floats:
    """Return rigid motions (b, h, 2, 3): each of the best supported pairs, with all that agree with it."""
    rows, value = np.arange(len(pairs.value)), pairs.value
    left = np.where(pairs.usable, value * np.matvec(pairs.agreement, value), 0)
    seeds = np.empty((len(value), HYPOTHESES), dtype=np.intp)
    for number in range(HYPOTHESES):
        seeds[:, number] = best = left.argmax(axis=1)
        left *= 1 - pairs.agreement[rows, best]  # the next seed is of another opinion
        left[rows, best] = -1
    weight = pairs.agreement[rows[:, None], seeds] * value[:, None, :]
    weight[rows[:, None], np.arange(HYPOTHESES), seeds] = value[rows[:, None], seeds]
    (x, y), (u, v) = pairs.start.swapaxes(0, 1), pairs.end.swapaxes(0, 1)
    columns = np.empty((*x.shape, 9), dtype=np.float32)
    columns[..., 0] = 1
    columns[..., 1], columns[..., 2], columns[..., 3], columns[..., 4] = x, y, u, v
    columns[..., 5], columns[..., 6] = u * x + v * y, v * x - u * y
    columns[..., 7:] = pairs.turn.swapaxes(1, 2)
    sums = np.matmul(weight, columns)
    total = sums[..., 0] + np.float32(1e-6)
    middle, target = _complex(sums[..., 1:3]) / total, _complex(sums[..., 3:5]) / total
    spread = _complex(sums[..., 5:7]) - total * target * middle.conj()
    turn = _unit(spread + np.float32(HEADING_ARM) * _complex(sums[..., 7:9]))
    return affine(turn, np.zeros_like(turn), target - turn * middle)


def affine(turn: Complexes, fold: Complexes, shift: Complexes) -> Floats:
    """Return place → turn · place + fold · conj(place) + shift as matrices (…, 2, 3)."""
    matrix = np.empty((*turn.shape, 2, 3), dtype=np.float32)
    matrix[..., 0, 0], matrix[..., 0, 1] = turn.real + fold.real, fold.imag - turn.imag
    matrix[..., 1, 0], matrix[..., 1, 1] = turn.imag + fold.imag, turn.real - fold.real
    matrix[..., 0, 2], matrix[..., 1, 2] = shift.real, shift.imag
    return matrix


def moved(probe: Floats, motion: Floats) -> Floats:
    """Return where the probe's minutiae come to lie and to point, planes (b, 4, h, n)."""
    planes = np.empty((len(motion), 4, motion.shape[1], probe.shape[2]), dtype=np.float32)
    place, heading = planes.swapaxes(1, 2)[:, :, :2], planes.swapaxes(1, 2)[:, :, 2:]
    place[:] = np.matmul(motion[..., :2], probe[:, None, :2])
    place += motion[..., 2, None]
    heading[:] = np.matmul(motion[..., :2], probe[:, None, 2:])
    length = np.sqrt((planes[:, 2:] ** 2).sum(axis=1, keepdims=True))
    planes[:, 2:] /= np.maximum(length, np.float32(1e-6))
    return planes


def refit(probe: Floats, fingers: Floats, mates: MatedMinutiae, weight: Floats) -> Floats:
    """Return the motions (b, h, 2, 3) that fit all weighted pairs best.

    Least squares for place -> turn * place + fold * conj(place) + shift; the turn is drawn to the best rigid
    one, the fold to none, as strongly as STIFFNESS says.
    """
    x, y = probe[:, 0], probe[:, 1]
    columns = np.empty((len(probe), 1, 8, probe.shape[2]), dtype=np.float32)
    powers = columns[:, 0]
    powers[:, 0] = 1
    powers[:, 1:3], powers[:, 6:] = probe[:, :2], probe[:, 2:]
    np.multiply(x, y, out=powers[:, 5])
    powers[:, 5] *= 2
    across, along = x * x, y * y
    np.add(across, along, out=powers[:, 3])
    np.subtract(across, along, out=powers[:, 4])
    pulls = np.empty((*weight.shape, 5), dtype=np.float32)
    pulls[..., 0] = 1
    pulls[..., 1:] = mates.of(fingers)
    pulls *= weight[..., None]
    sums = np.matmul(columns, pulls)  # (b, h, 8, 5): probe's powers by 1, x, y, cosine, sine
    total = sums[..., 0, 0] + np.float32(1e-6)
    middle = (sums[..., 1, 0] + 1j * sums[..., 2, 0]) / total
    target = _complex(sums[..., 0, 1:3]) / total
    spread, folded = _products(sums[..., 1:3, 1:3])
    weighty = total * target
    spread = spread - weighty * middle.conj()
    folded = folded - weighty * middle
    rigid = _unit(spread + np.float32(HEADING_ARM) * _products(sums[..., 6:8, 3:5])[0])
    around = sums[..., 3, 0] - total * np.abs(middle) ** 2
    along = (sums[..., 4, 0] + 1j * sums[..., 5, 0]) - total * middle**2
    firm, soft = around + np.float32(STIFFNESS[0]), around + np.float32(STIFFNESS[1])
    pulled = spread + np.float32(STIFFNESS[0]) * rigid
    turn = (pulled * soft - folded * along.conj()) / (firm * soft - np.abs(along) ** 2)
    fold = (folded - turn * along) / soft
    return affine(turn, fold, target - turn * middle - fold * middle.conj())


def bending(
    probe: Floats, fingers: Floats, planes: Floats, mates: MatedMinutiae, weight: Floats
) -> Floats:
    """Return how far each probe minutia moves with its paired neighbours, planes (b, 2, h, n)."""
    pulls = np.empty((3, *weight.shape), dtype=np.float32)
    pulls[0] = weight
    ends = mates.of(fingers[:, :2])
    for axis in (0, 1):
        np.multiply(weight, ends[..., axis] - planes[:, axis], out=pulls[1 + axis])
    square = (probe[:, :2, :, None] - probe[:, :2, None]) ** 2
    reach = np.exp(np.maximum(square.sum(axis=1) * np.float32(-0.5 / BEND_REACH**2), -MOST_COST))
    inertia, *missed = np.matmul(pulls, reach)
    inertia += np.float32(BEND_INERTIA)
    return np.stack([each / inertia for each in missed], axis=1)


def _unit(values: Complexes) -> Complexes:
    """Return values of length 1, and 0 for 0."""
    length: Complexes = values / np.maximum(np.abs(values), np.float32(1e-6))
    return length.astype(np.complex64)


def _complex(pairs: Floats) -> Complexes:
    """Return the complex numbers whose parts are the last axis's pairs, which lie side by side, (…, 2) → (…)."""
    joined: Complexes = pairs.view(np.complex64)[..., 0]
    return joined


def _products(sums: Floats) -> tuple[Complexes, Complexes]:
    """Return the sums of end · conj(start) and of end · start from sums (…, 2, 2) of start's parts by end's."""
    ends, across = _complex(sums[..., 0, :]), _complex(sums[..., 1, :]) * 1j
    return ends - across, ends + across


STRIPS = 2  # maxima looked at for each value that is wanted


def greatest(values: Floats, number: int) -> Ints:
    """Return the places of the `number` greatest values of each row, (r, k) → (r, number), in rising order.

    Among equal values the first places are taken, the same ones on every processor: `numpy.argpartition` and the
    default `numpy.argsort` keep or order equals as its own instructions happen to. So whatever picks a few of many by
    value picks them here, or sorts with kind="stable". number is 1 to k; no value is nan.
    """
    bound = _at_most_least(values, number)
    # Of equals to a bound there may be many: where a minutia's slots are padded, most.
    at = np.flatnonzero(values > bound)
    row = at // values.shape[1]
    count = np.bincount(row, minlength=len(values))
    few = count < number
    if few.any():
        at = np.flatnonzero((values > bound) | ((values == bound) & few[:, None]))
        row = at // values.shape[1]
        count = np.bincount(row, minlength=len(values))
    value = values.reshape(-1)[at]
    some = np.full((len(values), count.max(initial=number)), -np.inf, dtype=values.dtype)
    some[np.arange(some.shape[1]) < count[:, None]] = value
    least = _least_of_greatest(some, number)
    taken = value >= least[row]
    surplus = np.bincount(row[taken], minlength=len(values)) - number
    if surplus.any():  # of those equal to the least, the last of a row go
        equal = value == least[row]
        among = np.bincount(row[equal], minlength=len(values))
        before = np.cumsum(equal) - 1 - (np.cumsum(among) - among)[row]
        taken &= ~equal | (before < (among - surplus)[row])
    places: Ints = (at[taken] % values.shape[1]).reshape(len(values), number)
    return places


def _at_most_least(values: Floats, number: int) -> Floats:
    """Return of each row a value that at least `number` values of it reach, (r, k) → (r, 1).

    Of strips' maxima, which are many times fewer; a look at every value in turn would cost several times as much.
    """
    strips = values.shape[1] // (STRIPS * number + 1)
    if strips <= 1:
        return _least_of_greatest(values, number)[:, None]
    # Odd, unlike the widths of fingers: else a minutia's padded slots fall into strips of nothing else.
    wide = (values.shape[1] // strips - 1) | 1
    heads = values[:, : strips * wide].reshape(len(values), strips, wide).max(axis=1)
    return _least_of_greatest(heads, number)[:, None]


def _least_of_greatest(values: Floats, number: int) -> Floats:
    """Return the least of the `number` greatest values of each row, (r, k) → (r,)."""
    rest = values.shape[1] - number
    least: Floats = np.partition(values, rest, axis=1)[:, rest]
    return least
