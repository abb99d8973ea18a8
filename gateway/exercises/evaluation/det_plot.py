"""DET curves (detection error trade-off) on probit axes, as SVG; runs are told apart by dash as well as by colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from xml.sax.saxutils import escape

from gateway.svg import opening

WIDTH, HEIGHT = 760, 640  # of a DET plot
LEFT, RIGHT, TOP, BOTTOM = 80, 24, 64, 64
TICKS = (0.0001, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)  # of both axes
LEAST, MOST = 0.00005, 0.6  # ends of the axes; a probit axis has no zero
# Okabe, Ito: Color Universal Design, 2008; black first
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("", "7 4", "2 3", "10 3 2 3", "4 2")
LEGEND_STEP = 20  # pixels

_probit = NormalDist().inv_cdf


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's DET curve: FMR and FNMR as shares, FMR falling; its EER, and how many pairs it rests on."""

    name: str
    fmr: Sequence[float]
    fnmr: Sequence[float]
    eer: float
    mated: int
    non_mated: int


def det_plot(curves: Sequence[Curve]) -> str:
    """Return DET curves on probit axes; the diagonal is where both errors are equal."""
    told = "; ".join(f"{each.name}: EER {each.eer:.2%}" for each in curves)
    parts = [
        opening(WIDTH, HEIGHT, "Detection error trade-off", f"FNMR over FMR, probit axes. {told}.")
    ]
    parts += list(_grid())
    for number, curve in enumerate(curves):
        style = _style(number)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _visible(curve))
        parts.append(f'<polyline points="{points}" fill="none" stroke-width="2" {style}/>')
        y = TOP + 16 + LEGEND_STEP * number
        parts.append(
            f'<line x1="{WIDTH - 330}" x2="{WIDTH - 290}" y1="{y}" y2="{y}" stroke-width="2" {style}/>'
        )
        label = (
            f"{curve.name}  EER {curve.eer:.2%}  ({curve.mated} mated, {curve.non_mated} non-mated)"
        )
        parts.append(f'<text x="{WIDTH - 284}" y="{y + 4}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _style(number: int) -> str:
    dash = DASHES[number % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{COLOURS[number % len(COLOURS)]}"{dashed}'


def _x(share: float) -> float:
    return LEFT + _along(share) * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - _along(share) * (HEIGHT - TOP - BOTTOM)


def _along(share: float) -> float:
    low, high = _probit(LEAST), _probit(MOST)
    return (_probit(min(max(share, LEAST), MOST)) - low) / (high - low)


def _visible(curve: Curve) -> Iterable[tuple[float, float]]:
    """Return the curve's corners as a staircase: between two levels nothing was seen."""
    before = None
    for fmr, fnmr in zip(curve.fmr, curve.fnmr, strict=True):
        here = _x(fmr), _y(fnmr)
        if before is not None:
            yield here[0], before[1]
        yield here
        before = here


def _grid() -> Iterable[str]:
    x0, x1, y0, y1 = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    yield f'<rect x="{x0}" y="{y1}" width="{x1 - x0}" height="{y0 - y1}" fill="none" stroke="#444"/>'
    for tick in TICKS:
        x, y, label = _x(tick), _y(tick), f"{tick * 100:g} %"
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y0}" y2="{y1}" stroke="#ddd"/>'
        yield f'<line x1="{x0}" x2="{x1}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{y0 + 18}" text-anchor="middle">{label}</text>'
        yield f'<text x="{x0 - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    yield (
        f'<line x1="{_x(LEAST):.1f}" y1="{_y(LEAST):.1f}" x2="{_x(MOST):.1f}" y2="{_y(MOST):.1f}"'
        ' stroke="#999" stroke-dasharray="1 4"/>'
    )
    yield f'<text x="{LEFT}" y="28" font-size="16">Detection error trade-off</text>'
    yield f'<text x="{(x0 + x1) / 2}" y="{HEIGHT - 20}" text-anchor="middle">false match rate</text>'
    middle = (y0 + y1) / 2
    yield (
        f'<text x="20" y="{middle}" text-anchor="middle" transform="rotate(-90 20 {middle})">'
        "false non-match rate</text>"
    )
