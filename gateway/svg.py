"""Pictures for people and courts, as SVG written by hand: two prints laid over each other.

Every picture has a title and a description for those who cannot see it, and tells its parts apart by shape
or dash as well as by colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LINE = 17  # pixels


def opening(width: float, height: float, title: str, description: str) -> str:
    """Return the head of a picture: its size in pixels, and what says what it shows to those who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
        ' aria-labelledby="title description" font-family="sans-serif" font-size="12">\n'
        f'<title id="title">{escape(title)}</title>\n'
        f'<desc id="description">{escape(description)}</desc>\n'
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """A minutia to be drawn: place in pixels (y down), direction in radians, and whether it agrees with one."""

    x: float
    y: float
    angle: float
    paired: bool


def overlay(
    probe: Sequence[Mark],
    gallery: Sequence[Mark],
    ties: Sequence[tuple[int, int]],
    titles: tuple[str, str],
) -> str:
    """Return the probe's minutiae, moved onto the gallery finger's, and lines between those that agree.

    Circles are the gallery finger's, squares the probe's; filled ones agree with one of the other.
    """
    every = [*probe, *gallery]
    lines = [
        *titles,
        f"{len(probe)} minutiae of the probe: squares, orange",
        f"{len(gallery)} minutiae of the gallery finger: circles, blue",
        f"{len(ties)} agree: filled, joined",
    ]
    left = min((mark.x for mark in every), default=0.0) - 30
    top = min((mark.y for mark in every), default=0.0) - 30 - LINE * len(lines)
    width = max(max((mark.x for mark in every), default=0.0) + 30 - left, 420)
    height = max((mark.y for mark in every), default=0.0) + 30 - top
    parts = [opening(width, height, titles[0], ". ".join(lines[1:]))]
    for number, line in enumerate(lines, 1):
        parts.append(f'<text x="10" y="{LINE * number}">{escape(line)}</text>')
    parts += [f'<g transform="translate({-left:.1f} {-top:.1f})" stroke-width="1.4">']
    for mine, theirs in ties:
        a, b = probe[mine], gallery[theirs]
        parts.append(
            f'<line x1="{a.x:.1f}" y1="{a.y:.1f}" x2="{b.x:.1f}" y2="{b.y:.1f}" stroke="#000"/>'
        )
    parts += [_mark(mark, "#0072b2", round_=True) for mark in gallery]
    parts += [_mark(mark, "#d55e00", round_=False) for mark in probe]
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _mark(mark: Mark, colour: str, *, round_: bool) -> str:
    fill = colour if mark.paired else "none"
    end = mark.x + 13 * math.cos(mark.angle), mark.y - 13 * math.sin(mark.angle)
    shape = (
        f'<circle cx="{mark.x:.1f}" cy="{mark.y:.1f}" r="6"'
        if round_
        else f'<rect x="{mark.x - 3.5:.1f}" y="{mark.y - 3.5:.1f}" width="7" height="7"'
    )
    return (
        f'{shape} fill="{fill}" fill-opacity="0.45" stroke="{colour}"/>'
        f'<line x1="{mark.x:.1f}" y1="{mark.y:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" stroke="{colour}"/>'
    )
