"""Pictures are well-formed, say in words what they show, and take names as they come."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from gateway.exercises.evaluation.det_plot import Curve, det_plot
from gateway.exercises.evaluation.explain import explained
from gateway.svg import Mark, overlay
from matcher.finger import synthetic

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own picture


def curves(number: int) -> list[Curve]:
    return [
        Curve(f"run {at} <&>", [1, 0.1, 0.01, 0], [0, 0.02, 0.1 / (at + 1), 1], 0.03, 280, 2880)
        for at in range(number)
    ]


def test_a_det_plot_has_a_line_and_a_legend_for_each_run() -> None:
    root = parsed(det_plot(curves(3)))

    lines = root.findall(f"{SVG}polyline")
    assert len(lines) == 3
    assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 3
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert sum("EER 3.00%" in text for text in texts) == 3
    assert {"false match rate", "false non-match rate"} <= set(texts)


def test_a_det_plot_speaks_to_those_who_cannot_see_it() -> None:
    root = parsed(det_plot(curves(1)))

    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "Detection error trade-off"
    assert "run 0 <&>: EER 3.00%" in (root.findtext(f"{SVG}desc") or "")


def test_the_axes_are_probit() -> None:
    """On them two normal distributions make a straight line, and 1 % is as far from 50 % as 99 %."""
    root = parsed(det_plot([Curve("a", [0.16, 0.0228], [0.0228, 0.16], 0.05, 1, 1)]))

    line = root.find(f"{SVG}polyline")
    assert line is not None
    (x0, y0), _, (x1, y1) = (map(float, pair.split(",")) for pair in line.get("points", "").split())
    assert (x0 - x1) / (760 - 80 - 24) == pytest.approx((y0 - y1) / (640 - 64 - 64), abs=1e-3)


def test_zero_is_drawn_at_the_edge_and_not_at_infinity() -> None:
    picture = det_plot([Curve("a", [1, 0], [0, 1], 0, 1, 1)])

    assert "inf" not in picture
    assert "nan" not in picture


def test_an_overlay_joins_what_agrees() -> None:
    marks = [Mark(10, 20, 0.0, paired=True), Mark(90, 80, math.pi / 2, paired=False)]

    root = parsed(overlay(marks, marks[:1], [(0, 0)], ("a & b", "ratio 3")))

    assert len(list(root.iter(f"{SVG}circle"))) == 1
    assert "1 agree" in (root.findtext(f"{SVG}desc") or "")
    assert root.findtext(f"{SVG}title") == "a & b"
    assert overlay([], [], [], ("a", "b"))


def test_an_explanation_names_minutiae_of_the_records() -> None:
    person = synthetic.person(4)
    one, other = (synthetic.impression(person, 1, seed) for seed in (1, 2))

    found = explained(one, other, ("a", "b"))

    document = found.document
    assert document["agreeing"] == len(document["pairs"]) > 10
    assert document["log10_likelihood_ratio"] > 3
    for pair in document["pairs"]:
        row = pair["probe"]["row"]
        assert pair["probe"]["x"] == pytest.approx(float(one.xy[row, 0]), abs=0.01)
        assert pair["apart_pixels"] < 30
    stages = document["stages"]
    assert set(stages["features"]) == set(stages["contributions_log10"])
    assert f"{document['agreeing']} agree" in found.picture
    parsed(found.picture)
