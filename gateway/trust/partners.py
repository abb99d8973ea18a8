"""Whom we know: the public bundles of our partners, imported by hand, reloaded when they change.

Folder: one file `<PARTY>.json` for each partner, the bytes whose fingerprint two people compared. What a
running gateway knows changes with the folder: a new file counts from the next call on, a removed one no
longer. A file that cannot be read leaves the last good one in force and is a fault to be seen; a version
never goes back. A key that the gateway refuses is in no bundle that this module returns, whatever the file says.

A newer entry that a partner's own directory vouches for is taken by itself, unless it drops what we rely on: its
ledger's known keys, or an endpoint that is none of ours. That one is put aside as `<PARTY>.waiting`, the entry that
we hold stays in force, and people decide: they compare its fingerprint and import it, or they do not.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from gateway import user_files
from gateway.errors import PasserelleError, UserError
from gateway.home_layout import OWN_ENTRY
from gateway.ledger.signed_note import LogIdentity
from gateway.trust import endpoints
from gateway.trust.bundle import (
    MAX_BUNDLE,
    BundleKey,
    MalformedBundle,
    PartyBundle,
    dropped,
    fingerprint,
)
from gateway.user_files import FileRefused
from keys import atomic_file
from keys.certificates import authorities_in, pin
from keys.envelope import SealingKey
from keys.errors import KeyNotUsable, UnknownKey
from keys.signatures import VerifyingKey

__all__ = [
    "BundleKey",
    "BundleRefused",
    "Directory",
    "EntryWaits",
    "MalformedBundle",
    "OwnEntry",
    "PartyBundle",
    "UnknownParty",
    "Unreadable",
    "fingerprint",
    "own_bundle",
]

POST_QUANTUM = "ml-dsa"  # the key type of TAP 21
WAITING: Final = ".waiting"  # of the file of an entry that waits for people


class BundleRefused(UserError):
    """A bundle is well formed, and still not one to trust."""


class EntryWaits(BundleRefused):
    """A newer entry drops what we rely on: it waits for people, and the one in force stays."""


class UnknownParty(PasserelleError):
    """No bundle of that party was imported."""


def own_bundle(home: Path) -> PartyBundle:
    """Return the bundle that the party in `home` publishes of itself. Raises `UserError`, `MalformedBundle`."""
    path = home / OWN_ENTRY
    try:
        status = path.stat()
        return _own(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; make the party with `passerelle init`"
        ) from None


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """What we publish of ourselves, as the home directory has it now: `party.json`. Its properties raise as `own_bundle`."""

    home: Path

    @property
    def bundle(self) -> PartyBundle:
        """The entry."""
        return own_bundle(self.home)

    @property
    def version(self) -> int:
        """Its version."""
        return self.bundle.version

    @property
    def log(self) -> LogIdentity:
        """What verifies our own checkpoints, the past ones too."""
        return self.bundle.log


@functools.lru_cache(maxsize=8)
def _own(path: Path, *_stamp: int) -> PartyBundle:
    return PartyBundle.parse(user_files.named(path, MAX_BUNDLE))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of the folder that does not count as it is, and why."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What the folder said when it was last read; replaced at once."""

    stamp: tuple[tuple[str, int, int, int], ...] = ()
    bundles: dict[str, PartyBundle] = field(default_factory=dict)
    pins: dict[bytes, str] = field(default_factory=dict)
    faults: tuple[Unreadable, ...] = ()


class Register(Protocol):
    """Who writes down what comes into force, before it does: the ledger of an open gateway."""

    def objection(self, bundle: PartyBundle) -> str:
        """Return why a bundle cannot come into force, or nothing."""
        ...

    def record(self, bundles: Iterable[PartyBundle]) -> None:
        """Record what is in force from now on; raises PasserelleError when it cannot."""
        ...


_NOTHING: frozenset[bytes] = frozenset()

Blocked = Callable[
    [], Mapping[str, frozenset[bytes]]
]  # by party: key ids and pins that are refused now


class Directory:
    """The partners of the party `own`, as the folder has them at each call; for several threads.

    Under a `register` nothing changes unrecorded: while it cannot record, what was in force stays. What is
    `blocked` is asked on each call, so that a refusal counts from the next one on.
    """

    def __init__(
        self,
        folder: Path,
        own: str,
        register: Register | None = None,
        blocked: Blocked = dict,
        rule: endpoints.Rule | None = None,
    ) -> None:
        """Read the folder; `rule` says which endpoints of newer entries we connect to, None as on one machine."""
        self._rule = rule or endpoints.Rule()
        self._folder = folder
        self._own = own
        self._register = register
        self._blocked = blocked
        self._lock = threading.Lock()
        self._snapshot = _Snapshot()
        self._recorded = False
        self._current()

    @property
    def faults(self) -> tuple[Unreadable, ...]:
        """The files that do not count as they are; of each the last good version is in force, if any."""
        current = self._current()
        return (*current.faults, *self._waiting(current.bundles))

    def parties(self) -> tuple[PartyBundle, ...]:
        """Return all partners in order of their ids."""
        blocked = self._blocked()
        return tuple(without(one, blocked.get(one.party, _NOTHING)) for one in self.stated())

    def stated(self) -> tuple[PartyBundle, ...]:
        """Return all partners in order of their ids, as they state themselves: also what we refuse of them."""
        bundles = self._current().bundles
        return tuple(bundles[party] for party in sorted(bundles))

    def party(self, party: str) -> PartyBundle:
        """Return the bundle of a partner, or raise `UnknownParty`."""
        try:
            bundle = without(self._current().bundles[party], self._refused(party))
        except KeyError:
            raise UnknownParty(f"no bundle of that party in {self._folder.name}/") from None
        if not bundle.tls_ca_pem:
            raise UnknownParty("every TLS authority of that party is refused here")
        return bundle

    def partner_by_pin(self, pin: bytes) -> PartyBundle | None:
        """Return the partner whose TLS leaf has that pin."""
        snapshot = self._current()
        party = snapshot.pins.get(pin)
        if party is None:
            return None
        bundle = without(snapshot.bundles[party], self._refused(party))
        return bundle if pin in bundle.tls_pins and bundle.tls_ca_pem else None

    def authorities(self) -> bytes:
        """Return the PEM of all partners' TLS authorities."""
        return b"".join(bundle.tls_ca_pem for bundle in self.parties())

    def signing_key(self, party: str, kid: bytes, at: datetime) -> VerifyingKey:
        """Return a partner's key of that id, valid at a moment; raises `UnknownKey` or `KeyNotUsable`."""
        bundle = self._current().bundles.get(party)
        if bundle is None or not bundle.names(kid):
            raise UnknownKey("no such signing key of that party")
        if kid in self._refused(party):
            raise KeyNotUsable("this signing key is refused here")
        key = bundle.signing_key(kid, at)
        if key is None:
            raise KeyNotUsable("the signing key was not valid at that moment")
        return key

    def import_bundle(self, octets: bytes, stated: str) -> PartyBundle:
        """Trust a bundle whose fingerprint somebody read out as `stated`; durable when it returns.

        The same bytes again change nothing. Raises `MalformedBundle`, or `BundleRefused` for another
        fingerprint, our own bundle, a version that does not grow, or a pin or signing key that another
        partner has: then one of the two could speak for the other. An endpoint that is not to be one refuses it
        too; that it drops what we relied on does not, for whoever compares a fingerprint decides that.
        """
        bundle = PartyBundle.parse(octets)
        if _spoken(stated) != _spoken(fingerprint(octets)):
            raise BundleRefused(
                "this is not the bundle that was read out; compare all eight groups with its owner"
            )
        if bundle.party == self._own:
            raise BundleRefused("this is our own bundle; import those of partners")
        bundles = self._current().bundles
        known = bundles.get(bundle.party)
        if known is not None and known.to_bytes() == octets:
            return known
        self._demand_following(bundle, bundles)
        objection = self._rule.objection(bundle.endpoints)
        if objection:
            raise BundleRefused(objection)
        return self._follow(bundle, octets)

    def update_bundle(self, octets: bytes) -> PartyBundle:
        """Take a newer bundle of a partner that its own directory vouches for; durable when it returns.

        The same bytes again change nothing. Raises `MalformedBundle`, or `BundleRefused` for a party that was
        never imported by hand, a version that does not grow, or a key that another partner has; `EntryWaits` for
        one that drops what we rely on, which is put aside for people.
        """
        bundle = PartyBundle.parse(octets)
        bundles = self._current().bundles
        known = bundles.get(bundle.party)
        if known is None:
            raise BundleRefused(
                "a partner's first bundle is imported by hand, its fingerprint compared"
            )
        if known.to_bytes() == octets:
            return self.party(bundle.party)
        self._demand_following(bundle, bundles)
        why = self._objection(known, bundle)
        if why:
            self._put_aside(bundle.party, octets)
            raise EntryWaits(self._waiting_text(bundle, why))
        return self._follow(bundle, octets)

    def _refused(self, party: str) -> frozenset[bytes]:
        return self._blocked().get(party, _NOTHING)

    def _objection(self, known: PartyBundle, newer: PartyBundle) -> str:
        return dropped(known, newer) or self._rule.objection(newer.endpoints)

    def _waiting_text(self, bundle: PartyBundle, why: str) -> str:
        printed = fingerprint(bundle.to_bytes()).replace(" ", "-")
        return (
            f"version {bundle.version} waits for people, and the one in force stays: {why}. Compare {printed}"
            f" with its owner over the telephone, then `passerelle party import DIR"
            f" {self._folder.name}/{bundle.party}{WAITING}`"
        )

    def _put_aside(self, party: str, octets: bytes) -> None:
        path = self._folder / f"{party}{WAITING}"
        if not path.is_file() or path.read_bytes() != octets:
            atomic_file.replace(path, octets)

    def _waiting(self, bundles: dict[str, PartyBundle]) -> Iterator[Unreadable]:
        """Yield the entries that were put aside and are still newer than the one in force."""
        for party, known in bundles.items():
            path = self._folder / f"{party}{WAITING}"
            if not path.exists():
                continue
            try:
                bundle = PartyBundle.parse(user_files.read(path, MAX_BUNDLE))
            except (FileRefused, MalformedBundle):
                yield Unreadable(path.name, "cannot be read: remove it, and the entry comes again")
                continue
            why = self._objection(known, bundle)
            if bundle.version > known.version:
                yield Unreadable(path.name, self._waiting_text(bundle, why or "it was refused"))

    def _demand_following(self, bundle: PartyBundle, bundles: dict[str, PartyBundle]) -> None:
        known = bundles.get(bundle.party)
        if known is not None and bundle.version <= known.version:
            raise BundleRefused(
                f"version {bundle.version} of {bundle.party} does not follow {known.version},"
                " which is in force; ask for its newest bundle"
            )
        rival = _rival(bundle, bundles)
        if rival:
            raise BundleRefused(f"it has a TLS pin or signing key of {rival}; ask both of them")

    def _follow(self, bundle: PartyBundle, octets: bytes) -> PartyBundle:
        atomic_file.replace(self._folder / f"{bundle.party}.json", octets)
        (self._folder / f"{bundle.party}{WAITING}").unlink(missing_ok=True)  # it has been decided
        return self.party(bundle.party)  # read back, so that it is in force, and not only on disk

    def _current(self) -> _Snapshot:
        """Return what the folder says now, read again only where something in it changed."""
        try:
            stamp = _stamp(self._folder)
        except FileNotFoundError:
            stamp = ()
        with self._lock:
            if stamp != self._snapshot.stamp or not self._recorded:
                self._renew(self._reload(stamp))
            return self._snapshot

    def _renew(self, new: _Snapshot) -> None:
        """Put a snapshot in force once it is recorded; until then the old one, with the fault to see."""
        try:
            if self._register is not None:
                self._register.record(new.bundles.values())
        except PasserelleError:
            fault = Unreadable(self._folder.name, "a change could not be recorded, and waits")
            self._recorded = False
            self._snapshot = replace(self._snapshot, faults=(*new.faults, fault))
        else:
            self._recorded = True
            self._snapshot = new

    def _reload(self, stamp: tuple[tuple[str, int, int, int], ...]) -> _Snapshot:
        bundles: dict[str, PartyBundle] = {}
        faults = []
        for name, *_ in stamp:
            last = self._snapshot.bundles.get(name.removesuffix(".json"))
            try:
                bundle = self._read(name, last, bundles)
            except (FileRefused, MalformedBundle, BundleRefused) as error:
                faults.append(Unreadable(name, str(error)))
            except Exception as error:  # noqa: BLE001 - one file keeps no other partner out
                faults.append(Unreadable(name, f"cannot be read: {type(error).__name__}"))
            else:
                last = bundle
            if last is not None and not _rival(last, bundles):
                bundles[last.party] = last
        pins = {each: bundle.party for bundle in bundles.values() for each in bundle.tls_pins}
        return _Snapshot(stamp, bundles, pins, tuple(faults))

    def _read(
        self, name: str, last: PartyBundle | None, others: dict[str, PartyBundle]
    ) -> PartyBundle:
        bundle = PartyBundle.parse(user_files.read(self._folder / name, MAX_BUNDLE))
        if f"{bundle.party}.json" != name or bundle.party == self._own:
            raise BundleRefused(f"it is the bundle of {bundle.party}")
        if last is not None and bundle.version < last.version:
            raise BundleRefused(
                f"version {bundle.version} is older than {last.version}, which stays"
            )
        objection = self._register.objection(bundle) if self._register is not None else ""
        if objection:
            raise BundleRefused(objection)
        rival = _rival(bundle, others)
        if rival:
            raise BundleRefused(f"it has a TLS pin or signing key of {rival}")
        return bundle


def without(bundle: PartyBundle, refused: frozenset[bytes]) -> PartyBundle:
    """Return a bundle less the keys, pins and authorities that are refused.

    It may have none left of a kind; then nothing can be sealed to the party, or believed of it.
    """
    if not refused:
        return bundle
    pems = (pem for pem in authorities_in(bundle.tls_ca_pem) if pin(pem) not in refused)
    return replace(
        bundle,
        kem=tuple(key for key in bundle.kem if SealingKey(key.public).key_id not in refused),
        signing=tuple(
            key for key in bundle.signing if VerifyingKey(key.public).key_id not in refused
        ),
        tls_pins=tuple(each for each in bundle.tls_pins if each not in refused),
        tls_ca_pem=b"".join(pems),
    )


def hybrid(threshold: int, keytypes: Iterable[str]) -> bool:
    """Return whether a role needs a signature that a quantum computer cannot forge (keys.md section 3).

    Of a kind that is not known to withstand one we assume that it does not.
    """
    return sum(kind != POST_QUANTUM for kind in keytypes) < threshold


def _rival(bundle: PartyBundle, others: dict[str, PartyBundle]) -> str:
    """Return another party that has a TLS or signing key of `bundle`, or an empty string."""
    mine = _alone(bundle)
    for party, other in others.items():
        if party != bundle.party and mine & _alone(other):
            return party
    return ""


def _alone(bundle: PartyBundle) -> set[bytes]:
    """Return what no two parties share: pins of leaves and of the authority, and signing keys."""
    signing = (key.public for key in bundle.signing)
    authorities = (pin(each) for each in authorities_in(bundle.tls_ca_pem))
    return {*bundle.tls_pins, *authorities, *signing}


def _stamp(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return what changes whenever a bundle does: a rename brings another inode."""
    with os.scandir(folder) as entries:
        found = [
            _stamped(entry)
            for entry in entries
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        ]
    return tuple(sorted(found))


def _stamped(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    """Return what changes whenever a file does; a link that leads nowhere is a file that cannot be read."""
    try:
        status = entry.stat()
    except OSError:
        return entry.name, 0, 0, 0
    return entry.name, status.st_mtime_ns, status.st_size, status.st_ino


def _spoken(text: str) -> str:
    return re.sub(r"[\s-]", "", text).upper()
