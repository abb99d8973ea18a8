"""Reads a partner's directory and believes of it only what is signed, whole, newer and not yet over.

Trust starts at the root that our copy of the partner's bundle pins by version and SHA-256, and which two people
compared. From there python-tuf walks: each next root under the thresholds of the old and of the new one; then
timestamp, snapshot, targets and the party's own role, none of which may go back or have ended. On top of it:

(1) the file that trust starts from is the one that the bundle pins
(2) no role could be signed by Ed25519 keys alone
(3) the entry is the party's own, no older than ours, and starts from a root that we have just walked

What fails is refused as a whole, and what we held stays in force. The newest metadata seen are kept, so that
nothing older passes tomorrow; one process at a time uses them.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from gateway.client.errors import DirectoryRefused
from gateway.trust.bundle import MAX_BUNDLE, Anchor, MalformedBundle, PartyBundle
from gateway.trust.partners import hybrid
from keys import atomic_file

LARGEST = 262_144  # bytes of a root, targets or snapshot file; the service sends no more
LARGEST_TIMESTAMP = 16_384
MOST_ROOTS = 64  # that are walked at once: sixty years of yearly ones
NOT_FOUND = 404  # what python-tuf takes for: there is no later root

_target = re.compile(r"targets/((?:[a-z]+/)?)([0-9a-f]{64})\.([A-Z0-9-]{2,32}\.json)")
_metadata = re.compile(r"metadata/([A-Za-z0-9.-]{1,80})")

_T = TypeVar("_T", Root, Targets)


class Absent(Exception):
    """The partner has no such file."""


class Source(Protocol):
    """Where files come from. Each raises Absent, or a `PartnerError` where nobody answers."""

    def metadata(self, name: str) -> bytes:
        """Return a metadata file."""

    def target(self, path: str, sha256: bytes) -> bytes:
        """Return a target file."""


class _Fetcher(FetcherInterface):
    """Hands python-tuf what the source has, by the names that it makes up as URLs."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        target, metadata = _target.fullmatch(url), _metadata.fullmatch(url)
        try:
            if target:
                yield self._source.target(target[1] + target[3], bytes.fromhex(target[2]))
            elif metadata:
                yield self._source.metadata(metadata[1])
            else:
                raise DownloadError("no name of ours")
        except Absent:
            raise DownloadHTTPError("no such file", NOT_FOUND) from None


class Trust:
    """What we know of one partner's directory, kept in a folder; for threads and processes alike."""

    def __init__(
        self, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()

    def update(self, held: PartyBundle, source: Source) -> bytes | None:
        """Return the partner's entry where it is another than ours, or None where ours is the newest.

        Raises DirectoryRefused where the directory cannot be believed, and the source's `PartnerError` where
        nobody answers.
        """
        if held.root is None:
            return None
        with self._alone():
            try:
                return self._twice(held, held.root, source)
            except DownloadError as fault:
                raise _refused(held.party, f"a file is missing or too large: {fault}") from None
            except (RepositoryError, ValueError, KeyError, RecursionError) as fault:
                raise _refused(held.party, str(fault)) from None

    def stale(self) -> bool:
        """Return whether what we last believed has ended, so that only a newer state counts."""
        try:
            kept = Metadata.from_bytes((self._folder / "timestamp.json").read_bytes()).signed
        except FileNotFoundError:
            return False  # nothing was read yet: the bundle is as good as the hands that brought it
        except (OSError, RepositoryError, ValueError):
            return True
        return kept.is_expired(self._clock())

    def _twice(self, held: PartyBundle, anchor: Anchor, source: Source) -> bytes | None:
        """Read, and where that does not fit together once more: a root may have come while we walked."""
        try:
            return self._update(held, anchor, source)
        except DownloadError:
            raise
        except (RepositoryError, ValueError, KeyError):
            return self._update(held, anchor, source)

    def _update(self, held: PartyBundle, anchor: Anchor, source: Source) -> bytes | None:
        fetcher = _Fetcher(source)
        updater = Updater(
            str(self._folder),
            "metadata",
            str(self._folder),
            "targets",
            fetcher,
            UpdaterConfig(
                max_root_rotations=MOST_ROOTS,
                root_max_length=LARGEST,
                timestamp_max_length=LARGEST_TIMESTAMP,
                snapshot_max_length=LARGEST,
                targets_max_length=LARGEST,
            ),
            bootstrap=self._start(anchor, fetcher),
        )
        updater.refresh()
        entry = f"{held.party}.json"
        info = updater.get_targetinfo(entry)
        self._demand_hybrid()  # (2)
        self._flush()
        if info is None or info.length > MAX_BUNDLE:
            raise RepositoryError(f"there is no {entry} in it")
        if hashlib.sha256(held.to_bytes()).hexdigest() == info.hashes.get("sha256"):
            return None
        place = self._folder / "entry.part"
        updater.download_target(info, str(place))
        octets = place.read_bytes()
        place.unlink()
        return self._vouched(octets, held)

    def _start(self, anchor: Anchor, fetcher: _Fetcher) -> bytes:
        """(1): return the root that the bundle pins, from our folder or from the partner."""
        kept = self._folder / "root_history" / f"{anchor.version}.root.json"
        if kept.is_file() and _is(octets := kept.read_bytes(), anchor):
            return octets
        fetched = fetcher.download_bytes(f"metadata/{anchor.version}.root.json", LARGEST)
        if not _is(fetched, anchor):
            raise RepositoryError("its root is not the one whose fingerprint was compared")
        return fetched

    def _demand_hybrid(self) -> None:
        root = _signed(self._folder / "root.json", Root)
        for name, role in root.roles.items():
            if not hybrid(role.threshold, [root.keys[each].keytype for each in role.keyids]):
                raise RepositoryError(f"Ed25519 keys alone could sign {name}")
        delegations = _signed(self._folder / "targets.json", Targets).delegations
        for name, delegated in ((delegations and delegations.roles) or {}).items():
            keys = delegations.keys if delegations else {}
            if not hybrid(delegated.threshold, [keys[each].keytype for each in delegated.keyids]):
                raise RepositoryError(f"Ed25519 keys alone could sign for {name}")

    def _vouched(self, octets: bytes, held: PartyBundle) -> bytes:
        """(3)."""
        try:
            bundle = PartyBundle.parse(octets)
        except MalformedBundle as fault:
            raise RepositoryError(str(fault)) from None
        if bundle.party != held.party:
            raise RepositoryError("the entry is another party's")
        if bundle.version < held.version:
            raise RepositoryError(f"version {bundle.version} is older than {held.version}")
        if held.root and bundle.root and bundle.root.version < held.root.version:
            raise RepositoryError(
                "the entry goes back to an older root than the one it started from"
            )
        walked = self._folder / "root_history"
        if bundle.root is None or not _is(
            _read(walked / f"{bundle.root.version}.root.json"), bundle.root
        ):
            raise RepositoryError("the entry starts from a root that its directory does not have")
        return octets

    def _flush(self) -> None:
        """Bring what python-tuf wrote to the disk: a crash must not bring an older state back."""
        for place in (self._folder, self._folder / "root_history", *self._folder.glob("*.json")):
            atomic_file.flush_file(place)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            self._folder.mkdir(mode=atomic_file.FOLDER_MODE, parents=True, exist_ok=True)
            with atomic_file.lock(self._folder / "lock"):
                yield


def _is(octets: bytes, anchor: Anchor) -> bool:
    return hashlib.sha256(octets).digest() == anchor.sha256


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _signed(path: Path, kind: type[_T]) -> _T:
    signed = Metadata.from_bytes(path.read_bytes()).signed
    if not isinstance(signed, kind):
        raise RepositoryError(f"{path.name} is of another role")
    return signed


def _refused(party: str, why: str) -> DirectoryRefused:
    return DirectoryRefused(
        f"the directory of {party} is not believed, and what we hold of it stays: {why}."
        " Ask its operators; a bundle compared by telephone can be imported meanwhile"
    )
