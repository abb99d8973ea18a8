"""All seeds under a new key above the keys: the file is the old one or the new one, whenever it stops.

    (1) every seed is unwrapped and wrapped anew, into `keyset.json.next`
    (2) that file is read back from the disk: each seed unwraps under the new key and gives its key id, and
        nothing else differs from the keyset in force
    (3) the journal, `rewrap.json`: which custody, and the SHA-256 of the new file
    (4) one rename: from here on the new key is in force
    (5) the rest follows: the copy `.last`, the place of the new key, the settings, the ledger
    (6) the journal goes

Up to (4) the keyset in force is untouched, and a run that stopped is simply begun again. After it whoever
opens the gateway finishes (5) and (6). Which of the two it was, the journal's digest says without a passphrase.
A new `file:` key is made at `.next` of its place, which may be the old one's, and moves there in (5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from keys import atomic_file, keyset_file
from keys.custody import SCHEME_FILE, Custody
from keys.errors import CustodyFault, DamagedFile
from keys.keyset import Keyset

FORMAT = "passerelle rewrap 1"
JOURNAL = "rewrap.json"
_NAMES = frozenset({"format", "to", "beside", "digest"})


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the keys go.

    to      URI of the new custody, as the settings write it
    beside  whether the new key is a file: then it is made at `.next` of its place, and moves there in (5)
    """

    to: str
    beside: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """A plan that was not finished; `done` once the new key is in force."""

    plan: Plan
    done: bool


def next_of(path: Path) -> Path:
    """Return where the successor of a file is made."""
    return path.with_name(path.name + ".next")


def pending(file: Path) -> Pending | None:
    """Return the plan that the journal beside a keyset's file names, if there is one."""
    journal = file.with_name(JOURNAL)
    if not journal.exists():
        return None
    fields = atomic_file.Fields(
        journal, atomic_file.decode(journal, atomic_file.read(journal)), _NAMES
    )
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    plan = Plan(fields.text("to"), bool(fields.number("beside")))
    try:
        done = sha256(file.read_bytes()).hexdigest() == fields.text("digest")
    except OSError:
        done = False
    return Pending(plan, done)


def in_force(file: Path, uri: str, at: Callable[[str], Path]) -> str:
    """Return the URI of the custody that a keyset's file needs now, with its path as `at` sees it.

    uri   what the settings say; after an interrupted change the journal knows better
    """
    found = pending(file)
    plan = found.plan if found is not None and found.done else None
    scheme, _, place = (uri if plan is None else plan.to).partition(":")
    if scheme != SCHEME_FILE:
        return uri if plan is None else plan.to
    path = at(place)
    if plan is not None and plan.beside and next_of(path).exists():
        path = next_of(path)
    return f"{SCHEME_FILE}:{path}"


def prepare(file: Path, keyset: Keyset, custody: Custody, plan: Plan) -> Keyset:
    """Do (1) to (3) and return the keyset as it will be. Raises CustodyFault where anything differs."""
    new, draft = keyset.rewrapped(custody), next_of(file)
    atomic_file.replace(draft, new.sealed())  # (1)
    _compare(draft, keyset, custody)  # (2)
    journal = {
        "format": FORMAT,
        "to": plan.to,
        "beside": int(plan.beside),
        "digest": sha256(draft.read_bytes()).hexdigest(),
    }
    atomic_file.replace(file.with_name(JOURNAL), atomic_file.encode(journal))  # (3)
    return new


def commit(file: Path) -> None:
    """Do (4): one rename."""
    atomic_file.rename(next_of(file), file)


def settle(file: Path, place: Path | None) -> None:
    """Do the part of (5) that is files beside the keyset; done twice it changes nothing.

    place   where the new `file:` key belongs, where it was made beside the old one
    """
    content = atomic_file.read(file)
    if content != _read_or_nothing(keyset_file.last_of(file)):
        atomic_file.replace(keyset_file.last_of(file), content)
    if place is not None and next_of(place).exists():
        atomic_file.rename(next_of(place), place)


def sweep(file: Path) -> None:
    """Put away what a kill left beside a keyset where no journal is open: drafts, and files half written.

    Only for who holds the gateway. A draft has seeds that the keyset may have lost since.
    """
    litter = [*file.parent.glob("*.next"), *file.parent.glob(".*.json*")]
    for left in litter:
        left.unlink(missing_ok=True)
    if litter:
        atomic_file.flush_folder(file.parent)


def clear(file: Path) -> None:
    """Do (6), or put away what a run before (4) left; the journal last."""
    if next_of(file).exists():
        atomic_file.remove(next_of(file))
    atomic_file.remove(file.with_name(JOURNAL))


def _compare(draft: Path, keyset: Keyset, custody: Custody) -> None:
    read = Keyset.load(draft, custody)
    same = [record.standing() for record in read.records] == [
        record.standing() for record in keyset.records
    ]
    if not same or [bool(r.wrapped) for r in read.records] != [
        bool(r.wrapped) for r in keyset.records
    ]:
        raise CustodyFault("what was wrapped anew is not what was there; nothing was changed")


def _read_or_nothing(path: Path) -> bytes:
    try:
        return atomic_file.read(path)
    except (CustodyFault, DamagedFile):
        return b""
