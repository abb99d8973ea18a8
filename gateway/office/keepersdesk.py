"""What our people do with the directory: look at it, draft what its keepers sign, and take it back signed.

A file that keepers signed stands or falls by its signatures: three persons of five for the root, two of three for
the targets. So an operator may bring it in alone, and could not have made it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from gateway.errors import Remedy
from gateway.office.acts import Act, Answer, Officer, Role
from gateway.office.arguments import Arguments
from gateway.office.keyroom import KeyRoom
from gateway.office.publishing import Publishing

_OPERATORS = frozenset({Role.OPERATOR})
_READERS = frozenset({Role.OPERATOR, Role.AUDITOR})
_ROLE = re.compile(r"root|targets")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{4,349528}")  # of the largest metadata file


class KeepersDesk:
    """The acts about our directory."""

    def __init__(self, publishing: Publishing, keyroom: KeyRoom) -> None:
        self._publishing = publishing
        self._keyroom = keyroom

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("directory.status", _READERS, self._status),
            Act("directory.draft", _OPERATORS, self._draft),
            Act("directory.adopt", _OPERATORS, self._adopt),
        )

    def _status(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer, arguments

        def do() -> Answer:
            self._demand()
            return {
                "roles": [
                    {
                        "role": role.name,
                        "version": role.version,
                        "expires": role.expires.isoformat(timespec="seconds"),
                        "keys": role.keys,
                        "threshold": role.threshold,
                    }
                    for role in self._publishing.repository.status()
                ],
                "targets": sorted(self._publishing.repository.published()),
            }

        return do

    def _draft(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer
        role = arguments.text("role", _ROLE)

        def do() -> Answer:
            self._demand()
            content = self._publishing.draft(role)
            return {"role": role, "metadata": base64.b64encode(content).decode("ascii")}

        return do

    def _adopt(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        text = arguments.text("metadata", _BASE64)

        def do() -> Answer:
            self._demand()
            try:
                content = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise Remedy("metadata: not base64") from None
            role, version = self._publishing.adopt(content)
            bundle = self._keyroom.publish(actor=officer.person)
            return {"role": role, "version": version, "entry_version": bundle.version}

        return do

    def _demand(self) -> None:
        if not self._publishing.active:
            raise Remedy("this house publishes no directory: it was founded without keepers")
