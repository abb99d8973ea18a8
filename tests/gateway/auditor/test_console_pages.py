"""The auditors' console: who gets in, what is recorded, what the pages say, and that nothing can be changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.auditor.console.app import ConsoleContext, application
from gateway.auditor.console.server import policy
from gateway.auditor.console.session import IDLE, LINK, SessionGate
from gateway.cli.audit import console, session
from gateway.cli.audit.session import Asked
from gateway.cli.main import app as passerelle
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, Leaf
from tests.gateway.auditor.visitor import HOST, PORT, Visitor
from tests.gateway.auditor.year import indexed, query


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def console_context(
    archive: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsoleContext]:
    """A console's context over the archive's bundle, with the auditor's key."""
    bundle = tmp_path_factory.mktemp("console") / "whole.bundle"
    bundle.write_bytes(archive.bundle.read_bytes())
    asked = Asked(
        bundle=bundle,
        reason="a test",
        key=archive.home / "auditor",
        key_passphrase_file=archive.root / "auditor.pass",
    )
    with ExitStack() as closing:
        room = closing.enter_context(session.room(asked, "console: opened"))
        yield console.context_of(asked, room)


@pytest.fixture
def seen(console_context: ConsoleContext, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    views: list[str] = []
    monkeypatch.setattr(console_context, "record", views.append)
    return views


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def visitor(console_context: ConsoleContext, seen: list[str], clock: Clock) -> Visitor:
    return Visitor(SessionGate(application(console_context), PORT, policy(), clock))


@pytest.fixture
def inside(visitor: Visitor) -> Visitor:
    assert visitor.enter().status == 303
    return visitor


def test_without_the_link_nothing_is_shown(visitor: Visitor, seen: list[str]) -> None:
    for address in ("/", "/search", "/entry/0", "/report", "/enter/guess", "/enter/"):
        assert visitor.ask(address).status == 403
    assert seen == []


def test_our_own_question_is_told_as_fully_as_theirs(
    console_context: ConsoleContext, clock: Clock
) -> None:
    """Answered, and stopped by our own law: who of ours, which case, what came back, by which paragraph."""
    asked = query(1, 1, outbound=True, outcome_received="MATCH")
    frame = replace(asked[0].frame, agreement_id="au", agreement_version=1)
    facts = {**(asked[0].detail or {}), "actor": "P-7"}
    stopped = replace(
        frame,
        message_id=b"",
        entry_class=EntryClass.DENIED,
        transaction_number="20260101-00000002",
    )
    why = {**facts, "reason": "PERSECUTION_EXCLUSION", "persecutors": "AUS"}
    with indexed([Leaf(frame, facts), asked[1], Leaf(stopped, why)]) as index:
        own = replace(console_context, index=index, record=lambda _: None)
        inside = Visitor(SessionGate(application(own), PORT, policy(), clock))
        inside.enter()
        answered, denied = (inside.ask(f"/exchange/20260101-0000000{n}").text for n in (1, 2))

    for word in (
        "we asked",
        "P-7",
        "U-3",
        "C-1",
        "VISA_PERMIT_BENEFIT",
        "answered by AUS",
        "MATCH",
    ):
        assert word in answered, word
    for word in ("nothing was sent", "P-7", "PERSECUTION_EXCLUSION", "IRPR 315.4(2)"):
        assert word in denied, word


def test_the_link_works_once(visitor: Visitor) -> None:
    first, second = visitor.enter(), Visitor(visitor.gate).enter()

    assert (first.status, second.status) == (303, 403)
    assert visitor.ask("/").status == 200


def test_the_cookie_is_for_a_path_that_nobody_guesses(visitor: Visitor, seen: list[str]) -> None:
    """Cookies know no ports: another server of this machine would be sent it for its own pages."""
    entered = visitor.enter()

    assert re.fullmatch(r"/[\w-]{22}/", entered.headers["location"])
    assert f"Path={entered.headers['location']};" in entered.headers["set-cookie"]
    for visitor.at in ("", "/guessed"):
        assert [visitor.ask(each).status for each in ("/", "/search")] == [403, 403]
        assert visitor.ask("/leave", "POST").status == 403
    assert (seen, visitor.gate.left) == ([], False)


def test_the_link_ends_where_nobody_comes(visitor: Visitor, clock: Clock) -> None:
    clock.now += LINK + 1

    assert visitor.enter().status == 410
    assert visitor.gate.ended


def test_the_cookie_is_for_this_site_and_no_script(visitor: Visitor) -> None:
    said = visitor.enter().headers["set-cookie"].lower()

    assert "httponly" in said
    assert "samesite=strict" in said


def test_rebinding_a_name_to_this_machine_is_refused(inside: Visitor) -> None:
    """DNS rebinding: the browser sends the attacker's name as Host, with whatever cookies it has."""
    for host in ("evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", ""):
        inside.host = host
        assert inside.ask("/").status == 421


def test_another_site_cannot_ask(inside: Visitor, seen: list[str]) -> None:
    for strange in (
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ):
        assert inside.ask("/", **strange).status == 403
        assert inside.ask("/leave", "POST", **strange).status == 403
    assert not inside.gate.left
    assert seen == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(inside: Visitor, method: str) -> None:
    for address in ("/", "/search", "/entry/0"):
        assert inside.ask(address, method).status == 405


def test_whoever_leaves_ends_it(inside: Visitor) -> None:
    assert inside.ask("/leave", "POST", origin=f"http://{HOST}").status == 200
    assert inside.gate.ended
    assert inside.ask("/").status == 410


def test_it_ends_where_nobody_looks(inside: Visitor, clock: Clock) -> None:
    clock.now += 60 * IDLE - 1
    assert inside.ask("/").status == 200
    clock.now += 60 * IDLE - 1
    assert inside.ask("/").status == 200
    clock.now += 60 * IDLE + 1
    assert inside.gate.ended
    assert inside.ask("/").status == 410


def test_no_page_may_be_kept_framed_or_run_a_script(inside: Visitor, archive: Any) -> None:
    for address in ("/", "/search", "/timeline", "/entry/0", "/report", "/nothing"):
        answer = inside.ask(address)
        said = answer.headers
        assert said["content-security-policy"] == policy()
        assert "script-src" not in policy()
        assert said["cache-control"] == "no-store"
        assert said["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in said
        assert "<script" not in answer.text
        assert not re.search(r"\s(?:on[a-z]+|style)=\"", answer.text)


def test_each_view_is_recorded_before_it_is_made(
    inside: Visitor, console_context: ConsoleContext, seen: list[str], archive: Any
) -> None:
    addresses = {
        "/": "console: overview",
        "/search?q=C-1": "console: search q=C-1",
        "/timeline?kind=START": "console: timeline kind=START",
        f"/exchange/{archive.matched}": f"console: exchange {archive.matched}",
        "/entry/3": "console: entry 3",
        "/entry/3/proof": "console: proof 3",
        "/entry/3/proof.tlog-proof": "console: proof 3, saved",
        "/report": "console: report form",
    }
    for address in addresses:
        assert inside.ask(address).status == 200, address

    assert seen == list(addresses.values())


def test_a_long_address_does_not_hide_what_was_looked_at(inside: Visitor, seen: list[str]) -> None:
    """A gateway keeps 200 characters of a view."""
    assert inside.ask(f"/search?padding={'x' * 300}&q=C-1").status == 200
    assert inside.ask(f"/timeline?q={'x' * 300}&kind=START").status == 200
    assert seen == ["console: search q=C-1", "console: timeline kind=START"]

    fullest = f"q={'C' * 64}&partner=AUS&closing=REFUSED&since=2026-01-01&until=2026-12-31&before={'9' * 12}"
    assert inside.ask(f"/search?{fullest}").status == 200
    assert seen[-1] == f"console: search {fullest.replace('&', ' ')}"
    assert len(seen[-1]) <= console.LONGEST - 29 - 2  # a partner's name has up to 32 characters


def test_an_address_that_says_nothing_is_answered_in_words(
    inside: Visitor, seen: list[str]
) -> None:
    for place in ("x", "-1", "9" * 30, f"{'9' * 5000}/proof"):
        assert inside.ask(f"/entry/{place}").status == 400
    for asked in (f"q={'C' * 65}", "partner=nobody", "before=1e3", f"before={'9' * 13}"):
        answer = inside.ask(f"/search?{asked}")
        assert answer.status == 400
        assert "Not shown" in answer.text
    assert seen == []


def test_what_cannot_be_recorded_is_not_shown(
    inside: Visitor, console_context: ConsoleContext, monkeypatch: pytest.MonkeyPatch, archive: Any
) -> None:
    def refuse(_: str) -> None:
        raise UserError("the gateway is shut")

    monkeypatch.setattr(console_context, "record", refuse)
    answer = inside.ask(f"/exchange/{archive.matched}")

    assert answer.status == 503
    assert "the gateway is shut" in answer.text
    assert "VISA_PERMIT" not in answer.text

    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(console_context, "record", full)
    assert inside.ask("/entry/3").status == 503


def test_the_history_of_an_exchange_leads_to_its_proofs(inside: Visitor, archive: Any) -> None:
    answer = inside.ask(f"/exchange/{archive.matched}?partner=AUS")

    assert answer.status == 200
    assert "Who asked" in answer.text
    proofs = re.findall(r'href="/[\w-]{22}(/entry/\d+/proof)"', answer.text)
    assert proofs
    proved = inside.ask(proofs[0])
    assert "The entry stands in the ledger" in proved.text
    saved = inside.ask(f"{proofs[0]}.tlog-proof")
    assert saved.text.startswith("c2sp.org/tlog-proof@v1\n")
    assert saved.headers["content-disposition"].startswith("attachment")


def test_an_exchange_is_found_by_its_number(inside: Visitor, archive: Any) -> None:
    found = inside.ask(f"/search?q={archive.refused}")

    assert found.text.count(f"/exchange/{archive.refused}") == 1
    assert archive.matched not in found.text
    assert "refused" in found.text
    assert "Nothing fits" in inside.ask("/search?q=C-none").text


def test_the_timeline_is_kept_to_one_type(inside: Visitor) -> None:
    text = inside.ask("/timeline?kind=REQUEST").text

    kinds = re.findall(r"<td>[0-9: -]{19}</td><td>([A-Z_]+)</td>", text)
    assert set(kinds) == {"REQUEST"}


def test_the_report_is_made_in_both_languages(inside: Visitor) -> None:
    for language, words in (
        ("en", "Is the ledger verified?"),
        ("fr", "Le registre est-il intact?"),
    ):
        answer = inside.ask(f"/report?from=2026-01-01&to=2026-12-31&lang={language}")
        assert answer.status == 200
        assert words in answer.text
        assert 'class="verdict whole"' in answer.text


@pytest.mark.parametrize(
    "address",
    [
        *("/nothing", "/entry/999999", "/entry/-1", "/entry/x", "/exchange/none"),
        *(
            "/timeline?kind=X",
            "/timeline?before=x",
            "/search?since=2026-02-30",
            "/search?closing=x",
        ),
        *("/report?from=2026-03-01&to=2026-01-01", "/report?from=a&to=b", "/search?q=%00"),
        "/static/../../etc/passwd",
    ],
)
def test_what_is_asked_wrongly_is_said_plainly(inside: Visitor, address: str) -> None:
    answer = inside.ask(address)

    assert answer.status in {400, 404}
    assert "Traceback" not in answer.text


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"))
)
def test_no_word_that_is_asked_breaks_out_of_the_page(inside: Visitor, word: str) -> None:
    for address in (f"/exchange/{word}", f"/search?q={word}", f"/timeline?{word}", f"/{word}"):
        answer = inside.ask(address)
        assert answer.status in {200, 303, 307, 400, 403, 404}, address
        assert "<script" not in answer.text


def test_markup_in_a_word_stays_text(inside: Visitor) -> None:
    text = inside.ask('/search?q="><b>x</b>').text

    assert "<b>x</b>" not in text
    assert '"><b>x</b>' in unescape(text)


def test_an_auditor_lists_what_was_looked_at(console_context: ConsoleContext, archive: Any) -> None:
    console_context.record("console: entry 7")
    bundle = Path(console_context.source.archive._file.name)  # type: ignore[attr-defined]
    words = ["audit", "views", "--bundle", str(bundle), *archive.as_auditor, "--json"]

    result = CliRunner().invoke(passerelle, words, prog_name="passerelle")

    told = json.loads(result.stdout)
    assert told["ok"], told
    assert {"console: entry 7"} <= {each["what"] for each in told["views"]}


def test_a_console_without_a_reason_does_not_open(archive: Any) -> None:
    words = ["console", "--bundle", str(archive.bundle), *archive.as_auditor, "--json"]

    result = CliRunner().invoke(passerelle, words, prog_name="passerelle")

    assert result.exit_code == 2
    assert "--reason" in json.loads(result.stdout)["error"]["message"]


def test_a_view_of_a_live_gateway_is_an_entry_of_its_ledger(archive: Any) -> None:
    from gateway.ledger.entry import EntryType, decode, open_detail
    from tests.gateway import ledger_reading

    asked = Asked(
        where=archive.home,
        reason="complaint 14",
        key=archive.home / "auditor",
        key_passphrase_file=archive.root / "auditor.pass",
        officer=archive.root / "a1",
        passphrase_file=archive.root / "gateway.pass",
    )
    with session.room(asked, "console: opened") as room:
        console.context_of(asked, room).record("console: entry 7 é")

    with ledger_reading.read(archive.home) as stored:
        last = [
            each
            for each in stored.held(stored.size - 6, stored.size)
            if decode(each.leaf).type is EntryType.AUDIT_READ
        ][-1]
    assert last.ciphertext is not None
    assert last.sealed_dek is not None
    facts = open_detail(decode(last.leaf), last.ciphertext, last.sealed_dek, archive.ring)
    assert facts["source"] == "console: entry 7 ?"
    assert facts["reason"] == "complaint 14"


def test_each_page_leads_to_itself_in_the_other_language(inside: Visitor, archive: Any) -> None:
    for page in (
        "/",
        f"/search?q={archive.matched}",
        "/timeline?kind=REQUEST",
        f"/exchange/{archive.matched}?partner=AUS",
        "/entry/1",
        "/entry/1/proof",
        "/report",
        "/entry/999999",
        "/nowhere",
    ):
        english = inside.ask(page)
        other = re.search(r'href="/[\w-]{22}(/fr/[^"]*)" lang="fr"', english.text)
        assert other, page
        french = inside.ask(unescape(other[1]))
        back = re.search(r'href="/[\w-]{22}(/en/[^"]*)" lang="en"', french.text)

        assert back, page
        assert unescape(back[1]) == f"/en{page}"
        assert french.status == english.status
        assert '<html lang="fr">' in french.text
        assert "Vue d’ensemble" in french.text
        assert inside.ask(unescape(back[1])).text.count("Overview")


def test_links_of_a_french_page_lead_to_french_pages(inside: Visitor, archive: Any) -> None:
    text = inside.ask(f"/fr/exchange/{archive.matched}?partner=AUS").text
    links = re.findall(r'href="/[\w-]{22}(/[^"]*)"(?! lang)', text)

    assert "Qui a demandé" in text
    assert "RIPR 315.43(2)" in text
    assert len(links) > 5
    assert all(each.startswith("/fr/") for each in links)


def test_a_view_is_recorded_alike_in_both_languages(inside: Visitor, seen: list[str]) -> None:
    inside.ask("/search?q=abc")
    inside.ask("/fr/search?q=abc")

    assert seen == ["console: search q=abc"] * 2


def test_a_console_opens_in_the_language_that_was_asked_for(
    inside: Visitor, console_context: ConsoleContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_context, "language", "fr")

    assert "Chronologie" in inside.ask("/timeline").text
    assert "Timeline" in inside.ask("/en/timeline").text


def test_who_is_not_let_in_is_told_so_in_both_languages(visitor: Visitor) -> None:
    told = visitor.ask("/fr/").text

    assert "Open the link" in told
    assert "Ouvrez le lien" in told


def test_leaving_works_from_a_french_page(inside: Visitor) -> None:
    (action,) = re.findall(r'action="/[\w-]{22}(/[^"]*)"', inside.ask("/fr/").text)
    answer = inside.ask(action, "POST", origin=f"http://{HOST}")

    assert action == "/leave"
    assert "Fermez cette fenêtre" in answer.text
