"""One self-contained page out of the figures: no script, no network, readable on paper and by a screen reader."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.auditor.questions.quota import ALL
from gateway.auditor.report import charts
from gateway.auditor.report.charts import Series
from gateway.auditor.report.figures import Figures, buckets
from gateway.auditor.report.text import Words
from gateway.auditor.report.timeline import LANES
from gateway.auditor.result_table import iso
from gateway.law.correction_text import french
from gateway.ledger.verify import Report, Severity

TEMPLATES: Final = Path(__file__).parent.parent / "templates"
NOTICES: Final = 20  # findings of the verification that are on the page


@dataclass(frozen=True, slots=True)
class About:
    """What the page is about, for its head.

    known   whether the keys that the ledger was verified with came from elsewhere than the ledger
    """

    party: str
    origin: str
    entries: int
    made: datetime
    software: str
    bundle: bool
    fingerprint: str
    known: bool = False


@cache
def environment() -> Environment:
    """Return the templates: every value is escaped, and a name that nobody gave is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def style() -> str:
    """Return the style sheet that report and console share."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Return the Content-Security-Policy of a page: this style sheet, and nothing else from anywhere."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def render(found: Figures, verified: Report, about: About, language: str) -> str:
    """Return the report as HTML."""
    words = Words(language)
    period = found.period
    last = (period.until or 0) - 1
    faults = sum(each.severity is Severity.FAULT for each in verified.findings) + verified.omitted
    return (
        environment()
        .get_template("report.html")
        .render(
            t=words,
            n=words.number,
            cited=partial(cited, words),
            figures=found,
            about=about,
            verified=verified,
            faults=max(faults, int(not verified.ok)),
            notices=[str(each) for each in verified.findings[:NOTICES]],
            first=str(iso(period.since))[:10],
            last=str(iso(last))[:10],
            made=f"{about.made.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            style=Markup(style()),  # noqa: S704 - a file of ours, nobody's input
            policy=policy(),
            charts=pictures(found, words),
            iso=iso,
        )
    )


def pictures(found: Figures, words: Words) -> dict[str, Markup]:
    """Return the charts of the figures, by name; a chart that would be empty is left out."""
    labels = [_label(name) for name in buckets(found.period)]
    made: dict[str, str] = {}
    over_time = [
        Series(words(name), part.counts)
        for name, part in (("received", found.received), ("sent", found.sent))
        if not part.withheld and any(each != 0 for each in part.counts)
    ]
    if over_time:
        made["volumes"] = charts.columns(words("volumes.say"), labels, over_time, words.number)
    shown = [(words(f"became.{name}"), count) for name, count in found.became.shown() if count != 0]
    if shown:
        made["became"] = _rows(words("became.say"), shown, words)
    for name, part in (("refused", found.refused), ("masked", found.masked)):
        if part.shown():
            made[name] = _rows(words(name), part.shown(), words)
    if found.quota:
        named = {ALL: words("quota.all")}
        use = [
            (
                f"{words.partner(each.partner)} · {named.get(each.purpose) or words.purpose(each.purpose)}",
                each.busiest,
            )
            for each in found.quota
        ]
        made["quota"] = charts.rows(
            words("quota.say"),
            [name for name, _ in use],
            [value for _, value in use],
            lambda value: f"{words.number(value)}\u00a0%",
            whole=100,
        )
    if any(each.half is not None for each in found.pace):
        half = Series(words("pace.half"), tuple(_seconds(each.half) for each in found.pace))
        most = Series(words("pace.most"), tuple(_seconds(each.most) for each in found.pace))
        made["pace"] = charts.lines(words("pace.say"), labels, [half, most], words.number)
    if found.events:
        made["events"] = _events(found, words)
    return {name: Markup(svg) for name, svg in made.items()}  # noqa: S704 - `charts` escapes what it is given


def _rows(title: str, shown: Sequence[tuple[str, int | None]], words: Words) -> str:
    names = [
        words("sealed").split(":")[0].strip() if name == "sealed" else words.cited(name)
        for name, _ in shown
    ]
    return charts.rows(title, names, [value for _, value in shown], words.number)


def cited(words: Words, text: str) -> Markup:
    """Return text for the page, with citations as the language writes them: the letter of a paragraph in italics."""
    safe = str(escape(text))
    if words.language == "en":
        return Markup(safe)  # noqa: S704 - escaped above
    return Markup(french(safe, lambda letter: f"<i>{letter}</i>"))  # noqa: S704 - escaped above, letters are ours


def _events(found: Figures, words: Words) -> str:
    begin, end = found.period.since, found.period.until or found.period.since + 1
    marks = [
        (LANES.index(each.lane), (each.time_ms - begin) / (end - begin)) for each in found.events
    ]
    ends = str(iso(begin))[:10], str(iso(end - 1))[:10]
    return charts.lanes(words("events.say"), [words(f"lane.{name}") for name in LANES], marks, ends)


def _label(bucket: str) -> str:
    return bucket[5:] if len(bucket) == len("2026-01-01") else bucket


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
