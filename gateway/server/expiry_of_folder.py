"""What ends in a home directory that nobody serves: keys, officer certificates, agreements, partners' keys, the directory's roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from gateway import config
from gateway.agreements.active import read_folder
from gateway.agreements.signatures import Vetted, vetted
from gateway.config import Settings
from gateway.directory.publication import of_files
from gateway.errors import PasserelleError
from gateway.monitoring import expiry
from gateway.monitoring.expiry import Expiring, ExpiryNotice, Keys, Level
from gateway.store.address import open_store
from gateway.store.engine import Reader
from gateway.store.keys import adopted_versions, blocklist, kek_custody
from gateway.store.people import staff
from gateway.trust.configured import directory_of
from gateway.trust.directory_files import FOLDER, DirectoryFiles
from gateway.trust.partners import own_bundle
from keys.errors import KeysError


def of_folder(home: Path, keyset: Keys | None, now: datetime) -> tuple[ExpiryNotice, ...]:
    """Return what ends, the soonest first; what cannot be read is reported by another check.

    keyset   None where it could not be opened, or read
    """
    settings = config.load(home)
    party = settings.gateway.party
    sources: list[Callable[[], Iterable[Expiring]]] = [
        lambda: () if keyset is None else expiry.of_keyset(keyset),
        lambda: () if keyset is None else expiry.of_kek(keyset, _kek_since(settings)),
        lambda: expiry.of_staff(_members(settings), now),
        lambda: expiry.of_agreements(agreements(home, now).agreements, now),
        lambda: expiry.of_partners(
            directory_of(settings, None, lambda: _blocked(settings)).parties()
        ),
        lambda: of_files(DirectoryFiles(home / FOLDER), party),
    ]
    things: list[Expiring] = []
    for source in sources:
        with suppress(PasserelleError, KeysError, OSError):
            things += source()
    return expiry.outlook(now, things)


def expiry_line(one: ExpiryNotice, now: datetime) -> str:
    """Return the line about a thing that ends: nouns first, the next step last."""
    thing = one.thing
    verb = "ended" if thing.ends <= now else "ends"
    whose = f"{thing.partner} " if thing.partner else ""
    way = f" → {thing.remedy}" if one.level is not Level.FINE else ""
    return f"{whose}{thing.kind.value} {thing.name} {verb} {thing.ends:%Y-%m-%d %H:%M}{way}"


def agreements(home: Path, now: datetime) -> Vetted:
    """Return what a gateway would take of a folder's agreements, and what it would not, naming file and line."""
    settings, own = config.load(home), own_bundle(home)
    folder = read_folder(settings.agreements.folder)
    with _reading(settings) as reader:
        adopted = adopted_versions.adopted(reader, adopted_versions.Subject.AGREEMENT)
        kept = adopted_versions.texts(reader)
    return vetted(folder, lambda kid: own.signing_key(kid, now), adopted, kept, own.party)


def refused(settings: Settings) -> Callable[[str], frozenset[bytes]]:
    """Return what this gateway refuses of a partner's keys, as its store has it now."""
    blocked = _blocked(settings)
    return lambda party: blocked.get(party, frozenset())


def _blocked(settings: Settings) -> Mapping[str, frozenset[bytes]]:
    with _reading(settings) as reader:
        return blocklist.blocked_by_party(reader)


def _kek_since(settings: Settings) -> datetime | None:
    with _reading(settings) as reader:
        return kek_custody.since(reader)


def _members(settings: Settings) -> list[staff.Member]:
    with _reading(settings) as reader:
        return staff.members(reader)


@contextmanager
def _reading(settings: Settings) -> Iterator[Reader]:
    with closing(open_store(settings.store.path)) as database, database.reader() as reader:
        yield reader
