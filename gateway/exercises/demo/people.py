"""Who is asked about: people made of real records, or people who do not exist, and who of them is enrolled.

Records are files named `<finger>_<impression>.<anything>`, a folder for each database, the extractor's
name above it. Two fingers of one database make a person, right and left index; impression 1 is the one
that is enrolled, all others are asked with. The data tell nobody's sex, age or name, and need not.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from gateway import user_files
from gateway.domain.messages import Modality, Sample
from gateway.domain.person import SubjectKind
from gateway.errors import UserError
from gateway.matching.modality import codec_of
from keys import atomic_file
from matcher.errors import MalformedRecord
from matcher.finger import record_fmr, synthetic

BESIDE = Path("shared", "data", "fingerprint")  # where records lie beside the repository
UP = 2  # folders above, where they are looked for; what lies further away is nobody's repository
POSITIONS = (2, 7)  # right and left index finger (ANSI/NIST-ITL 14.013)
ENROLLED_IMPRESSION = 1
FEWEST_ENROLLED = 3  # one who is spoken of, one whose record is wrong, one who is a citizen
PAIRED_FROM = 8  # fingers of one database from which two are taken for a person, and one before
MOST_PEOPLE = 20  # asked about; ten fingers of four databases, two a person
MOST_IMPRESSIONS = 7  # asked with, for each person
INVENTED_IMPRESSIONS = 5  # of people who do not exist, the enrolled one among them
NATIONALITY = "IND"  # ISO alpha-3; of everybody but the citizen, a third country to both parties
CITIZENSHIP = "CAN"
INVENTED_EXTRACTOR = "synthetic"
NEVER_ENROLLED = (2, 4)  # of five people the third and the fifth are never enrolled
MAX_RECORD = 65_536  # bytes; what the gateway itself reads of a file

_name = re.compile(r"(?P<finger>.+)_(?P<impression>[0-9]{1,3})\.[^.]+")
_unfit = re.compile(r"[^A-Za-z0-9._ -]")


@dataclass(frozen=True, slots=True)
class Print:
    """One record of one finger; `path` is empty where no file holds it yet."""

    position: int
    data: bytes = field(repr=False)
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to ask about.

    pseudonym    what the queries call the person
    origin       which database and fingers, for the reader of the table
    enrolled     whether impression 1 goes into the gallery
    impressions  prints by number of the impression
    citizen      whether a citizen of the party that is asked, of whom it says nothing (IRPR 315.36)
    """

    pseudonym: str
    origin: str
    enrolled: bool
    impressions: Mapping[int, Sequence[Print]] = field(repr=False)
    citizen: bool = False

    @property
    def asked_with(self) -> tuple[int, ...]:
        """The impressions that were not enrolled, which are asked with."""
        others = sorted(set(self.impressions) - {ENROLLED_IMPRESSION})
        return tuple(others[:MOST_IMPRESSIONS])


@dataclass(frozen=True, slots=True)
class Cast:
    """All the people, and in words where their prints come from."""

    people: tuple[Person, ...]
    source: str
    extractor: str
    invented: bool

    @property
    def known(self) -> tuple[Person, ...]:
        """Those in the gallery of whom a partner may learn."""
        return tuple(one for one in self.people if one.enrolled and not one.citizen)

    def samples(self, prints: Sequence[Print]) -> tuple[Sample, ...]:
        """Return prints as a query carries them."""
        return tuple(
            codec_of(Modality.FINGER).sample(one.data, one.position, self.extractor)
            for one in prints
        )


def find_records(start: Path) -> Path | None:
    """Return the folder of records beside `start` or one of the next folders above it, or None."""
    for folder in (start, *start.parents[:UP]):
        if (folder / BESIDE).is_dir():
            return folder / BESIDE
    return None


def from_folder(folder: Path) -> Cast:
    """Return people made of the records in a folder; of several extractors the one with most records.

    Raises `UserError` where there are too few records to ask anything with.
    """
    by_extractor: dict[str, dict[Path, _Fingers]] = defaultdict(dict)
    for database, fingers in _databases(folder.absolute()).items():
        by_extractor[database.parent.name][database] = fingers
    sizes = {name: sum(map(_count, held.values())) for name, held in by_extractor.items()}
    for extractor in sorted(sizes, key=lambda name: (-sizes[name], name)):
        people = _cast(by_extractor[extractor])
        known = sum(one.enrolled for one in people)
        if FEWEST_ENROLLED <= known < len(people):
            source = (
                f"{sizes[extractor]} records in {os.path.relpath(folder)}, extractor {extractor}"
            )
            return Cast(people, source, _unfit.sub("-", extractor)[:64] or "unstated", False)
    raise UserError(
        f"{folder} holds too few records: wanted are ISO/IEC 19794-2:2005 or INCITS 378-2004 files named"
        " <finger>_<impression>.<suffix>, of at least four fingers, two impressions each"
    )


def with_citizen(cast: Cast) -> Cast:
    """Return the same people, of whom the last one enrolled is a citizen of the party that is asked."""
    chosen = cast.known[-1]
    people = tuple(replace(one, citizen=True) if one is chosen else one for one in cast.people)
    return replace(cast, people=people)


def by_turns(number: int) -> bool:
    """Return whether the person of a number is enrolled: of five, the third and the fifth never are."""
    return number % 5 not in NEVER_ENROLLED


def invented(
    seeds: Iterable[int] = range(1, MOST_PEOPLE + 1),
    impressions: Iterable[int] = range(1, INVENTED_IMPRESSIONS + 1),
    enrolled: Callable[[int], bool] = by_turns,
) -> Cast:
    """Return people who do not exist, one a seed, with the impressions that are wanted of each."""
    wanted = tuple(impressions)
    made = []
    for number, seed in enumerate(seeds):
        who = synthetic.person(seed)
        prints = {
            impression: tuple(_invented(who, position, impression) for position in POSITIONS)
            for impression in wanted
        }
        made.append(_person(number, f"synthetic {seed}", prints, enrolled(number)))
    source = "records that matcher.finger.synthetic makes; no real person has them"
    return Cast(tuple(made), source, INVENTED_EXTRACTOR, True)


def _invented(who: synthetic.Person, position: int, impression: int) -> Print:
    minutiae = synthetic.impression(who, position, impression)
    return Print(position, synthetic.record(minutiae, position))


def write_manifest(cast: Cast, folder: Path) -> Path:
    """Write what `gallery enrol` reads: which file is whose finger; its records lie beside it."""
    folder.mkdir(mode=0o700)
    manifest = folder / "enrol.csv"
    with io.StringIO(newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "subject", "position", "extractor", "status", "nationalities"))
        for person in cast.people:
            for one in person.impressions[ENROLLED_IMPRESSION] if person.enrolled else ():
                name = f"{person.pseudonym}-{one.position}_{ENROLLED_IMPRESSION}.fmr"
                with atomic_file.exclusive(
                    folder / name
                ) as record:  # thousands: not each is flushed
                    record.write(one.data)
                status = standing(person)
                rows.writerow((name, person.pseudonym, one.position, cast.extractor, *status))
        user_files.create(manifest, file.getvalue().encode())
    return manifest


def standing(person: Person) -> tuple[str, str]:
    """Return what a person is to the law, and of which nationality."""
    if person.citizen:
        return SubjectKind.CITIZEN.name, CITIZENSHIP
    return SubjectKind.FOREIGN_NATIONAL.name, NATIONALITY


_Fingers = Mapping[str, Mapping[int, Print]]  # finger → impression → print, position not yet said


def _databases(folder: Path) -> dict[Path, _Fingers]:
    """Return the readable records below a folder, by the folder that holds them."""
    found: dict[Path, dict[str, dict[int, Print]]] = {}
    for path in sorted(folder.rglob("*")):
        named = _name.fullmatch(path.name)
        if named is None or not path.is_file() or path.stat().st_size > MAX_RECORD:
            continue
        data = path.read_bytes()
        try:
            views = record_fmr.read(data).views
        except MalformedRecord:
            continue
        if len(views) == 1:
            fingers = found.setdefault(path.parent, {})
            one = Print(views[0].position, data, path)
            fingers.setdefault(named["finger"], {})[int(named["impression"])] = one
    return {database: found[database] for database in sorted(found)}


def _count(fingers: _Fingers) -> int:
    return sum(len(impressions) for impressions in fingers.values())


def _cast(databases: Mapping[Path, _Fingers]) -> tuple[Person, ...]:
    """Return people by turns from every database, so that a few are as mixed as many."""
    each = [list(_pairs(path.name, fingers)) for path, fingers in databases.items()]
    mixed = [one for turn in zip_longest(*each) for one in turn if one is not None]
    chosen = sorted(mixed[:MOST_PEOPLE], key=lambda one: one[0])
    return tuple(
        _person(number, origin, prints, by_turns(number))
        for number, (origin, prints) in enumerate(chosen)
    )


def _pairs(database: str, fingers: _Fingers) -> Iterator[tuple[str, dict[int, tuple[Print, ...]]]]:
    """Yield people of two fingers; of one where there are too few, or the records say which they are."""
    usable = [name for name, prints in sorted(fingers.items()) if ENROLLED_IMPRESSION in prints]
    stated = any(one.position for prints in fingers.values() for one in prints.values())
    each = 2 if len(usable) >= PAIRED_FROM and not stated else 1
    for first in range(0, len(usable) - each + 1, each):
        names = usable[first : first + each]
        shared = set.intersection(*(set(fingers[name]) for name in names))
        prints = {
            impression: tuple(
                _placed(fingers[name][impression], nth) for nth, name in enumerate(names)
            )
            for impression in sorted(shared)
        }
        if len(prints) > 1:
            yield f"{database} {'+'.join(names)}", prints


def _placed(one: Print, nth: int) -> Print:
    """Declare which finger a print is of, where its record does not say."""
    return Print(one.position or POSITIONS[nth], one.data, one.path)


def _person(
    number: int,
    origin: str,
    impressions: Mapping[int, Sequence[Print]],
    enrolled: bool,  # noqa: FBT001 - as in Person
) -> Person:
    return Person(f"P-{number + 1:02}", origin, enrolled, impressions)
