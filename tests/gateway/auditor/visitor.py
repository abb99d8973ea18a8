"""A browser as far as the console's pages need one, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from gateway.auditor.console.session import SessionGate

PORT = 7070
HOST = f"127.0.0.1:{PORT}"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


class Visitor:
    """A browser as far as the pages need one: it keeps a cookie."""

    def __init__(self, gate: SessionGate, host: str = HOST) -> None:
        self.gate, self.host, self.cookie, self.at = gate, host, "", "/nowhere"

    def ask(self, address: str, method: str = "GET", **more: str) -> Answer:
        path, _, query = address.partition("?")
        if not path.startswith("/enter/"):
            path = f"{self.at}{path}"
        headers = {"host": self.host, "cookie": self.cookie, **more}
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "scheme": "http",
            "server": ("127.0.0.1", PORT),
            "client": ("127.0.0.1", 5),
            "root_path": "",
            "headers": [
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in headers.items()
            ],
        }
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.gate(scope, receive, send))  # type: ignore[arg-type]
        begun = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(each.get("body", b"") for each in sent[1:])
        if "set-cookie" in begun:
            self.cookie = begun["set-cookie"].partition(";")[0]
            self.at = begun["location"].removesuffix("/")
        return Answer(sent[0]["status"], begun, body.decode())

    def enter(self) -> Answer:
        return self.ask(self.gate.link.removeprefix(f"http://{HOST}"))
