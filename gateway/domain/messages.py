"""The nouns of the gateway; standard library only.

Bytes are parsed once, at the wire; everything inside speaks in these. All are frozen. Numbers of the
enumerations are the numbers of `proto/gateway/v1`, so that the wire converts by value and the ledger
stays readable. Times are aware datetimes in UTC, whole milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.person import Details, Withholding

FORMAT = 1  # envelope format; a change of anything in protocol 2 is a new number
SUITE = 1  # X-Wing HPKE with AES-256-GCM, composite ML-DSA-65 + Ed25519


class MessageType(IntEnum):
    """Whether a message asks or answers."""

    REQUEST = 1
    RESPONSE = 2


class Operation(IntEnum):
    """The RPC that an envelope belongs to."""

    GET_CAPABILITIES = 1
    SUBMIT_QUERY = 2
    GET_QUERY_STATE = 3
    REDELIVER_RESULT = 4
    REQUEST_HIT_DETAILS = 5
    SUBMIT_CORRECTION = 6
    ACK_CORRECTION = 7
    GET_QUOTA = 8


class Purpose(IntEnum):
    """The lawful purpose of a query (IRPR 315.23, 315.4, 315.41); 0 where no person is asked about."""

    NONE = 0
    VISA_PERMIT_BENEFIT = 1
    TRAVEL_ENTER_REMAIN = 2
    DATA_ACCURACY = 3
    CITIZENSHIP = 4
    REFUGEE_CLAIM_BY_CANADIAN_PR = 5


class ServiceLevel(IntEnum):
    """How soon an answer is needed: ten seconds, an hour, a day."""

    REAL_TIME = 1
    URGENT = 2
    ROUTINE = 3


class Modality(IntEnum):
    """A kind of biometric characteristic."""

    FINGER = 1
    FACE = 2
    IRIS = 3


# Where a sample of a modality may be from: the finger of ten, the face, which has no position, the eye of two
# (ANSI/NIST-ITL fields 14.013, 17.003).
POSITIONS: Mapping[Modality, range] = {
    Modality.FINGER: range(1, 11),
    Modality.FACE: range(1),
    Modality.IRIS: range(1, 3),
}
UNKNOWN_POSITION = 0  # of a finger in a query, where nobody says which it is (14.013)
# How many samples there may be of one position, in a query and of an enrolled person.
MOST_IMPRESSIONS: Mapping[Modality, int] = {Modality.FINGER: 4, Modality.FACE: 1, Modality.IRIS: 1}


class RecordFormat(IntEnum):
    """The interchange format of a record; 39794 and the two generations of 19794 are formats of their own."""

    ISO_19794_2_2005 = 1
    INCITS_378_2004 = 2
    ISO_19794_2_2011 = 3
    INCITS_378_2009 = 4
    FACE_VECTOR = 5
    IRIS_CODE = 6
    ISO_19794_4_2005 = 7
    ISO_19794_4_2011 = 8
    ISO_39794_4 = 9
    ANSI_NIST = 10
    WSQ = 11
    PNG = 12
    JPEG_2000 = 13
    JPEG = 14
    ISO_19794_5_2005 = 15
    ISO_19794_5_2011 = 16
    ISO_39794_5 = 17
    ISO_19794_6_2005 = 18
    ISO_19794_6_2011 = 19
    ISO_39794_6 = 20


UNSTATED = "unstated"  # extractor, where nobody says which software made a record; one that says it itself is asked

# What is no image; its record has nothing that could be compressed.
TEMPLATES = frozenset(RecordFormat(each) for each in range(1, 7))


class Compression(IntEnum):
    """How the image in a record is compressed (ANSI/NIST-ITL field 14.011)."""

    NONE = 1
    WSQ = 2
    JPEG = 3
    JPEG_2000 = 4
    PNG = 5


# What an image without a container is compressed by: its format says it already.
COMPRESSED: Mapping[RecordFormat, Compression] = {
    RecordFormat.WSQ: Compression.WSQ,
    RecordFormat.JPEG: Compression.JPEG,
    RecordFormat.JPEG_2000: Compression.JPEG_2000,
    RecordFormat.PNG: Compression.PNG,
}


class Presence(IntEnum):
    """Why a finger could not be sampled (ANSI/NIST-ITL 14.018)."""

    AMPUTATED = 1
    BANDAGED = 2
    DAMAGED = 3


class Outcome(IntEnum):
    """How a query ended; what was not searched is never NO_MATCH."""

    NO_MATCH = 1
    MATCH = 2
    REVIEW_PENDING = 3
    QUALITY_INSUFFICIENT = 4
    REFUSED = 5


class ProblemCode(IntEnum):
    """What is wrong with a sample."""

    TOO_FEW_MINUTIAE = 1
    AREA_TOO_SMALL = 2
    QUALITY_TOO_LOW = 3
    EXTRACTION_FAILED = 4


class State(IntEnum):
    """The state of a query."""

    RECEIVED = 1
    SEARCHING = 2
    REVIEWING = 3
    DECIDED = 4
    ABANDONED = 5


class Direction(IntEnum):
    """Which way an exchange goes: a partner asks us, or we ask."""

    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """An envelope as received; hashed and verified verbatim, never re-serialised."""

    header: bytes
    sealed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who speaks to whom, about which operation, under which agreement; protocol 3 has the rules."""

    message_type: MessageType
    operation: Operation
    sender: str
    signing_key_id: bytes
    recipient: str
    kem_key_id: bytes
    message_id: bytes
    create_time: datetime
    expire_time: datetime
    directory_version: int
    payload_commitment: bytes
    transaction_number: str = ""
    transaction_reference: str = ""
    agreement_id: str = ""
    agreement_version: int = 0
    purpose: Purpose = Purpose.NONE
    service_level: ServiceLevel = ServiceLevel.REAL_TIME
    in_reply_to: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a header says of the matter; the operations that ask about nobody say nothing."""

    number: str = ""
    reference: str = ""
    agreement: tuple[str, int] = ("", 0)
    purpose: Purpose = Purpose.NONE
    service_level: ServiceLevel = ServiceLevel.REAL_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One record of one finger, face or iris, with what its sender declared of it.

    position   one of the modality's `POSITIONS`; of fingers 1–5 right thumb to little finger, 6–10 left; in a query
               also UNKNOWN_POSITION
    width, height, ppi   pixels, pixels, pixels per inch; 0 = not stated
    quality    0–100; 0 = not stated
    """

    modality: Modality
    position: int
    format: RecordFormat
    extractor: str
    data: bytes = field(repr=False)
    impression: int = 0
    capture_time: datetime | None = None
    width: int = 0
    height: int = 0
    ppi: int = 0
    quality: int = 0
    quality_algorithm: str = ""
    compression: Compression = Compression.NONE


@dataclass(frozen=True, slots=True)
class Missing:
    """A finger that could not be sampled, and why."""

    position: int
    presence: Presence


@dataclass(frozen=True, slots=True)
class Biometrics:
    """The samples of one person; a position is in one of the two tuples only, and in the second once.

    Several samples of one position are impressions of it; each finger of unknown position is a finger of its own.
    """

    samples: tuple[Sample, ...]
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class PriorTransaction:
    """The number of a query that we once sent about the person (IRPR 315.38)."""

    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question about one person. It has no field in which a name could travel.

    case, unit, person   pseudonyms, [A-Za-z0-9._-]{1,64}
    reply_key            X-Wing public key, 1,216 bytes, fresh for this message
    """

    case: str
    unit: str
    person: str
    reply_key: bytes = field(repr=False)
    probe: Biometrics | PriorTransaction
    refugee_claimant: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """A sample too poor to search, and whether capturing it again would help."""

    position: int
    code: ProblemCode
    recapture: bool = True
    modality: Modality = Modality.FINGER


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer to a query as the asker sees it: an outcome, never a score, a rank or an identity.

    withholding   REFUSED only: that it is refused, and on which ground
    details       MATCH only, and only under an agreement that discloses in one step
    """

    outcome: Outcome
    decide_time: datetime
    request_leaf_hash: bytes
    hit_reference: bytes = b""
    problems: tuple[Problem, ...] = ()
    destruction_receipt_id: str = ""
    details_expire_time: datetime | None = None
    withholding: Withholding | None = None
    details: Details | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class QueryState:
    """The state of a query, and its recorded result once it is decided."""

    state: State
    result: Result | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a gateway accepts from one partner today."""

    envelope_formats: tuple[int, ...]
    suites: tuple[int, ...]
    size_classes: tuple[int, ...]
    modalities: tuple[Modality, ...]
    record_formats: tuple[RecordFormat, ...]
    purposes: tuple[Purpose, ...]
    directory_version: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The RESPONSE leaf and its tlog-proof: the answer is in the ledger, checkable without us."""

    leaf: bytes
    tlog_proof: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What leaves the gateway: a signed envelope and, beside it, its receipt."""

    envelope: SignedEnvelope
    receipt: Receipt
