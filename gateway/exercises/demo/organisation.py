"""An organisation asks with whatever its stations capture: ten fingers, a face, two irises, and all of them of one person.

No state may send all of that under Part 19.1, so the demonstration signs an arrangement of its own, made of the template
for organisations: three modalities, and the review clause that several of them demand. All people here are invented.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from gateway import user_files
from gateway.client import Answer, Partner
from gateway.client.local_settings import read_folder
from gateway.domain.messages import Modality, Outcome, Purpose, Sample
from gateway.domain.person import SubjectKind
from gateway.exercises.demo import parties
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.people import NATIONALITY
from gateway.exercises.demo.queries import DEADLINE, matter
from gateway.matching.modality import codec_of
from matcher.face import synthetic as faces
from matcher.finger import synthetic as fingers
from matcher.iris import record as iris_record
from matcher.iris import synthetic as irises

PARTY, LEGAL_NAME = "UNHCR", "Office of the United Nations High Commissioner for Refugees"
AGREEMENT = ("un-demo", 1)
KNOWN, UNKNOWN = (901, 902, 903), (904, 905)  # seeds of people who are enrolled, and who are not
CAPTURED = 7  # of the captures that are asked with; another one is enrolled
EYES = (1, 2)
TEN = tuple(range(1, 11))
KINDS = ("ten_finger_queries", "face_queries", "iris_queries", "fused_queries")
WORDS = ("with ten fingers", "with a face", "with two irises", "with all of them")
CONFLICT = "conflict"
EXTRACTORS = {Modality.FINGER: "synthetic-1", Modality.FACE: faces.MODEL}
_SUBSTITUTES = {
    '"«ID, LOWER CASE»"': f'"{AGREEMENT[0]}"',
    '"«TITLE OF THE ARRANGEMENT»"': '"For a demonstration: an arrangement with an organisation"',
    '"«PARTY»"': f'"{PARTY}"',
    '"«LEGAL NAME»"': f'"{LEGAL_NAME}"',
    "2027-01-01   # «DATE»": "2026-01-01",
    'FINGER = "Privacy Act 8(2)(f)"\n': "".join(
        f'{each.name} = "Privacy Act 8(2)(f)"\n' for each in Modality
    ),
    "[disclosure]\n": '[review]\nfloor_fpir = 1e-3\npersons = 1\nparagraph = "Privacy Act 6(2)"\n\n[disclosure]\n',
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the organisation's, and its answer.

    kind    one of `KINDS`, the fields of the summary that count them, or the conflict
    person  who it was about, by file number; "" for somebody who is not enrolled
    """

    kind: str
    person: str
    answer: Answer


def agreement() -> str:
    """Return the arrangement, made of the packaged template."""
    file = resources.files("gateway.law") / "agreements" / "template-organisation.toml"
    text = file.read_text(encoding="utf-8")
    for stated, instead in _SUBSTITUTES.items():
        if stated not in text:
            raise AssertionError(stated)
        text = text.replace(stated, instead)
    return text


def found(folder: Path) -> Party:
    """Make the organisation's home below a folder."""
    return parties.found(folder, PARTY, LEGAL_NAME)


def write_manifest(folder: Path) -> Path:
    """Write the samples of everybody who is enrolled, and the manifest that `gallery enrol` reads; return it."""
    folder.mkdir(mode=0o700)
    manifest = folder / "enrol.csv"
    with io.StringIO(newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ("path", "subject", "position", "extractor", "status", "nationalities", "modality")
        )
        for seed in KNOWN:
            for one in _samples(seed, 1):
                name = f"{_name(seed)}-{one.modality.name.lower()}-{one.position}"
                user_files.create(folder / name, one.data)
                kind = SubjectKind.FOREIGN_NATIONAL.name, NATIONALITY, one.modality.name.lower()
                rows.writerow((name, _name(seed), one.position, one.extractor, *kind))
        user_files.create(manifest, file.getvalue().encode())
    return manifest


def connect(organisation: Party, peer: str) -> Partner:
    """Return the organisation's side of an exchange with a party that it was introduced to."""
    folder = read_folder(organisation.home, peer, organisation.passphrase)
    return Partner.connect(folder.party, folder.keyset, folder.peer, witness=folder.witness)


def ask(partner: Partner) -> tuple[Asked, ...]:
    """Ask about everybody with each kind of sample and with all of them, and once with two people's samples in one query."""
    asked = [
        Asked(kind, _name(seed) if seed in KNOWN else "", _query(partner, samples))
        for seed in (*KNOWN, *UNKNOWN)
        for kind, samples in _kinds(_samples(seed, CAPTURED)).items()
    ]
    one, other = (_samples(seed, CAPTURED) for seed in KNOWN[:2])
    mixed = [
        *(each for each in one if each.modality is not Modality.FACE),
        *(each for each in other if each.modality is Modality.FACE),
    ]
    return *asked, Asked(CONFLICT, _name(KNOWN[0]), _query(partner, mixed))


def judged(asked: Sequence[Asked], hits: Mapping[str, str]) -> tuple[Promise, Promise]:
    """Return what must hold of the answers; `hits` says by transaction number whom the auditor's key sees found."""
    plain = [each for each in asked if each.kind != CONFLICT]
    wrong = [each for each in plain if _is_wrong(each, hits)]
    matched = [each for each in plain if each.answer.outcome is Outcome.MATCH]
    missed = {
        kind: sum(1 for each in plain if each.kind == kind and each.person and each not in matched)
        for kind in dict.fromkeys(each.kind for each in plain)
    }
    told = ", ".join(
        f"{len(KNOWN) - number} of {len(KNOWN)} {words}"
        for words, number in zip(WORDS, missed.values(), strict=True)
    )
    (conflict,) = (each for each in asked if each.kind == CONFLICT)
    return (
        Promise(
            "an organisation asks with ten fingers, a face, two irises and all of them: nobody is found wrongly",
            f"found: {told}; {len(wrong)} wrong of {len(matched)} hits",
            not wrong and not missed[KINDS[0]] and not missed[KINDS[3]],
        ),
        Promise(
            "fingers of one person with another's face go to an examiner, never to an average",
            conflict.answer.outcome.name,
            conflict.answer.outcome is Outcome.REVIEW_PENDING,
        ),
    )


def count(asked: Sequence[Asked], kind: str) -> int:
    """Return how many questions were of a kind."""
    return sum(each.kind == kind for each in asked)


def _is_wrong(one: Asked, hits: Mapping[str, str]) -> bool:
    if one.answer.outcome is not Outcome.MATCH:
        return False
    return not one.person or hits.get(one.answer.transaction_number) != one.person


def _kinds(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    of = {each: [one for one in samples if one.modality is each] for each in Modality}
    each = of[Modality.FINGER], of[Modality.FACE], of[Modality.IRIS], list(samples)
    return dict(zip(KINDS, each, strict=True))


def _samples(seed: int, capture: int) -> list[Sample]:
    """Return one capture of everything of a person who does not exist."""
    who, eyes = fingers.person(seed), irises.person(seed, irises.CLEAR)
    prints = [
        codec_of(Modality.FINGER).sample(
            fingers.record(fingers.impression(who, position, capture), position),
            position,
            EXTRACTORS[Modality.FINGER],
        )
        for position in TEN
    ]
    face = codec_of(Modality.FACE).sample(faces.record(seed, capture), 0, EXTRACTORS[Modality.FACE])
    codes = [irises.capture(eyes, eye, capture) for eye in EYES]
    both = [
        codec_of(Modality.IRIS).sample(iris_record.write(eye, code), eye, code.coder.label)
        for eye, code in zip(EYES, codes, strict=True)
    ]
    return [*prints, face, *both]


def _query(partner: Partner, samples: Sequence[Sample]) -> Answer:
    about = matter("demo", Purpose.VISA_PERMIT_BENEFIT, AGREEMENT)
    return partner.query(samples, deadline=DEADLINE, **about)


def _name(seed: int) -> str:
    return f"U-{seed}"
