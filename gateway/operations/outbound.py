"""The caseworkers' operations: partners are asked, answers are shown and used."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.domain.messages import (
    MOST_IMPRESSIONS,
    POSITIONS,
    UNKNOWN_POSITION,
    UNSTATED,
    Missing,
    Modality,
    Presence,
    Purpose,
    ServiceLevel,
)
from gateway.domain.person import FieldCode, SubjectKind
from gateway.errors import UserError
from gateway.operations.declaration import Form, Request, Role, argument, operation
from gateway.operations.forms import (
    FILE_NUMBER,
    FLAG,
    PARTY,
    PSEUDONYM,
    TRANSACTION,
    Paged,
    members,
    named,
    number,
    reason,
    several,
    text,
)

_CASEWORKERS: Final = frozenset({Role.CASEWORKER})
_LONGEST_RECORD: Final = 1_400_000  # characters of base64: of an image of a megabyte
_COUNTRIES: Final = text(  # codes are looked up, word for word, where the lists are
    r"[A-Za-z]{1,8}(,[A-Za-z]{1,8}){0,15}",
    "codes of three capitals with commas between, e.g. IRN,SYR",
)
_ALL_FIELDS: Final = several(FieldCode)
_NO_FIELD: Final = "name at least one; ask for what the case needs"


def _octets(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004 - the one error of a form
    if len(value) > _LONGEST_RECORD:
        raise ValueError("has more than a megabyte, which no partner takes: compress the image")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError from None  # its words are of no use to whoever wrote it


@dataclass(frozen=True, slots=True)
class GivenSample:
    """A sample to ask by: what it is of as whoever asks says, and the record or image, as it lies in their file.

    extractor   software that made the record; UNSTATED where nobody says, or the record itself does
    ppi         pixels per inch of a picture that does not say it; 0 = it does
    """

    modality: Modality
    position: int
    data: bytes = field(repr=False)
    extractor: str = UNSTATED
    ppi: int = 0


_SAMPLES: Final = members(
    sum(len(places) * MOST_IMPRESSIONS[each] for each, places in POSITIONS.items()),
    {
        "modality": named(Modality),
        "position": number(UNKNOWN_POSITION, POSITIONS[Modality.FINGER][-1]),
        "data": Form(take=_octets, wrong="write the record in base64"),
        "extractor": text(
            r"[A-Za-z0-9._-]{1,48}",
            "at most 48 letters, digits and . _ -, e.g. acme-extractor-2.1",
        ),
        "ppi": number(0, 65_535),
    },
    needed=("modality", "position", "data"),
)
_MISSING: Final = members(
    len(POSITIONS[Modality.FINGER]),
    {
        "position": number(POSITIONS[Modality.FINGER][0], POSITIONS[Modality.FINGER][-1]),
        "presence": named(Presence),
    },
    needed=("position", "presence"),
)


def _given(value: object) -> tuple[GivenSample, ...]:
    found = tuple(GivenSample(**each) for each in _SAMPLES.take(value))
    for index, each in enumerate(found):
        unknown = each.modality is Modality.FINGER and each.position == UNKNOWN_POSITION
        if not unknown and each.position not in POSITIONS[each.modality]:
            raise ValueError(f"[{index}].position: {each.modality.name} has no such position")
    return found


def _missing(value: object) -> tuple[Missing, ...]:
    return tuple(Missing(**each) for each in _MISSING.take(value))


def _necessary(value: object) -> tuple[FieldCode, ...]:
    fields = _ALL_FIELDS.take(value)
    if not fields:
        raise ValueError(_NO_FIELD)
    return fields


def _case() -> Any:  # noqa: ANN401 - as `argument`
    return argument(PSEUDONYM, help="Pseudonym of the case; never a name.")


def _unit() -> Any:  # noqa: ANN401 - as `argument`
    return argument(PSEUDONYM, help="Pseudonym of the asking unit.")


def _number() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        TRANSACTION, help="Transaction number of our query.", metavar="TXN", positional=True
    )


def _partner() -> Any:  # noqa: ANN401 - as `argument`
    return argument(
        PARTY,
        default="",
        help="The partner asked, where the number is not enough.",
        metavar="ID",
    )


@operation(
    "ask",
    roles=_CASEWORKERS,
    sends=True,
    command="outbound query",
    examples=(
        (
            "passerelle outbound query can --to AUS --agreement au@1 --purpose VISA_PERMIT_BENEFIT --case C-17 --unit U-3"
            " --status FOREIGN_NATIONAL --nationality SYR --finger 2=index.fmr"
        ),
        (
            "passerelle outbound query can --to AUS --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-18 --unit U-3"
            " --status CLAIMANT --nationality IRN --alleged-persecution AUS --finger 2=index.fmr   # blocked"
        ),
        (
            "passerelle outbound query can --to IOM --agreement iom@1 --purpose VISA_PERMIT_BENEFIT --case C-19 --unit U-3"
            " --status FOREIGN_NATIONAL --nationality SYR card.an2 --face face.jpg --iris 1=right.iri"
        ),
    ),
)
class Ask(Request):
    """Ask partners whether they know a person, as the case system states that person.

    What our law does not allow is stopped before anything leaves, and recorded under a number too. What came back, or
    why nothing did, is shown by `outbound show`. Stopped or refused by every partner: exit code 1.
    """

    partner: str = argument(PARTY)
    agreement: str = argument(
        text(
            r"[a-z][a-z0-9-]{0,31}@[1-9][0-9]{0,8}",
            "ID@VERSION as `passerelle agreements list` shows it, e.g. au@1",
        )
    )
    purpose: Purpose = argument(
        named(Purpose), help=f"One of {', '.join(each.name for each in Purpose if each)}."
    )
    case: str = _case()
    unit: str = _unit()
    status: SubjectKind = argument(
        named(SubjectKind),
        help=f"Of the person: {', '.join(each.name for each in SubjectKind if each)}.",
    )
    nationalities: str = argument(_COUNTRIES, default="")
    alleged_persecution_region_codes: str = argument(_COUNTRIES, default="")
    claimant: bool = argument(FLAG, default=False, help="The person has claimed refuge here.")
    prior: str = argument(
        TRANSACTION,
        default="",
        help="Instead of records: a query received from this partner.",
        metavar="TXN",
    )
    subject: str = argument(
        FILE_NUMBER, default="", help="Our own client, where it is one.", metavar="FILE-NUMBER"
    )
    samples: tuple[GivenSample, ...] = argument(
        Form(take=_given, wrong=_SAMPLES.wrong, typed=list), default=()
    )
    service_level: ServiceLevel = argument(named(ServiceLevel), default=ServiceLevel.REAL_TIME)
    missing: tuple[Missing, ...] = argument(
        Form(take=_missing, wrong=_MISSING.wrong, typed=list), default=()
    )

    def __post_init__(self) -> None:
        """Refuse both samples and a query in their place, and neither."""
        if bool(self.samples) == bool(self.prior):
            raise UserError(
                "give either fingers, a face or irises, or the number of a query received from this partner"
            )
        if self.missing and self.prior:
            raise UserError("missing: a query by number has no fingers that could be missing")


@operation(
    "asked.list",
    roles=_CASEWORKERS,
    command="outbound list",
    examples=("passerelle outbound list can", "passerelle outbound list can --case C-17 --json"),
)
class List(Paged):
    """List what we asked and where it stands, what our own law stopped too; outcomes are shown by `outbound show`."""

    case: str = argument(PSEUDONYM, default="", help="Of this case alone.")


@operation(
    "asked.show",
    roles=_CASEWORKERS,
    command="outbound show",
    examples=(
        "passerelle outbound show can 20260301-0123456789abcdef0123",
        "passerelle outbound show can 20260301-0123456789abcdef0123 --all",
    ),
)
class Show(Paged):
    """Show an answer, or why there is none; that it was shown is recorded. Whether it was used, say with `passerelle outbound use`.

    Photographs make an answer long: a page holds a few, and each page that is shown is recorded.
    """

    number: str = _number()
    partner: str = _partner()


@operation(
    "asked.details",
    roles=_CASEWORKERS,
    sends=True,
    command="outbound details",
    examples=(
        "passerelle outbound details can 20260301-0123456789abcdef0123 --field LAST_NAME --case C-17 --unit U-3",
    ),
)
class Details(Request):
    """Ask for fields of the person of a match; they are kept sealed with the answer, see `outbound show`."""

    number: str = _number()
    fields: tuple[FieldCode, ...] = argument(
        replace(_ALL_FIELDS, take=_necessary, missing=_NO_FIELD),
        help="May be repeated; only what the case needs.",
        metavar="FIELD",
        option=("--field",),
    )
    case: str = _case()
    unit: str = _unit()
    partner: str = _partner()


@operation(
    "asked.irrelevant",
    roles=_CASEWORKERS,
    command="outbound irrelevant",
    examples=(
        "passerelle outbound irrelevant can 20260301-0123456789abcdef0123 --reason 'another case'",
    ),
)
class Irrelevant(Request):
    """Destroy an answer that is not relevant and was not used, with its details, at once (IRPR 315.26).

    What was used is kept, and so is what a hold keeps. There is no way back.
    """

    number: str = _number()
    reason: str = reason(help="Why it is not relevant; it goes into the ledger.", metavar="TEXT")
    partner: str = _partner()


@operation(
    "use.record",
    roles=_CASEWORKERS,
    command="outbound use",
    examples=("passerelle outbound use can 20260301-0123456789abcdef0123 --in R-17",),
)
class Use(Request):
    """Record that an answer was used for an administrative purpose; it is then kept for two years at least."""

    number: str = _number()
    used_in: str = argument(
        PSEUDONYM,
        help="The record whose decision used it.",
        metavar="RECORD",
        option=("--in",),
    )
    partner: str = _partner()
