"""Charts as inline SVG: no script, no network; each has a title and says in words what it shows.

Parts are distinguished by shape or pattern as well as by colour (Okabe, Ito: Color Universal Design, 2008). What is
withheld is drawn as a dashed stub of one height, whatever it hides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final
from xml.sax.saxutils import escape, quoteattr

WIDTH: Final = 720
BLUE, ORANGE, GREY = "#005a9c", "#b34700", "#5b6470"  # each 4.5:1 on white
COLOURS: Final = (BLUE, ORANGE)
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 14, 34
_STUB = 9  # pixels
_MOST_LABELS = 13
_NAME = (
    33  # characters of a line before a bar; 238 pixels hold as many at the width of a wide letter
)
_LINE = 15  # pixels from line to line

Number = Callable[[float], str]  # how a number is written in the language of the page


@dataclass(frozen=True, slots=True)
class Series:
    """Values under one name, as many as there are labels; None is withheld."""

    name: str
    values: tuple[float | None, ...]


def columns(
    title: str, labels: Sequence[str], series: Sequence[Series], number: Number, height: int = 230
) -> str:
    """Return a bar chart over time: one group of bars a label, one colour a series."""
    axis = _Axis(series, height, number)
    parts = [_opening(title, height), *axis.lines(), *_along(labels, height)]
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    wide = max(1.5, step * 0.76 / max(1, len(series)))
    for order, each in enumerate(series):
        for at, value in enumerate(each.values):
            x = _LEFT + step * at + step * 0.12 + wide * order
            parts.append(_column(x, wide, value, axis, COLOURS[order % len(COLOURS)]))
    return "\n".join([*parts, "</svg>"])


def lines(
    title: str, labels: Sequence[str], series: Sequence[Series], number: Number, height: int = 210
) -> str:
    """Return curves over time; a line breaks where a value is withheld. The second is dashed."""
    axis = _Axis(series, height, number)
    parts = [_opening(title, height), *axis.lines(), *_along(labels, height)]
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    for order, each in enumerate(series):
        colour = COLOURS[order % len(COLOURS)]
        dash = ' stroke-dasharray="7 4"' if order else ""
        for run in _runs(each.values):
            points = " ".join(
                f"{_LEFT + step * (at + 0.5):.1f},{axis.y(value):.1f}" for at, value in run
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{dash}/>'
            )
            parts += [_mark(point, order, colour) for point in points.split()]
    return "\n".join([*parts, "</svg>"])


def rows(
    title: str,
    names: Sequence[str],
    values: Sequence[float | None],
    number: Number,
    whole: float | None = None,
) -> str:
    """Return horizontal bars with their names before them and their values behind.

    whole   the value that all bars are measured against, drawn as an outline; else the greatest of them
    """
    wrapped = [wrap(name, _NAME, break_long_words=True) or [""] for name in names]
    height = sum(_high(each) for each in wrapped) + 8
    most = max([value for value in values if value] + ([whole] if whole else []), default=1.0)
    width = WIDTH - 246 - 90
    parts, y = [_opening(title, height)], 4
    for name, value in zip(wrapped, values, strict=True):
        for line, words in enumerate(name):
            at = y + 16 + _LINE * line
            parts.append(f'<text x="238" y="{at}" text-anchor="end">{escape(words)}</text>')
        if whole is not None:
            parts.append(
                f'<rect x="246" y="{y + 3}" width="{whole / most * width:.1f}" height="18" fill="#fff" stroke="{GREY}"/>'
            )
        if value is None:
            parts.append(_stub(246, y + 3, 40, 18))
        else:
            long = value / most * width
            behind = 252 + max(long, whole / most * width if whole else 0)
            parts.append(
                f'<rect x="246" y="{y + 3}" width="{long:.1f}" height="18" fill="{BLUE}"/>'
            )
            parts.append(f'<text x="{behind:.1f}" y="{y + 16}">{escape(number(value))}</text>')
        y += _high(name)
    return "\n".join([*parts, "</svg>"])


def _high(lines: Sequence[str]) -> int:
    return 26 + _LINE * (len(lines) - 1)


def lanes(
    title: str,
    names: Sequence[str],
    marks: Sequence[tuple[int, float]],
    ends: tuple[str, str],
) -> str:
    """Return events over time: `marks` are lane and place, from 0 at the beginning to 1 at the end."""
    height = 30 * len(names) + 30
    parts = [_opening(title, height)]
    for at, name in enumerate(names):
        y = 18 + 30 * at
        parts.append(f'<text x="118" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line x1="128" x2="{WIDTH - 12}" y1="{y}" y2="{y}" stroke="#c9ced6"/>')
    for lane, place in dict.fromkeys((lane, round(place, 3)) for lane, place in marks):
        x, y = 134 + place * (WIDTH - 152), 18 + 30 * lane
        parts.append(
            f'<path d="M{x:.1f} {y - 6}l6 6l-6 6l-6 -6z" fill="{BLUE}" stroke="#fff" stroke-width=".8"/>'
        )
    y = height - 6
    parts.append(f'<text x="128" y="{y}" class="soft">{escape(ends[0])}</text>')
    parts.append(
        f'<text x="{WIDTH - 12}" y="{y}" text-anchor="end" class="soft">{escape(ends[1])}</text>'
    )
    return "\n".join([*parts, "</svg>"])


class _Axis:
    """The upright axis: from 0 to a round number above the largest value."""

    def __init__(self, series: Sequence[Series], height: int, number: Number) -> None:
        largest = max((value for each in series for value in each.values if value), default=1.0)
        power: float = 10.0 ** math.floor(math.log10(largest))
        self._step = next(s * power for s in (0.25, 0.5, 1, 2, 2.5) if largest <= 4 * s * power)
        if largest <= 4:
            self._step = max(1, self._step)
        self._bottom, self._high = height - _BOTTOM, height - _TOP - _BOTTOM
        self._most, self._number = self._step * math.ceil(largest / self._step), number

    def y(self, value: float) -> float:
        return self._bottom - value / self._most * self._high

    @property
    def bottom(self) -> int:
        return self._bottom

    def lines(self) -> Iterator[str]:
        for count in range(round(self._most / self._step) + 1):
            value = count * self._step
            y = self.y(value)
            yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dde1e6"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(self._number(value))}</text>'


def _column(x: float, wide: float, value: float | None, axis: _Axis, colour: str) -> str:
    if value is None:
        return _stub(x, axis.bottom - _STUB, wide, _STUB)
    y = axis.y(value)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{axis.bottom - y:.1f}" fill="{colour}"/>'


def _stub(x: float, y: float, wide: float, high: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high}" fill="#fff" stroke="{GREY}"'
        ' stroke-dasharray="3 2"/>'
    )


def _along(labels: Sequence[str], height: int) -> Iterator[str]:
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    every = -(-len(labels) * (2 if max(map(len, labels), default=0) > 5 else 1) // _MOST_LABELS)
    for at, label in enumerate(labels):
        if not at % every:
            x = _LEFT + step * (at + 0.5)
            yield f'<text x="{x:.1f}" y="{height - 14}" text-anchor="middle">{escape(label)}</text>'


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    run: list[tuple[int, float]] = []
    for at, value in enumerate(values):
        if value is None:
            if run:
                yield run
            run = []
        else:
            run.append((at, value))
    if run:
        yield run


def _mark(point: str, order: int, colour: str) -> str:
    x, y = map(float, point.split(","))
    if order:
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}"/>'


def _opening(title: str, height: int) -> str:
    # The table under each chart has every number; to a screen reader the picture is one thing with a name.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f" aria-label={quoteattr(title)}><title>{escape(title)}</title>"
    )
