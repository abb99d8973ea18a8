"""The report: what it counts, what it withholds, and that both languages say the same."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.auditor.index import Index
from gateway.auditor.report import charts
from gateway.auditor.report.figures import bucket_of, buckets, figures
from gateway.auditor.report.page import TEMPLATES, About, cited, pictures, render
from gateway.auditor.report.text import LANGUAGES, WORDS, Words, placeholders
from gateway.auditor.report.timeline import KINDS
from gateway.auditor.result_table import DAY_MS, Period
from gateway.auditor.small_cells import LEAST, cells, withheld
from gateway.cli.main import app
from gateway.domain.messages import Purpose
from gateway.law.quota_policy import Quota, Quotas
from gateway.ledger.verify import Report
from keys.lifecycle import KeyKind, KeyState

YEAR = Period(1_767_225_600_000, 1_798_761_600_000)  # 2026
ABOUT = About(
    "CAN", "can.example/log", 5, datetime(2027, 1, 2, tzinfo=UTC), "passerelle", True, "F-1"
)
COLUMNS = (
    *("idx", "partner", "direction", "operation", "asked_ms", "closing", "closed_ms", "purpose"),
    *("reason", "why", "true_outcome", "disclosed_outcome", "destroyed_ms"),
)


TWENTY: Any = {(None, None, 1): Quotas(Quota(20, 10_000))}  # of rows that name no agreement


def asked(index: Index, count: int, **other: object) -> None:
    """Put so many questions into an index, an hour apart from each month's beginning."""
    first = index.rows("SELECT count(*) FROM exchanges")[0][0]
    with index._writing():
        for number in range(count):
            at = YEAR.since + 3_600_000 * (number % 8000)
            row: dict[str, object] = {
                "idx": first + number,
                "partner": "AUS",
                "direction": 1,
                "operation": "SUBMIT_QUERY",
                "asked_ms": at,
                "closing": "ANSWERED",
                "closed_ms": at + 2000,
                "purpose": "VISA_PERMIT_BENEFIT",
                "reason": None,
                "why": None,
                "true_outcome": "NO_MATCH",
                "disclosed_outcome": "NO_MATCH",
                "destroyed_ms": at + 1000,
                **other,
            }
            marks = ", ".join("?" * len(COLUMNS))
            index._connection.execute(
                f"INSERT INTO exchanges ({', '.join(COLUMNS)}) VALUES ({marks})",  # noqa: S608 - names of our own
                tuple(row[name] for name in COLUMNS),
            )


@pytest.fixture
def index() -> Iterator[Index]:
    with Index.passing() as made:
        yield made


def page(index: Index, language: str = "en", *, whole: bool = True) -> str:
    found = figures(index, YEAR, TWENTY, lambda _: "")
    report = Report((), 5, bytes(32), 1, last=object() if whole else None)  # type: ignore[arg-type]
    return render(found, report, ABOUT, language)


def possible(shown: list[int | None], total: int) -> list[set[int]]:
    """Return what each withheld count may be for whoever knows the others and the total; brute force."""
    hidden = [at for at, count in enumerate(shown) if count is None]
    rest = total - sum(count for count in shown if count is not None)
    found: list[set[int]] = [set() for _ in hidden]
    for guess in itertools.product(range(1, rest + 1), repeat=max(0, len(hidden) - 1)):
        last = rest - sum(guess)
        if last >= 1:
            for place, value in zip(found, (*guess, last), strict=True):
                place.add(value)
    return found


@given(st.lists(st.integers(0, 40), min_size=1, max_size=3))
def test_no_subtraction_brings_a_small_count_back(counts: list[int]) -> None:
    part = cells([(str(at), count) for at, count in enumerate(counts)])

    if part.withheld:
        assert any(0 < count < LEAST for count in counts)
        return
    shown = [count for _, count in part.shown()]
    assert all(count is None or count == 0 or count >= LEAST for count in shown)
    assert [c for c in shown if c is not None] == [
        counts[at] for at, c in enumerate(shown) if c is not None
    ]
    for values in possible(shown, sum(counts)):
        assert max(values) >= 2 * LEAST
        assert min(values) < LEAST


def test_a_single_small_count_takes_another_with_it() -> None:
    assert withheld([3, 500, 60]) == {0, 2}


def test_where_nobody_is_counted_nothing_is_withheld() -> None:
    part = cells([("a", 0), ("b", 12)])

    assert part.shown() == [("a", 0), ("b", 12)]
    assert part.total == 12


def test_a_table_of_small_counts_alone_is_withheld_whole() -> None:
    part = cells([("a", 4), ("b", 3)])

    assert part.withheld
    assert part.total is None
    assert part.of("a") is None


def test_both_languages_say_everything_and_fill_in_the_same_names() -> None:
    for key, said in WORDS.items():
        assert len(said) == len(LANGUAGES), key
        assert all(said), key
        assert placeholders(said[0]) == placeholders(said[1]), key


def test_every_word_that_the_page_asks_for_is_in_the_catalogue() -> None:
    asked_for = re.findall(r'\bt\("([a-z._]+)"', (TEMPLATES / "report.html").read_text())

    assert len(asked_for) > 50
    assert set(asked_for) - WORDS.keys() <= {"became."}


def test_numbers_are_spelt_as_the_language_spells_them() -> None:
    assert Words("en").number(12345.5) == "12,345.5"
    assert Words("fr").number(12345.5) == "12\u202f345,5"


def test_what_became_of_questions_adds_up_and_is_told_once(index: Index) -> None:
    asked(index, 400)
    asked(index, 50, true_outcome="MATCH", disclosed_outcome="MATCH")
    asked(index, 30, true_outcome="MATCH", why="au@1:answer.reveal.CITIZEN")
    asked(index, 40, closing="REFUSED", reason="PURPOSE_NOT_PERMITTED", destroyed_ms=None)

    found = figures(index, YEAR, {}, lambda rule: "IRPR 315.36" if rule else "")

    assert (found.received.total, found.became.total) == (520, 520)
    assert dict(found.became.shown()) | {"open": 0} == {
        **dict.fromkeys(("pending", "unusable", "answered", "abandoned", "open"), 0),
        "match": 50,
        "masked": 30,
        "no_match": 400,
        "refused": 40,
    }
    assert dict(found.refused.shown()) == {"PURPOSE_NOT_PERMITTED": 40}
    assert dict(found.masked.shown()) == {"IRPR 315.36": 30}
    assert (found.destruction.done, found.destruction.failed) == (480, 0)


def test_three_refusals_are_not_found_by_subtracting_any_table_from_another(index: Index) -> None:
    asked(index, 400)
    asked(index, 50, true_outcome="MATCH", disclosed_outcome="MATCH")
    asked(index, 3, closing="REFUSED", reason="PURPOSE_NOT_PERMITTED", destroyed_ms=None)

    found = figures(index, YEAR, {}, lambda _: "")

    assert found.became.of("refused") is None
    assert found.became.of("match") is None
    assert found.refused.withheld
    assert found.destruction.done is None  # 453 less 450 destroyed would have said it


def test_a_destruction_that_is_missing_is_counted_exactly(index: Index) -> None:
    asked(index, 40)
    asked(index, 2, destroyed_ms=None)
    asked(index, 1, destroyed_ms=YEAR.since + 60_000)

    found = figures(index, YEAR, {}, lambda _: "")

    assert found.destruction.failed == 3
    assert ("finding.destruction", 3) in found.findings
    assert "IRPR 315.43(2)" in page(index)


def test_a_day_over_its_quota_is_a_finding(index: Index) -> None:
    asked(index, 300)  # 24 a day, 20 are agreed
    found = figures(index, YEAR, TWENTY, lambda _: "")

    (use,) = found.quota
    assert (use.busiest, use.over, use.agreed) == (120, 12, 20)
    assert ("finding.quota", 12) in found.findings


def test_bars_are_days_in_a_month_and_months_in_a_year() -> None:
    assert len(buckets(YEAR)) == 12
    assert buckets(Period(YEAR.since, YEAR.since + 2 * DAY_MS)) == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_stands_alone_and_asks_nobody(index: Index, language: str) -> None:
    asked(index, 400)
    html = page(index, language)

    assert f'<html lang="{language}">' in html
    assert "<script" not in html
    assert not re.search(r'\b(?:src|href)\s*=\s*"(?!#)', html)
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"\son[a-z]+=|\sstyle=", html)
    assert "default-src 'none'" in unescape(html)


class Outline(HTMLParser):
    """What a screen reader meets: headings, landmarks, tables, pictures, identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))


def test_the_page_reads_aloud(index: Index) -> None:
    """WCAG 2.2: 1.1.1, 1.3.1, 2.4.1, 2.4.6, 3.1.1, as far as the text of a page shows."""
    asked(index, 400)
    outline = Outline()
    outline.feed(page(index))

    named = [tag for tag, _ in outline.tags]
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(outline.headings))
    assert named.count("main") == 1
    assert named.count("table") == named.count("caption")
    assert all(has.get("scope") for tag, has in outline.tags if tag == "th")
    assert all(has.get("aria-label") for tag, has in outline.tags if tag == "svg")
    named_ids = [has["id"] for _, has in outline.tags if "id" in has]
    assert len(named_ids) == len(set(named_ids))
    links = [str(has["href"])[1:] for tag, has in outline.tags if tag == "a"]
    assert set(links) <= set(named_ids)


def test_what_a_partner_wrote_is_text_on_the_page(index: Index) -> None:
    asked(index, 40, partner="<b>AUS", closing="REFUSED", reason='"><script>alert(1)</script>')
    html = page(index)

    assert "<script>" not in html
    assert "<b>AUS" not in html
    assert "&lt;b&gt;AUS" in html


def test_a_ledger_that_is_not_whole_is_said_first(index: Index) -> None:
    html = page(index, whole=False)

    assert 'class="verdict broken"' in html
    assert "believe no figure below" in html


def test_a_withheld_number_is_drawn_like_any_other(index: Index) -> None:
    asked(index, 400)
    asked(index, 3, closing="REFUSED", reason="R", destroyed_ms=None)
    asked(index, 15, true_outcome="MATCH", disclosed_outcome="MATCH")
    found = figures(index, YEAR, {}, lambda _: "")

    drawn = pictures(found, Words("en"))["became"]

    stubs = re.findall(r'<rect [^>]*stroke-dasharray="3 2"/>', drawn)
    assert len(stubs) >= 2
    assert len({re.search(r'width="([0-9.]+)"', stub).group(1) for stub in stubs}) == 1  # type: ignore[union-attr]


def test_an_auditor_makes_the_report_of_a_bundle(archive: Any, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    words = ["audit", "report", "--bundle", archive.bundle, "--from", "2026-01-01", "--to", today]
    result = CliRunner().invoke(
        app,
        [*map(str, words), "--lang", "fr", "-o", str(out), *archive.as_auditor, "--json"],
        prog_name="passerelle",
    )

    told = json.loads(result.stdout)
    assert told["whole"], told
    assert not told["sealed"]
    html = out.read_text(encoding="utf-8")
    assert "Le registre est-il intact" in html
    assert archive.matched not in html


def test_an_auditor_makes_the_report_of_a_gateway(archive: Any, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    period = ["--from", today, "--to", today, "--reason", "a test", "-o", str(out)]
    officer = ["--as", str(archive.root / "a1")]
    key = ["--passphrase-file", str(archive.root / "gateway.pass"), *archive.as_auditor]
    result = CliRunner().invoke(
        app,
        ["audit", "report", str(archive.home), *period, *officer, *key, "--json"],
        prog_name="passerelle",
    )

    told = json.loads(result.stdout)
    assert told["whole"], told
    assert "the gateway&#39;s own records" in out.read_text(encoding="utf-8")


def test_another_language_is_refused_by_name(archive: Any, tmp_path: Path) -> None:
    words = ["audit", "report", "--bundle", str(archive.bundle), "--from", "2026-01-01"]
    more = ["--to", "2026-12-31", "--lang", "de", "-o", str(tmp_path / "r.html"), "--json"]
    result = CliRunner().invoke(app, [*words, *more], prog_name="passerelle")

    assert result.exit_code == 2
    assert "en, fr" in json.loads(result.stdout)["error"]["message"]


def test_a_single_day_is_counted_by_the_hour(index: Index) -> None:
    day = Period(YEAR.since, YEAR.since + DAY_MS)
    asked(index, 40)

    found = figures(index, day, {}, str)

    assert found.received.names == tuple(f"{hour:02}:00" for hour in range(24))
    assert found.received.total == 24  # `asked` puts one an hour
    assert [bucket_of(YEAR.since + hour * 3_600_000 + 5, day) for hour in (0, 13, 23)] == [
        "00:00",
        "13:00",
        "23:00",
    ]
    assert [each.bucket for each in found.pace] == list(found.received.names)
    assert buckets(Period(YEAR.since, YEAR.since + 2 * DAY_MS)) == ["2026-01-01", "2026-01-02"]


def test_a_quota_is_drawn_against_its_whole_limit_and_no_name_is_cut() -> None:
    name = "Australia (AUS) · refugee claim by a permanent resident of Canada"

    drawn = charts.rows("use", [name], [25], lambda value: f"{value:g} %", whole=100)

    width = charts.WIDTH - 246 - 90
    assert f'width="{width:.1f}"' in drawn  # the outline of what was agreed
    assert f'width="{width / 4:.1f}"' in drawn
    lines = re.findall(r'text-anchor="end">([^<]*)<', drawn)
    assert " ".join(lines) == name
    assert "…" not in drawn


def test_french_is_written_as_officials_in_canada_write_it() -> None:
    """No space before ; ? and !, one that does not break before a colon and %, and 315.41(1)b)."""
    french = Words("fr")
    said = [french(key) for key in WORDS]

    assert not [text for text in said if re.search(r"[\s\u00a0\u202f][;?!]", text)]
    assert not [text for text in said if re.search(r"(?<=\w) [:%]", text)]
    assert french.cited("IRPR 315.41(1)(b)") == "RIPR 315.41(1)b)"
    assert french.cited("IRPR 315.25(1)(c)(i)") == "RIPR 315.25(1)c)(i)"
    assert french.cited("IRPR 315.43(2)") == "RIPR 315.43(2)"
    assert cited(french, "IRPR 315.41(1)(b) <x>") == "RIPR 315.41(1)<i>b</i>) &lt;x&gt;"
    assert Words("en").cited("IRPR 315.41(1)(b)") == "IRPR 315.41(1)(b)"


def test_every_purpose_and_event_has_its_word_in_both_languages() -> None:
    for words in map(Words, LANGUAGES):
        for code in Purpose.__members__:
            if Purpose[code]:
                assert words.purpose(code) != code
        for name in (*KINDS, *KeyKind, *KeyState):
            assert words.event(name.name) != name.name
    assert Words("fr").event("KEY KEM ACTIVE") == "clé de chiffrement en service"
    assert Words("fr").event("ALARM RAISE/TILES") == "alerte déclenchée TILES"
    assert Words("fr").partner("AUS") == "Australie (AUS)"
    assert Words("fr").partner("XYZ") == "XYZ"
