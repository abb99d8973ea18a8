"""Who gets in: whoever holds the one-time link, from a browser on this machine, until nobody has looked for a while.

(1) The host asked for is this machine by number or `localhost`, and our port: a name that an attacker points at
    127.0.0.1 (DNS rebinding) is refused.
(2) The link works once and within minutes; it becomes a cookie that no script reads and no other site sends. A browser
    would send it to every port of this machine: so it is for addresses under a path that nobody can guess.
(3) A browser that says it comes from another site is refused; only one form changes anything, that which leaves.
(4) No answer may be kept, framed, or read by another site; no page can run a script or fetch from anywhere.

Other users of this machine reach the port, and stop at (2).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from gateway.language import LANGUAGES, Language, Message, say

IDLE: Final = 15  # minutes without a view, then the console ends; a computer that somebody left
LINK: Final = 300.0  # seconds that the one-time link works

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class SessionGate:
    """Stands before an application.

    policy   Content-Security-Policy of every page
    clock    seconds that only grow
    idle     minutes without a view after which the console ends
    """

    def __init__(
        self, app: App, port: int, policy: str, clock: Callable[[], float], idle: int = IDLE
    ) -> None:
        self._app, self._port, self._clock, self._idle = app, port, clock, 60.0 * idle
        self._at = f"/{secrets.token_urlsafe(16)}"
        self._token: str | None = secrets.token_urlsafe(32)
        self._session: str | None = None
        self._born = self._seen = clock()
        self._headers = _headers(policy)
        self.link = f"http://127.0.0.1:{port}/enter/{self._token}"
        self.left = False

    @property
    def ended(self) -> bool:
        """Whether somebody left, nobody came in time, or nobody has looked for a while."""
        now = self._clock()
        if self._session is None:
            return self.left or now - self._born > LINK
        return self.left or now - self._seen > self._idle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            return
        answer = self._refused(scope)

        async def guarded(message: Scope) -> None:
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if pair[0] not in _OURS]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        if answer is None:
            self._seen = self._clock()
            await self._app({**scope, "root_path": self._at}, receive, guarded)
        else:
            await answer(scope, receive, guarded)

    def _refused(self, scope: Scope) -> Response | None:
        """Return the answer to whoever does not get in, or is on the threshold; None for who may go on."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        if host not in {f"127.0.0.1:{self._port}", f"localhost:{self._port}"}:  # (1)
            return _plain(say("This is not the address of this console."), 421)
        if self.ended:
            return _plain(say("The console has ended. Start it again."), 410)
        if scope["path"].startswith("/enter/"):
            return self._enter(scope)  # (2)
        if not scope["path"].startswith(f"{self._at}/"):
            return _plain(say("Open the link that `passerelle console` printed."), 403)
        shown = _cookie(headers.get(b"cookie", b""), self._name)
        if self._session is None or not hmac.compare_digest(shown, self._session.encode()):
            return _plain(say("Open the link that `passerelle console` printed."), 403)
        return self._strange(scope, headers, host)

    def _enter(self, scope: Scope) -> Response:
        shown = scope["path"].removeprefix("/enter/").encode()
        token = self._token
        if scope["method"] != "GET" or token is None:
            return _plain(say("This link was used. Start the console again."), 403)
        if not hmac.compare_digest(shown, token.encode()):
            return _plain(say("Open the link that `passerelle console` printed."), 403)
        self._token, self._session = None, secrets.token_urlsafe(32)
        self._seen = self._clock()
        answer = RedirectResponse(f"{self._at}/", 303)
        path = f"{self._at}/"
        answer.set_cookie(self._name, self._session, httponly=True, samesite="strict", path=path)
        return answer

    def _strange(self, scope: Scope, headers: dict[bytes, bytes], host: str) -> Response | None:
        # (3) Browsers that say nothing are kept out of other sites' requests by SameSite=Strict.
        site = headers.get(b"sec-fetch-site", b"none")
        origin = headers.get(b"origin")
        foreign = site not in {b"none", b"same-origin"} or origin not in {
            None,
            f"http://{host}".encode("latin-1"),
        }
        if foreign:
            return _plain(say("Asked for by another site."), 403)
        if scope["method"] == "POST" and scope["path"] == f"{self._at}/leave":
            self.left = True
            return _plain(say("The console has ended. Close this window."), 200)
        if scope["method"] not in {"GET", "HEAD"}:
            return _plain(say("Nothing can be changed here."), 405)
        return None

    @property
    def _name(self) -> str:
        # Cookies know no ports: two consoles on one machine would take each other's.
        return f"passerelle-{self._port}"


def _plain(message: Message, code: int) -> Response:
    """Return a line in each language: at the gate nobody has chosen one yet."""
    return PlainTextResponse("\n".join(Language(each)(message) for each in LANGUAGES), code)


def _headers(policy: str) -> list[tuple[bytes, bytes]]:
    return [  # (4)
        (b"content-security-policy", policy.encode("ascii")),
        (b"cache-control", b"no-store"),
        (
            b"referrer-policy",
            b"same-origin",
        ),  # none at all would take the origin from our own form too
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]


_OURS: Final = frozenset(name for name, _ in _headers(""))


def _cookie(header: bytes, name: str) -> bytes:
    try:
        found = SimpleCookie(header.decode("latin-1")).get(name)
    except CookieError:
        return b""
    return b"" if found is None else found.value.encode()
