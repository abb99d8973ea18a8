"""Console and report in a real browser: by keyboard alone, with nothing refused or fetched, and readable by everyone.

The browser is Debian's, of the system or put beside the environment by `sh deploy/chromium.sh .venv`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.auditor.browser import Browser, chromium
from tests.patience import PATIENCE

# What a page must be for people who cannot see it, or not well: WCAG 2.2, by clause. Returns what is wrong.
CHECKS = """(() => {
  const wrong = [], all = s => [...document.querySelectorAll(s)];
  if (!document.documentElement.lang) wrong.push('3.1.1 no language');
  if (!document.title) wrong.push('2.4.2 no title');
  if (all('main').length !== 1) wrong.push('1.3.1 not one main');
  const heads = all('h1,h2,h3,h4').map(h => +h.tagName[1]);
  if (heads[0] !== 1 || heads.filter(h => h === 1).length !== 1) wrong.push('1.3.1 not one h1, first');
  heads.forEach((h, i) => { if (i && h > heads[i - 1] + 1) wrong.push('1.3.1 heading skipped'); });
  all('input,select').forEach(f => { if (!f.labels.length) wrong.push('3.3.2 no label: ' + f.id); });
  all('a,button').forEach(a => {
    if (!(a.textContent.trim() || a.ariaLabel)) wrong.push('4.1.2 no name: ' + a.outerHTML); });
  all('svg').forEach(s => { if (!s.getAttribute('aria-label')) wrong.push('1.1.1 picture without a name'); });
  all('th').forEach(t => { if (!t.scope) wrong.push('1.3.1 head without scope'); });
  all('table').forEach(t => { if (!t.caption) wrong.push('1.3.1 table without caption'); });
  const ids = all('[id]').map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push('4.1.1 an id twice');
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(
    v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest('title,style')) continue;
    const style = getComputedStyle(e), ink = parse(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink.slice(0, 3)), light(behind(e).slice(0, 3))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) wrong.push('1.4.3 contrast: ' + walk.currentNode.data.trim()); }
  return wrong; })()"""
FOCUS = """(() => { const e = document.activeElement, s = getComputedStyle(e);
  return {name: (e.ariaLabel || e.textContent || e.id).trim(), tag: e.tagName, id: e.id,
          ring: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2}; })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium: neither of the system nor by `sh deploy/chromium.sh .venv`")
    with Browser(program, tmp_path_factory.mktemp("profile")) as made:
        yield made


@contextmanager
def console(archive: Any, folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A console over the archive's bundle, as a process of its own; its one-time link, and the process."""
    bundle = folder / "whole.bundle"
    bundle.write_bytes(archive.bundle.read_bytes())
    words = ["console", "--bundle", str(bundle), "--reason", "a test", *archive.as_auditor]
    process = subprocess.Popen(
        [sys.executable, "-c", "from gateway.cli.main import app; app()", *words, "--json"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["link"], process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="module")
def link(archive: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with console(archive, tmp_path_factory.mktemp("browser")) as (link, _):
        yield link


@pytest.fixture(scope="module")
def place(browser: Browser, link: str) -> str:
    """The console's address, entered."""
    browser.open(link)
    return str(browser.run("location.href")).removesuffix("/")


def tab_to(browser: Browser, name: str, most: int = 40) -> dict[str, Any]:
    """Press Tab until something of this name or id has the focus; each stop must show that it has it."""
    for _ in range(most):
        browser.press("Tab")
        at = browser.run(FOCUS)
        assert at["ring"], at
        if name in {at["name"], at["id"]}:
            return dict(at)
    raise AssertionError(f"{name} is not reached by Tab")


@pytest.mark.slow
def test_an_auditor_finds_an_exchange_and_its_proof_by_keyboard_alone(
    browser: Browser, place: str, archive: Any
) -> None:
    """WCAG 2.2: 2.1.1 keyboard, 2.4.1 bypass blocks, 2.4.3 focus order, 2.4.7 focus visible."""
    browser.open(f"{place}/")
    browser.press("Tab")
    assert browser.run(FOCUS)["name"] == "Skip to the page"
    tab_to(browser, "Search")
    browser.press("Enter")
    browser.loaded()

    tab_to(browser, "q")
    browser.type(archive.matched)
    browser.press("Enter")
    browser.loaded()
    tab_to(browser, archive.matched)
    browser.press("Enter")
    browser.loaded()
    assert archive.matched in browser.run("document.querySelector('h1').textContent")

    entry = browser.run("document.querySelector('tbody a').textContent")
    tab_to(browser, f"Proof of entry {entry}")
    browser.press("Enter")
    browser.loaded()
    assert "stands in the ledger" in browser.run("document.querySelector('.verdict').textContent")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["/", "/report"])
def test_whoever_leaves_by_keyboard_is_out_and_the_console_ends(
    browser: Browser, archive: Any, tmp_path: Path, page: str
) -> None:
    """The one form that changes anything: the browser must send with it where it comes from."""
    with console(archive, tmp_path) as (link, process):
        browser.open(link)
        browser.open(f"{str(browser.run('location.href')).removesuffix('/')}{page}")
        tab_to(browser, "Leave")
        browser.press("Enter")
        browser.loaded()

        assert "another site" not in browser.run("document.body.textContent")
        assert process.wait(PATIENCE) == 0


@pytest.mark.slow
@pytest.mark.parametrize("language", ["", "/fr"])
def test_every_page_is_readable_by_everyone_and_fits_a_narrow_screen(
    browser: Browser, place: str, archive: Any, language: str
) -> None:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    for page in (
        *("/", "/search", "/timeline", f"/exchange/{archive.matched}", "/entry/3"),
        *("/entry/3/proof", "/report", "/nothing", f"/report?from=2026-01-01&to={today}&lang=fr"),
    ):
        browser.open(place + language + page)
        assert browser.run(CHECKS) == [], page
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=320,
            height=640,
            deviceScaleFactor=1,
            mobile=False,
        )
        # WCAG 1.4.10 reflow: tables alone may be wider, in a box that scrolls.
        assert browser.run("document.documentElement.scrollWidth") <= 320, page
        browser.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.slow
def test_the_browser_refuses_nothing_of_ours_and_fetches_nothing_else(
    browser: Browser, place: str
) -> None:
    for page in ("/", "/search", "/timeline", "/entry/3/proof", "/report"):
        browser.open(place + page)
        browser.run("1")
        asked = [
            each["params"]["request"]["url"]
            for each in browser.said
            if each.get("method") == "Network.requestWillBeSent"
            and not each["params"]["request"]["url"].startswith("data:")  # its own icons
        ]
        assert browser.complaints() == [], page
        assert asked == [place + page]
        assert (
            browser.run("document.querySelector('main').offsetWidth") > 300
        )  # the style sheet holds


@pytest.mark.slow
def test_a_script_that_got_into_a_page_would_not_run(browser: Browser, place: str) -> None:
    browser.open(f"{place}/")
    browser.run(
        "{ const s = document.createElement('script'); s.textContent = 'window.got = 1';"
        " document.body.append(s); const i = document.createElement('img');"
        " i.src = 'http://127.0.0.1:9/x'; document.body.append(i); 0 }"
    )

    assert browser.run("window.got === undefined")
    assert "Content Security Policy" in json.dumps(browser.said)


@pytest.mark.slow
def test_the_report_reads_from_a_file_without_network(
    browser: Browser, archive: Any, tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from gateway.cli.main import app

    out = tmp_path / "report.html"
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    words = ["audit", "report", "--bundle", str(archive.bundle), "--from", "2026-01-01"]
    CliRunner().invoke(
        app, [*words, "--to", today, "-o", str(out), *archive.as_auditor], prog_name="passerelle"
    )

    browser.open(out.as_uri())

    assert browser.run(CHECKS) == []
    assert browser.complaints() == []
    assert browser.run("getComputedStyle(document.querySelector('.sheet')).maxWidth") == "960px"
