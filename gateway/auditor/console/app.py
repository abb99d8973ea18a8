"""The console's pages. Each is recorded before it is made; what cannot be recorded is not shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from gateway import calendar_bounds
from gateway.auditor.console import views
from gateway.auditor.console.session import IDLE
from gateway.auditor.console.views import PAGE, Wanted
from gateway.auditor.index import Index
from gateway.auditor.report import charts
from gateway.auditor.report.charts import Series
from gateway.auditor.report.figures import LONGEST, Figures
from gateway.auditor.report.page import About, environment, pictures, render, style
from gateway.auditor.report.text import Words
from gateway.auditor.result_table import DAY_MS, Period, iso
from gateway.auditor.source import Source
from gateway.domain.messages import Receipt
from gateway.errors import PasserelleError
from gateway.language import LANGUAGES, Language, Message, say
from gateway.ledger.entry import EntryType, Frame
from gateway.ledger.exchange_history import Cite, ExchangeHistory, build_history
from gateway.ledger.verify import Report
from keys.errors import KeysError

CLOSINGS: Final = {
    "ANSWERED": say("answered"),
    "REFUSED": say("refused"),
    "ABANDONED": say("abandoned"),
    "OPEN": say("open"),
}
NAMES: Final = {"en": "English", "fr": "Français"}  # of languages, each in its own
YEAR: Final = 365 * DAY_MS
_PERIOD: Final = ("since", "until")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORD = re.compile(r"[^\x00-\x1f\x7f]{0,64}")  # no number, case or receipt is longer


@dataclass
class ConsoleContext:
    """What the pages are made of.

    record    writes down what is about to be shown; MUST raise where it could not
    prove     returns the proof of an entry
    verify    verifies the whole ledger; asked at most once
    count     returns the figures of a period
    idle      minutes without a page after which the console ends
    language  in which it opens; each page leads to itself in the other one
    """

    index: Index
    source: Source
    about: About
    cite: Cite
    record: Callable[[str], None]
    prove: Callable[[int], Receipt]
    verify: Callable[[], Report]
    count: Callable[[Period], Figures]
    reason: str = ""
    idle: int = IDLE
    language: str = LANGUAGES[0]

    @cached_property
    def verified(self) -> Report:
        """What the verification found; made when it is first asked for."""
        return self.verify()

    @cached_property
    def period(self) -> Period:
        """The year up to the last entry."""
        last = self.index.rows("SELECT max(time_ms) FROM entries")[0][0] or 0
        end = (last // DAY_MS + 1) * DAY_MS
        first = self.index.rows("SELECT min(time_ms) FROM entries")[0][0] or 0
        return Period(max(first // DAY_MS * DAY_MS, end - YEAR), end)

    @cached_property
    def figures(self) -> Figures:
        """The figures of that year."""
        return self.count(self.period)

    @cached_property
    def partners(self) -> list[str]:
        """Whose exchanges are here."""
        wanted = "SELECT DISTINCT partner FROM exchanges ORDER BY partner"
        return [str(row[0]) for row in self.index.rows(wanted)]


def application(console_context: ConsoleContext) -> Starlette:
    """Return the console over what it shows; `gate.Gate` checks each request before it."""
    pages = _Pages(console_context)
    routes = [
        Route("/", pages.overview),
        Route("/search", pages.search),
        Route("/timeline", pages.timeline),
        Route("/exchange/{number}", pages.exchange),
        Route("/entry/{index}", pages.entry),
        Route("/entry/{index}/proof", pages.proof),
        Route("/entry/{index}/proof.tlog-proof", pages.download),
        Route("/report", pages.report),
    ]
    return Starlette(
        # The language is in the address: a page has the same one for whoever comes back to it, and nothing is kept.
        routes=[*routes, *(Mount(f"/{code}", routes=routes) for code in LANGUAGES)],
        exception_handlers={
            HTTPException: pages.missing,
            PasserelleError: pages.fault,
            KeysError: pages.fault,
            OSError: pages.fault,
        },
    )


class _Pages:
    """One method a page; each says first what is looked at."""

    def __init__(self, console_context: ConsoleContext) -> None:
        self._context = console_context

    async def overview(self, request: Request) -> Response:
        """Show the figures of the last year."""
        self._context.record("console: overview")
        found = self._context.figures
        words = Words(self._spoken(request))
        return self._page(
            request,
            "overview.html",
            say("Overview"),
            figures=found,
            pictures=pictures(found, words),
            n=words.number,
            first=str(iso(found.period.since))[:10],
            last=str(iso((found.period.until or 1) - 1))[:10],
        )

    async def search(self, request: Request) -> Response:
        """Show the exchanges that fit what is searched for."""
        asked = request.query_params
        wanted = Wanted(
            _text(asked.get("q", "")),
            _one_of(asked.get("partner", ""), self._context.partners),
            _one_of(asked.get("closing", ""), CLOSINGS),
            _moment(asked.get("since", "")),
            _moment(asked.get("until", ""), end=True),
            _number(asked.get("before", "")),
        )
        self._context.record(
            _looked("search", request, "q", "partner", "closing", *_PERIOD, "before")
        )
        found = views.search(self._context.index, wanted)
        return self._page(
            request,
            "search.html",
            say("Search"),
            rows=found[:PAGE],
            older=_older(request, found),
            asked=asked,
            partners=self._context.partners,
            closings=CLOSINGS,
        )

    async def timeline(self, request: Request) -> Response:
        """Show entries in order, the newest first."""
        asked = request.query_params
        kinds = [kind.name for kind in EntryType]
        kind = _one_of(asked.get("kind", ""), kinds)
        before = _number(asked.get("before", ""))
        self._context.record(_looked("timeline", request, "kind", "before"))
        found = views.entries(self._context.index, kind, before)
        counted = views.days(self._context.index)
        speak = Language(self._spoken(request))
        drawn = charts.columns(
            speak(say("Entries written on each of the last 30 days")),
            [day for day, _ in counted],
            [Series(speak(say("entries")), tuple(float(count) for _, count in counted))],
            Words(speak.code).number,
            170,
        )
        rows = [{"index": each.index} for each in found]
        return self._page(
            request,
            "timeline.html",
            say("Timeline"),
            told=found[:PAGE],
            older=_older(request, rows),
            kinds=kinds,
            kind=kind,
            chart=Markup(drawn),  # noqa: S704 - `charts` escapes what it is given
            counted=counted,
            standing=_standing,
        )

    async def exchange(self, request: Request) -> Response:
        """Show the history of one exchange."""
        number = _text(request.path_params["number"])
        partner = _text(request.query_params.get("partner", ""))
        self._context.record(f"console: exchange {number} {partner}".rstrip())
        partners = self._context.index.partners_of(number)
        if not partners or (partner and partner not in partners):
            raise HTTPException(404, say("No entry bears this number."))
        if not partner and len(partners) > 1:
            return self._page(
                request, "choose.html", say("Whose exchange?"), number=number, partners=partners
            )
        return self._page(
            request,
            "exchange.html",
            say("Exchange {number}", number=number),
            history=self._history(number, partner or partners[0]),
        )

    async def entry(self, request: Request) -> Response:
        """Show one entry."""
        number = _place(request)
        self._context.record(f"console: entry {number}")
        told = views.entry(self._context.index, number)
        if told is None:
            raise HTTPException(404, say("There is no such entry here."))
        return self._page(
            request,
            "entry.html",
            say("Entry {number}", number=number),
            told=told,
            fields=views.fields(told),
            sealed=told.facts is None and any(told.frame.detail_commitment),
            last=self._context.index.size - 1,
            first=self._context.index.first,
        )

    async def proof(self, request: Request) -> Response:
        """Prove one entry, and check the proof."""
        number = _place(request)
        self._context.record(f"console: proof {number}")
        receipt = self._context.prove(number)
        steps = views.checked(receipt, self._context.source.log)
        return self._page(
            request,
            "proof.html",
            say("Proof of entry {number}", number=number),
            number=number,
            steps=steps,
            text=receipt.tlog_proof.decode("utf-8", "replace"),
        )

    async def download(self, request: Request) -> Response:
        """Hand out a proof as C2SP tlog-proof@v1."""
        number = _place(request)
        self._context.record(f"console: proof {number}, saved")
        name = f'attachment; filename="{number}.tlog-proof"'
        octets = self._context.prove(number).tlog_proof
        return Response(octets, 200, {"content-disposition": name}, "text/plain")

    async def report(self, request: Request) -> Response:
        """Ask for a period, or show the report of one."""
        asked = request.query_params
        first, last = _moment(asked.get("from", "")), _moment(asked.get("to", ""), end=True)
        language = _one_of(asked.get("lang", ""), LANGUAGES) or self._spoken(request)
        period = self._context.period
        if first is None or last is None:
            self._context.record("console: report form")
            return self._page(
                request,
                "ask_report.html",
                say("Report"),
                first=str(iso(period.since))[:10],
                last=str(iso((period.until or 1) - 1))[:10],
                languages=LANGUAGES,
            )
        if last <= first:
            raise HTTPException(400, say("The last day is before the first."))
        if last - first > LONGEST * DAY_MS:
            raise HTTPException(400, say("A report covers ten years at most."))
        self._context.record(_looked("report", request, "from", "to", "lang"))
        found = self._context.count(Period(first, last))
        return HTMLResponse(render(found, self._context.verified, self._context.about, language))

    async def missing(self, request: Request, fault: Exception) -> Response:
        """Say that there is no such page, or that it was asked for wrongly."""
        code = getattr(fault, "status_code", 500)
        told = getattr(fault, "detail", "")
        # What Starlette says by itself, in English alone, is no message of ours.
        text = told if isinstance(told, Message) else say("There is no such page.")
        title = say("Not found") if code == 404 else say("Not shown")
        return self._page(request, "fault.html", title, code, text=self._speak(request, text))

    async def fault(self, request: Request, fault: Exception) -> Response:
        """Say why a page is not shown: most often, because the view could not be recorded."""
        unrecorded = self._speak(request, say("the view could not be recorded"))
        text = unrecorded if isinstance(fault, OSError) else str(fault)
        return self._page(request, "fault.html", say("Not shown"), 503, text=text)

    def _spoken(self, request: Request) -> str:
        """Return the language of a page: what its address says, else that in which the console was opened."""
        return _Address.of(request).code or self._context.language

    def _speak(self, request: Request, text: Message) -> str:
        return Language(self._spoken(request))(text)

    def _history(self, number: str, partner: str) -> ExchangeHistory:
        told = self._context.index.of_transaction(number, partner)
        return build_history(
            told, number, partner, self._context.cite, opened=self._context.index.opened
        )

    def _page(
        self,
        request: Request,
        template: str,
        title: Message,
        code: int = 200,
        **values: Any,  # noqa: ANN401
    ) -> Response:
        address, spoken = _Address.of(request), self._spoken(request)
        speak = Language(spoken)
        html = (
            environment()
            .get_template(template)
            .render(
                title=speak(title),
                at=address.at,
                home=address.home,
                language=spoken,
                others=[(code, name) for code, name in NAMES.items() if code != spoken],
                elsewhere=address.other,
                speak=speak,
                _=lambda text, **filled: speak(Message(text, filled)),
                t=Words(spoken),
                about=self._context.about,
                style=Markup(style()),  # noqa: S704 - a file of ours, nobody's input
                console_context=self._context,
                iso=iso,
                **values,
            )
        )
        return HTMLResponse(html, code)


def _looked(page: str, request: Request, *names: str) -> str:
    """Return what is written down of a view: what the page takes from the address, whole, and nothing beside it.

    What nobody asked for could push what was asked for beyond what a gateway keeps of a line.
    """
    asked = request.query_params
    said = [f"{name}={asked[name].strip()}" for name in names if asked.get(name)]
    return " ".join((f"console: {page}", *said))


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a page lies.

    home    the path under which the console lies, which only whoever was let in knows
    code    the language that the address names; empty where it names none
    page    what follows, with what is asked for
    """

    home: str
    code: str
    page: str

    @classmethod
    def of(cls, request: Request) -> _Address:
        home = str(request.scope.get("app_root_path", request.scope["root_path"]))
        path = quote(request.scope["path"].removeprefix(home))
        first = path.split("/")[1:2]
        code = first[0] if first and first[0] in LANGUAGES else ""
        query = f"?{request.url.query}" if request.url.query else ""
        return cls(home, code, path.removeprefix(f"/{code}" if code else "") + query)

    @property
    def at(self) -> str:
        """Before the address of each page in the same language."""
        return f"{self.home}/{self.code}" if self.code else self.home

    def other(self, code: str) -> str:
        """Return the address of the same page in another language."""
        return f"{self.home}/{code}{self.page}"


def _standing(frame: Frame) -> Message:
    return Message(frame.entry_class.name.lower(), context="class")


def _older(request: Request, rows: list[dict[str, Any]]) -> str:
    """Return the address of the page of what is older; empty where nothing is."""
    if len(rows) <= PAGE:
        return ""
    return str(request.url.include_query_params(before=rows[PAGE - 1]["index"]).query)


def _text(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise HTTPException(400, say("A word to search for has at most 64 characters."))
    return text.strip()


def _place(request: Request) -> int:
    return _number(str(request.path_params["index"])) or 0


def _one_of(text: str, known: Any) -> str:  # noqa: ANN401
    if text and text not in known:
        raise HTTPException(400, say("This cannot be chosen."))
    return text


def _number(text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise HTTPException(400, say("A place in the ledger is a number."))
    return int(text) if text else None


def _moment(text: str, *, end: bool = False) -> int | None:
    if not text:
        return None
    wrong = HTTPException(400, say("A day is written as 2026-01-31."))
    if not _DAY.fullmatch(text):
        raise wrong
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise wrong from None
    if not calendar_bounds.sound(day):
        raise wrong
    return int(day.timestamp()) * 1000 + (DAY_MS if end else 0)
