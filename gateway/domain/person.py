"""The nouns of what follows a match: a person's status and record, and what is disclosed of it.

Standard library only, all frozen; numbers of the enumerations are those of `proto/gateway/v1`. Countries
are ISO 3166-1 alpha-3 codes, or those of ICAO 9303-3 section 5. Times are aware datetimes in UTC, whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType

TEXT = "text/plain"  # media type of a datum that is text, in UTF-8
IMAGES = frozenset({"image/jpeg", "image/png"})  # media types of a photograph


class SubjectKind(IntEnum):
    """What a person is to Canadian law (IRPA s. 2(1); IRPR 315.21, 315.28, 315.36)."""

    UNKNOWN = 0
    CITIZEN = 1
    PERMANENT_RESIDENT = 2
    FOREIGN_NATIONAL = 3
    CLAIMANT = 4


class FieldCode(IntEnum):
    """A datum that a paragraph of IRPR Part 19.1 lets one party disclose to another."""

    LAST_NAME = 1
    FIRST_NAME = 2
    DATE_OF_BIRTH = 3
    GENDER = 4
    COUNTRY_OF_BIRTH = 5
    ALIAS = 6
    CITIZENSHIP = 7
    TRAVEL_DOCUMENT_NUMBER = 8
    PHOTOGRAPH = 9
    FINGERPRINTS = 10
    PASSPORT_ISSUING_COUNTRY = 11
    IMMIGRATION_STATUS = 12
    ADMISSIBILITY_INFO = 13
    ADMISSIBILITY_DECISION = 14
    PRIOR_REQUIREMENTS_FAILURE = 15
    PROTECTION_DECISION = 16
    APPLICATION_HISTORY = 17
    CLAIM_IDENTITY = 18
    CLAIM_PROCESSING = 19
    CLAIM_EXCLUSION = 20
    CLAIM_HISTORY = 21


class Ground(IntEnum):
    """Why information is refused (IRPR 315.25(4), 315.41(3))."""

    DOMESTIC_LAW = 1
    SOVEREIGNTY = 2
    NATIONAL_SECURITY = 3
    PUBLIC_POLICY = 4
    OTHER_NATIONAL_INTEREST = 5


class Scope(IntEnum):
    """How much is refused."""

    ALL = 1
    PART = 2


class DetailsOutcome(IntEnum):
    """Whether details are disclosed; UNAVAILABLE has one face whatever its cause."""

    DISCLOSED = 1
    UNAVAILABLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the law asks of a person before anything is revealed.

    nationalities   all of them, Canada's included; a dual citizen has two
    persecutors     countries in which the person alleges persecution (IRPR 315.3, 315.4(2))
    no_persecutor   that it is none was said; without it an empty `persecutors` says that nobody answered
    confirmed       when the case system last confirmed this; None = never
    """

    kind: SubjectKind
    nationalities: frozenset[str] = frozenset()
    persecutors: frozenset[str] = frozenset()
    no_persecutor: bool = False
    confirmed: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse an answer that contradicts itself."""
        if self.persecutors and self.no_persecutor:
            raise ValueError("persecution is alleged somewhere and nowhere")


NOBODY = Status(kind=SubjectKind.UNKNOWN)  # of whom nothing is known; the law masks it


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of a record: text in UTF-8, or an image."""

    value: bytes = field(repr=False)
    mime_type: str = TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is held of a person beside the prints.

    version   1 for the first, one more with each change; 0 = nothing was ever recorded
    """

    status: Status = NOBODY
    data: Mapping[FieldCode, Datum] = field(
        default_factory=lambda: MappingProxyType({}), repr=False
    )
    version: int = 0


@dataclass(frozen=True, slots=True)
class Caveat:
    """What the receiver of a datum must observe; code [A-Z0-9_]{1,32}."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One datum as it is disclosed. Without the paragraph that permits it, it cannot be built.

    source_version   version of the record that it was taken from
    """

    code: FieldCode
    value: bytes = field(repr=False)
    authority: str
    mime_type: str = TEXT
    caveats: tuple[Caveat, ...] = ()
    source_version: str = ""

    def __post_init__(self) -> None:
        """Refuse a datum that no law lets out."""
        if not self.authority:
            raise ValueError("a field without the paragraph that permits its disclosure")


@dataclass(frozen=True, slots=True)
class Withholding:
    """That all or part is refused, and on which ground; not what."""

    scope: Scope
    ground: Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailsRequest:
    """A request for fields of the person of an earlier match.

    hit_reference        16 bytes
    fields               those that are necessary for the case, in the order of their codes
    case, unit, person   pseudonyms, [A-Za-z0-9._-]{1,64}
    reply_key            X-Wing public key, 1,216 bytes, fresh for this message
    """

    reply_key: bytes = field(repr=False)
    hit_reference: bytes = field(repr=False)
    fields: tuple[FieldCode, ...]
    case: str
    unit: str
    person: str


@dataclass(frozen=True, slots=True)
class Details:
    """What is disclosed, in the order of the field codes."""

    outcome: DetailsOutcome
    fields: tuple[Field, ...] = ()
    withholding: Withholding | None = None


class Saying(IntEnum):
    """What one modality by itself says of probe and record, in a word; how strongly is not told to examiners."""

    SUPPORTS = 1
    UNDECIDED = 2
    CONTRADICTS = 3
    NOT_COMPARED = 4  # too poor to search, or nothing of it is held of the person


class Verdict(IntEnum):
    """What an examiner saw in probe and record, side by side."""

    SAME = 1
    DIFFERENT = 2
    INCONCLUSIVE = 3
