"""A sheet of pictures of the samples in a file: minutiae and iris codes drawn, images as an empty frame with what is stated.

No pixel is decoded here: an image's place on the sheet says its size, and a decoder of strangers' bytes has no business in
the process of a command.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from gateway import svg
from gateway.matching.finger_marks import Marks, Minutia

SIDE: Final = 240  # pixels of a panel's picture, its longer side
GAP: Final = 20
LINE: Final = 16
COLUMNS: Final = 4
MOST_LINES: Final = 4  # of text above a picture
TAIL: Final = 9  # pixels of a minutia's direction
COLOURS: Final = {"ending": "#0072b2", "bifurcation": "#d55e00", "other": "#555555"}
LEGEND: Final = (
    "Ridge endings: circles, blue. Bifurcations: squares, orange. Other minutiae: diamonds, grey."
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One sample: lines of text, the size of its picture in its own pixels (0 = not known), its minutiae or its bits.

    bits  rows of 1, 0 and . (masked), of an iris code
    """

    lines: tuple[str, ...]
    width: float = 0
    height: float = 0
    marks: Marks | None = None
    bits: tuple[str, ...] = ()


def sheet(panels: Sequence[Panel], title: str) -> str:
    """Return the picture of all panels, four in a row."""
    rows = [panels[at : at + COLUMNS] for at in range(0, len(panels), COLUMNS)]
    cell = SIDE + GAP, SIDE + GAP + LINE * MOST_LINES
    width, height = GAP + cell[0] * COLUMNS, GAP + 2 * LINE + cell[1] * len(rows)
    heard = ". ".join(" ".join(each.lines) for each in panels)
    parts = [svg.opening(width, height, title, f"{heard}. {LEGEND}")]
    parts.append(f'<text x="{GAP}" y="{LINE}">{escape(title)}</text>')
    parts.append(f'<text x="{GAP}" y="{2 * LINE}">{LEGEND}</text>')
    for row, some in enumerate(rows):
        for column, each in enumerate(some):
            left, top = GAP + column * cell[0], GAP + 2 * LINE + row * cell[1]
            parts.append(f'<g transform="translate({left} {top})">{_panel(each)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel) -> str:
    lines = [
        f'<text x="0" y="{LINE * number}">{escape(line)}</text>'
        for number, line in enumerate(panel.lines[:MOST_LINES], 1)
    ]
    wide, high = panel.width or 1, panel.height or 1
    if panel.bits:
        wide, high = len(panel.bits[0]), len(panel.bits)
    scale = SIDE / max(wide, high)
    place = f'transform="translate(0 {LINE * MOST_LINES}) scale({scale:.4f})"'
    group = f'<g {place} stroke-width="{1.2 / scale:.2f}">'
    dash = "" if panel.marks is not None or panel.bits else ' stroke-dasharray="6 4"'
    frame = f'<rect width="{wide:g}" height="{high:g}" fill="none" stroke="#000000"{dash}/>'
    return "\n".join([*lines, group, frame, _content(panel, wide, high), "</g>"])


def _content(panel: Panel, wide: float, high: float) -> str:
    if panel.marks is not None:
        return "".join(_minutia(each) for each in panel.marks.minutiae)
    if panel.bits:
        return _runs(panel.bits, "1", "#000000") + _runs(panel.bits, ".", "#cccccc")
    return f'<path d="M0 0L{wide:g} {high:g}M{wide:g} 0L0 {high:g}" stroke="#bbbbbb" fill="none"/>'


def _runs(rows: Sequence[str], bit: str, colour: str) -> str:
    """Return one path of all runs of a bit: a rectangle each."""
    runs = (
        (each.start(), row, each.end() - each.start())
        for row, text in enumerate(rows)
        for each in re.finditer(re.escape(bit) + "+", text)
    )
    drawn = "".join(f"M{x} {y}h{size}v1h-{size}z" for x, y, size in runs)
    return f'<path d="{drawn}" fill="{colour}"/>'


def _minutia(each: Minutia) -> str:
    x, y, colour = each.x, each.y, COLOURS[each.kind]
    end = x + TAIL * math.cos(each.angle), y - TAIL * math.sin(each.angle)
    shape = {
        "ending": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        "bifurcation": f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"',
        "other": f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"',
    }[each.kind]
    line = (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{colour}"/>'
    )
    return f'{shape} fill="none" stroke="{colour}"/>{line}'
