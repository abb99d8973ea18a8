"""A headless Chromium for tests, driven over a pipe (Chrome DevTools Protocol): no port is opened, nothing is installed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.patience import PATIENCE

KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r")}


def chromium() -> Path | None:
    """Return the browser: of the system, else beside the environment (deploy/chromium.sh)."""
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Path(found)
    beside = Path(sys.prefix) / "chromium/usr/lib/chromium/chromium-headless-shell"
    return beside if beside.is_file() else None


class Browser:
    """One page in a browser of its own."""

    def __init__(self, program: Path, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        libraries = [
            folder
            for beside in program.parents[1].glob("*-linux-gnu*")
            for folder in (beside, *beside.iterdir())
            if folder.is_dir()
        ]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
        command = [program, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        wired = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", wired, *map(str, command)],
            env=environment,
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._number, self._pending = 0, b""
        self.said: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._write)
        self._process.terminate()
        self._process.wait(PATIENCE)
        os.close(self._read)

    def call(self, method: str, **parameters: object) -> Any:
        """Ask the browser; events that come meanwhile are kept in `said`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.said.append(answer)

    def open(self, address: str) -> None:
        """Go to a page and wait until it is there."""
        self.said.clear()
        self.call("Page.navigate", url=address)
        self.loaded()

    def loaded(self) -> None:
        """Wait for the page that is being loaded."""
        while not any(each.get("method") == "Page.loadEventFired" for each in self.said):
            self.said.append(self._next())
        self.said[:] = [each for each in self.said if each.get("method") != "Page.loadEventFired"]

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        name, code, text = KEYS.get(key, (key, 0, key))
        about = {"key": name, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def shot(self, file: Path, *, wide: int = 1100) -> None:
        """Save a picture of the whole page."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=wide,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """Return what the browser complained about: refused styles, scripts, connections."""
        return [
            json.dumps(each["params"])
            for each in self.said
            if each.get("method") in {"Log.entryAdded", "Runtime.exceptionThrown"}
        ]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            more = os.read(self._read, 1 << 20)
            assert more, "the browser is gone"
            self._pending += more
        message, _, self._pending = self._pending.partition(b"\0")
        return dict(json.loads(message))
