"""What our people do with the directory: look at it, draft what its root key holders sign, and take it back signed.

A file that root key holders signed is valid by its signatures alone: three persons of five for the root, two of three for
the targets. So an operator may bring it in alone, and could not have made it. A pair of ours that it names
and that was waiting for that is promoted with it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.directory.publication import DirectoryPublication
from gateway.errors import UserError
from gateway.keymanagement import transitions
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.operations.directory import Adopt, Draft, Status
from keys.lifecycle import KeyState

_NAMED = "the directory's root key holders named it"


class DirectoryOperations:
    """The operations on our directory."""

    def __init__(self, publication: DirectoryPublication, active_keyset: ActiveKeyset) -> None:
        self._publication = publication
        self._active_keyset = active_keyset

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=Status, do=self._status),
            Handler(request=Draft, do=self._draft),
            Handler(request=Adopt, do=self._adopt),
        )

    def _status(self, officer: Officer, request: Status) -> Answer:
        del officer, request
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
                for role in self._publication.repository.status()
            ],
            "targets": sorted(self._publication.repository.published()),
        }

    def _draft(self, officer: Officer, request: Draft) -> Answer:
        del officer
        self._demand()
        content = self._publication.draft(request.role)
        return {"role": request.role, "metadata": base64.b64encode(content).decode("ascii")}

    def _adopt(self, officer: Officer, request: Adopt) -> Answer:
        self._demand()
        try:
            content = base64.b64decode(request.metadata, validate=True)
        except (binascii.Error, ValueError):
            raise UserError("metadata: not base64") from None
        self._promote(officer, content)
        role, version = self._publication.adopt(content)
        bundle = self._active_keyset.publish(actor=officer.person)
        return {"role": role, "version": version, "entry_version": bundle.version}

    def _promote(self, officer: Officer, content: bytes) -> None:
        """Put in use the pairs that were waiting to be named: who asks for their signatures finds them.

        Where the file cannot be kept after that, both pairs sign, and the next one that root key holders sign names it.
        """
        version, pairs = self._publication.named_by(content)
        for record in pairs:
            if record.state is KeyState.PREACTIVE:
                decide = transitions.move(record.kid, KeyState.ACTIVE, _NAMED, officer.person)
                facts = {**officer.facts, "evidence": f"KEEPERS/{version}"}
                self._active_keyset.change(decide, actor=officer.person, facts=facts)

    def _demand(self) -> None:
        if not self._publication.active:
            raise UserError(
                "this gateway publishes no directory: it was founded without root key holders"
            )
