"""What partners find in our directory, kept true: published when our entry changes, signed anew long before it ends.

    our entry     <PARTY>.json         party.json, byte for byte
    partners'     partners/<ID>.json   each bundle as we hold it
    rights        rights/<ID>.json     which agreements bind us with a partner: id, version, digest

A gateway without root key holders publishes no directory; its partners are given bundles by hand, as ever. Where there is
one and its timestamp has ended, we answer nothing: partners could no longer know what is current.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from gateway import telemetry
from gateway.directory.repository import DELEGATION_LIFE, ONLINE, ONLINE_LIFE, Repository
from gateway.errors import DirectoryStale, InternalError, PasserelleError, UserError
from gateway.home_layout import OWN_ENTRY
from gateway.law.agreement import Agreements, AgreementsInForce
from gateway.monitoring import expiry
from gateway.monitoring.expiry import Expiring, Kind
from gateway.trust.bundle import PartyBundle
from gateway.trust.directory_files import FOLDER, DirectoryFiles
from gateway.trust.partners import Directory
from keys.errors import KeysError
from keys.key_record import KeyRecord
from keys.keyset import Keyset, KeysetInForce
from keys.lifecycle import KeyKind, KeyState

RESIGN = timedelta(
    hours=6
)  # after so long snapshot and timestamp are signed anew: a quarter of their life
RENEW = DELEGATION_LIFE / 3  # of our part that is left when it is signed anew

_KINDS = {
    "root": (Kind.TUF_ROOT, "passerelle directory root"),
    "targets": (Kind.TUF_TARGETS, "passerelle directory renew"),
    "snapshot": (Kind.TUF_SNAPSHOT, "passerelle serve"),
    "timestamp": (Kind.TUF_TIMESTAMP, "passerelle serve"),
}

_PUT_AWAY = frozenset({KeyState.DEACTIVATED, KeyState.DESTROYED})

_log = telemetry.logger("directory")


class DirectoryPublication:
    """Our directory, while the gateway is open; for several threads."""

    def __init__(  # noqa: PLR0917 - a directory is made of these
        self,
        home: Path,
        party: str,
        keyset: KeysetInForce,
        directory: Directory,
        agreements: AgreementsInForce,
        clock: Callable[[], datetime],
    ) -> None:
        self._own = home / OWN_ENTRY
        self._party = party
        self._keyset = keyset
        self._directory = directory
        self._agreements = agreements
        self._clock = clock
        self.files = DirectoryFiles(home / FOLDER)
        self.repository = Repository(self.files, party)
        self._lock = threading.RLock()
        self._ends: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether this gateway publishes a directory."""
        return self.files.founded

    def carry(self, bundle: PartyBundle) -> None:
        """Bring our published entry to whoever reads our directory. Raises UserError where it cannot be written."""
        del bundle  # party.json is what is published, and it was written before
        try:
            self.settle()
        except OSError as fault:
            raise UserError(
                f"our directory cannot be written: {fault.strerror}; partners still find the last state."
                " Free the disk: the next round publishes this one"
            ) from None

    def settle(self) -> bool:
        """Publish what changed, or sign anew what ends; return whether anything had to be done.

        An interrupted publication is finished. Raises what the disk raises, KeysError, UserError.
        """
        if not self.active:
            return False
        with self._lock:
            now, keyset, wanted = self._clock(), self._keyset.current, self._wanted()
            if self._stands(wanted, now):
                return False
            left = self._left("delegation", now)
            if self._ahead(wanted) or left < RENEW or not self.repository.speaks():
                self.repository.publish(wanted, keyset, now)
            else:
                self.repository.resign(keyset, now)
            self._ends = self._online_end()
            return True

    def draft(self, role: str) -> bytes:
        """Return the root or targets that would follow, for root key holders to sign."""
        with self._lock:
            now, keyset = self._clock(), self._keyset.current
            if role == "root":
                return self.repository.next_root(keyset, now).to_bytes()
            return self.repository.next_targets(keyset, now).to_bytes()

    def named_by(self, content: bytes) -> tuple[int, tuple[KeyRecord, ...]]:
        """Return the version of what root key holders signed and our pairs that it names; it is not kept yet. Raises UserError."""
        with self._lock:
            signed = self.repository.follows(content, self._clock())
            return signed.version, self.repository.named_in(signed, self._keyset.current)

    def naming(self) -> dict[bytes, int] | None:
        """Return our pairs that the directory names, with the version of what names each; None without one."""
        if not self.active:
            return None
        found = {}
        with self._lock:
            for kind in ONLINE:
                role = "targets" if kind is KeyKind.DELEGATION else "root"
                # It names a pair that is not ours, or is damaged: none of ours has evidence, and others go on.
                with suppress(UserError, InternalError):
                    found[self.repository.named(self._keyset.current, kind)] = self.files.newest(
                        role
                    )
        return found

    def adopt(self, content: bytes) -> tuple[str, int]:
        """Keep what root key holders signed and publish under it; return its role and version. Raises UserError.

        What partners read meanwhile is valid under the last root and under this one.
        """
        with self._lock:
            now, keyset = self._clock(), self._keyset.current
            if self.repository.follows(content, now).type == "root":
                with suppress(
                    UserError
                ):  # a pair that was stopped signs nothing: partners wait for this root
                    self.repository.resign(keyset, now)
            role = self.repository.keep(content, now)
            self.settle()
            self._ends = self._online_end()
            return role, self.files.newest(role)

    def leap(self, by: int) -> None:
        """Publish under versions that grow by more: a restored folder may have forgotten some."""
        if self.active:
            with self._lock:
                self.repository.publish(
                    self._wanted(), self._keyset.current, self._clock(), leap=by
                )
                self._ends = self._online_end()

    def round(self) -> None:
        """Settle; what prevents it is logged, and the next round tries again."""
        try:
            self.settle()
        except (PasserelleError, KeysError, OSError) as fault:
            _log.error("directory_unpublished", kind=type(fault).__name__)

    def demand(self) -> None:
        """Raise DirectoryStale where our directory has ended: nothing is answered on stale trust."""
        if not self.active:
            return
        if self._ends is None:
            with self._lock:
                self._ends = self._online_end()
        if self._ends is None or self._clock() >= self._ends:
            raise DirectoryStale

    def demand_pairs(self, keyset: Keyset) -> None:
        """Raise UserError where `keyset` puts away a pair that the directory still asks for.

        A pair that was stopped, by one person at a key compromise, is no fault here: then nothing is published until
        the root key holders named its successor. Nor is a damaged directory, where another key is to be stopped.
        """
        if not self.active:
            return
        for kind in ONLINE:
            leaves = _put_away(keyset, kind) - _put_away(self._keyset.current, kind)
            if leaves and self.repository.named(keyset, kind) in leaves:
                raise UserError(
                    f"the directory still asks for this {kind.value} pair: have its root key holders name the successor"
                    " first (passerelle directory root, or renew)"
                )

    def expiring(self, now: datetime) -> Iterator[Expiring]:
        """Yield the roles of our directory, each with its end and what renews it."""
        del now  # what has ended is told as well
        yield from of_files(self.files, self._party)

    def _wanted(self) -> dict[str, bytes]:
        wanted = {f"{self._party}.json": self._own.read_bytes()}
        for bundle in self._directory.stated():
            wanted[f"partners/{bundle.party}.json"] = bundle.to_bytes()
        for partner, agreed in _rights(self._agreements.current).items():
            wanted[f"rights/{partner}.json"] = _spell({"party": partner, "agreements": agreed})
        return wanted

    def _stands(self, wanted: Mapping[str, bytes], now: datetime) -> bool:
        if not self.repository.sound() or self._ahead(wanted):
            return False
        fresh = ONLINE_LIFE - RESIGN
        return (
            min(self._left("snapshot", now), self._left("timestamp", now)) > fresh
            and self._left("delegation", now) >= RENEW
        )

    def _ahead(self, wanted: Mapping[str, bytes]) -> bool:
        """Return whether `wanted` is not what partners find."""
        digests = {path: hashlib.sha256(content).digest() for path, content in wanted.items()}
        return dict(self.repository.published()) != digests

    def _left(self, role: str, now: datetime) -> timedelta:
        ends = self.repository.expires().get(self._party if role == "delegation" else role)
        return timedelta(0) if ends is None else ends - now

    def _online_end(self) -> datetime | None:
        """Return when the first of all roles ends; None before anything is published."""
        ends = self.repository.expires()
        return min(ends.values()) if "timestamp" in ends else None


def of_files(files: DirectoryFiles, party: str) -> Iterator[Expiring]:
    """Yield the roles of a directory on disk."""
    if files.founded:
        for role in Repository(files, party).status():
            kind, remedy = _KINDS.get(role.name, (Kind.TUF_DELEGATION, "passerelle serve"))
            yield expiry.of_role(kind, role.name, role.expires, remedy)


def _put_away(keyset: Keyset, kind: KeyKind) -> set[bytes]:
    return {r.kid for r in keyset.records if r.kind is kind and r.state in _PUT_AWAY}


def _rights(agreements: Agreements) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for versions in agreements.values():
        for one in versions:
            found.setdefault(one.partner, []).append(
                {"id": one.id, "version": one.version, "digest": one.digest}
            )
    for agreed in found.values():
        agreed.sort(key=lambda each: (str(each["id"]), str(each["version"])))
    return found


def _spell(tree: object) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
