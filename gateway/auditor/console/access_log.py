"""What was looked at in a bundle: a log beside it that nobody can read or alter without the auditor's key.

A live gateway records each view in its ledger; a bundle has no gateway. Each line names its number, its time, and
what was looked at, sealed under the auditor's key with number, time and the line before as associated data: a line that
is altered, moved or taken out of the middle is found. That the last lines were cut off is not: whoever needs
that asks the gateway.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import PasserelleError
from keys import atomic_file
from keys.pae import pae

LABEL: Final = b"passerelle/1/views"
NONCE: Final = 12  # bytes
LONGEST: Final = 16_384  # bytes of a line
_LINE = re.compile(
    rb'\{"at":"([0-9T:.+-]{20,40})","n":(\d{1,12}),"seal":"([A-Za-z0-9+/=]{1,16000})"\}\n'
)


class ViewsRefused(PasserelleError):
    """A log of views was altered, or is of another auditor's key."""


@dataclass(frozen=True, slots=True)
class View:
    """One look: when, why, at what."""

    at: str
    reason: str
    what: str


class ViewLog:
    """The log of one bundle, for one auditor.

    secret   32 bytes that only the auditor's custody opens
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        """Open it, or begin it; raises ViewsRefused where what is there does not hold."""
        kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=LABEL)
        self._path, self._key = path, AESGCM(kdf.derive(secret))
        self._last, self._count = bytes(32), 0
        for _ in self.read():
            pass

    def read(self) -> Iterator[View]:
        """Yield every view from the first; raises ViewsRefused at the first line that does not hold."""
        last, count = bytes(32), 0
        if self._path.exists():
            with self._path.open("rb") as file:
                while line := file.readline(LONGEST):
                    yield self._opened(line, count, last)
                    last, count = sha256(line).digest(), count + 1
        self._last, self._count = last, count

    def record(self, what: str, reason: str, now: datetime) -> None:
        """Write a view down; it is on the disk when this returns."""
        with atomic_file.append(self._path) as file:
            for _ in self.read():  # another console on this bundle may have gone on meanwhile
                pass
            file.write(self._line(what, reason, now.isoformat(timespec="seconds")))

    def _line(self, what: str, reason: str, at: str) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        told = json.dumps({"reason": reason[:600], "what": what[:600]}).encode()
        bound = _bound(self._count, at, self._last)
        seal = base64.b64encode(nonce + self._key.encrypt(nonce, told, bound)).decode()
        return f'{{"at":"{at}","n":{self._count},"seal":"{seal}"}}\n'.encode()

    def _opened(self, line: bytes, count: int, last: bytes) -> View:
        try:
            at, sealed = _parts(line, count)
            told = self._key.decrypt(sealed[:NONCE], sealed[NONCE:], _bound(count, at, last))
            said = json.loads(told)
            return View(at, str(said["reason"]), str(said["what"]))
        except (ValueError, InvalidTag, KeyError, TypeError):
            raise ViewsRefused(
                f"{self._path}: line {count + 1} was altered, or is of another auditor's key: rename the file and keep"
                " it, and a new log begins"
            ) from None


def _parts(line: bytes, count: int) -> tuple[str, bytes]:
    found = _LINE.fullmatch(line)
    if found is None or found[2] != str(count).encode():
        raise ValueError(line)
    sealed = base64.b64decode(found[3], validate=True)
    if base64.b64encode(sealed) != found[3]:  # base64 has several forms of one value; ours is one
        raise ValueError(line)
    return found[1].decode(), sealed


def _bound(count: int, at: str, last: bytes) -> bytes:
    return pae(LABEL, str(count).encode(), at.encode(), last)
