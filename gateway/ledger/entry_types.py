"""The types of entries, and one table of what an entry of each may say: its classes, its subject reference, its facts.

Types, facts and references are contracts with whoever keeps a ledger: they are added to and never change. What is read
may be of an older release and is held against the list of facts alone; what is written, against its type's row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from gateway.domain.messages import Operation

Facts: TypeAlias = Mapping[str, str]  # what only auditors read of an entry, by name
EXCHANGE_DETAIL: Final = "EXCHANGE_DETAIL"
OFFICE_DETAIL: Final = "OFFICE_DETAIL"


class EntryType(IntEnum):
    """What happened."""

    REQUEST = 1
    RESPONSE = 2
    REFUSAL = 3
    REFUSAL_SUMMARY = 4
    REPLAY_CONFLICT = 5
    ABANDONED = 6
    DESTRUCTION = 7
    ENROLLED = 8
    REMOVED = 9
    KEY = 10
    DIRECTORY = 11
    START = 12
    STOP = 13
    AGREEMENT = 14
    UPDATED = 15
    HOLD = 16
    REVIEW = 17
    VERDICT = 18
    CORRECTION = 19
    ACKNOWLEDGEMENT = 20
    USE = 21
    ASKED = 22
    ANSWER_RECEIVED = 23
    DECISION = 24
    RETENTION = 25
    AUDIT_READ = 26
    STAFF = 27
    ALARM = 28
    PROPOSAL = 29
    CUSTODY = 30
    BACKUP = 31
    RESTORE = 32
    ADMIN = 33
    TIMESTAMP = 34
    WITNESS = 35
    CLOCK = 36
    RECONCILIATION = 37
    CALIBRATION = 38


class EntryClass(IntEnum):
    """The class of an entry; never whether it was a hit."""

    ACCEPTED = 1
    DENIED = 2
    ANSWERED = 3
    OTHER = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """What an entry of one type may say.

    needs, may   the facts that each has, and those that it may have besides
    reference    the form of its subject reference
    classes      of which it may be
    detail       the data class of its sealed detail
    """

    needs: frozenset[str]
    may: frozenset[str]
    reference: re.Pattern[str]
    classes: tuple[EntryClass, ...]
    detail: str


def _shape(
    facts: str,
    reference: str = "",
    classes: tuple[EntryClass, ...] = (EntryClass.OTHER,),
    detail: str = OFFICE_DETAIL,
) -> Shape:
    """Return a row; `facts` are those needed, a bar, and those that may be there besides."""
    needs, _, may = (set(part.split()) for part in facts.partition("|"))
    return Shape(frozenset(needs), frozenset(may), re.compile(reference), classes, detail)


def _exchange(facts: str, reference: str, *classes: EntryClass) -> Shape:
    return _shape(facts, reference, classes or (EntryClass.OTHER,), EXCHANGE_DETAIL)


_ACCEPTED, _DENIED = EntryClass.ACCEPTED, EntryClass.DENIED
_ANSWERED, _OTHER = EntryClass.ANSWERED, EntryClass.OTHER
_OPERATION = "|".join(Operation.__members__)
_HEX = "(?:[0-9a-f]{2})+"
_SUBJECT = r"S-\d+"
_CASE = "R-[0-9a-f]{16}"
_PRINTS = "modality positions formats extractors"
_STANDING = "status_kind nationalities persecutors"
_DISCLOSED = "fields authorities field_authorities withheld ground"
_CORRECTION = "correction transaction_reference"
_BY = "actor approver"

SHAPES: Final[Mapping[EntryType, Shape]] = MappingProxyType(
    {
        EntryType.REQUEST: _exchange(
            f"operation | {_CORRECTION} purpose paragraph case unit person refugee_claimant service_level"
            f" agreement_digest policy_trace prior_transaction {_PRINTS} sizes hit_reference fields"
            " correction_kind correction_outcome due note",
            _OPERATION,
            _ACCEPTED,
        ),
        EntryType.RESPONSE: _exchange(
            f"| operation {_CORRECTION} state_after true_outcome disclosed_outcome why policy_trace reason"
            " scores threshold fpir fpir_expected gallery_size gallery_version calibration reckoned_by"
            " shared_samples position_hypothesis position_ways"
            " extracted searched_modalities modality_scores modality_thresholds modality_sizes modality_positions conflict"
            " misread"
            f" usable_positions review_floor review_fpir subject {_STANDING} status_age applications"
            f" record_version official_decisions hit_reference {_DISCLOSED} fields_withheld destruction_receipt",
            _OPERATION,
            _ANSWERED,
        ),
        EntryType.REFUSAL: _exchange("operation reason | element why", _OPERATION, _DENIED, _OTHER),
        EntryType.REPLAY_CONFLICT: _exchange("operation reason | element why", _OPERATION, _DENIED),
        EntryType.REFUSAL_SUMMARY: _exchange(
            "reason count", r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", _DENIED
        ),
        EntryType.ABANDONED: _exchange(
            "| case reason transaction_reference due", f"(?:{_OPERATION}|{_CASE})?"
        ),
        EntryType.DESTRUCTION: _exchange("destroyed | modality", "D-[0-9a-f]{32}"),
        EntryType.REVIEW: _exchange("due count", _CASE),
        EntryType.VERDICT: _exchange(
            "verdict reason | examiner second_examiner true_outcome disclosed_outcome why subject"
            " destruction_receipt",
            _CASE,
        ),
        EntryType.CORRECTION: _exchange(
            f"| {_CORRECTION} operation correction_kind fields due actor reason recipients state_before",
            "",
            _ACCEPTED,
            _OTHER,
            _ANSWERED,
        ),
        EntryType.ACKNOWLEDGEMENT: _exchange(
            f"| {_CORRECTION} operation correction_outcome note destroyed used_in actor reason state_before",
            "",
            _ACCEPTED,
            _OTHER,
            _ANSWERED,
        ),
        EntryType.USE: _exchange("actor used_in case | reason", ""),
        EntryType.ASKED: _exchange(
            f"purpose case unit actor | paragraph policy_trace agreement_digest reason element refugee_claimant"
            f" service_level {_STANDING} subject modality positions formats sizes prior_transaction transaction_reference"
            " fields",
            "",
            _OTHER,
            _DENIED,
        ),
        EntryType.ANSWER_RECEIVED: _exchange(
            f"| case transaction_reference outcome_received destruction_receipt {_DISCLOSED} reason element",
            "",
            _ACCEPTED,
            _ANSWERED,
            _DENIED,
        ),
        EntryType.ENROLLED: _shape(
            "subject positions formats extractors | modality impression_numbers status_kind record_version"
            " fields_changed repairs",
            _SUBJECT,
        ),
        EntryType.UPDATED: _shape(
            "subject status_kind record_version fields_changed | actor state_before state_after fields_before"
            " fields positions formats extractors repairs",
            _SUBJECT,
        ),
        EntryType.REMOVED: _shape("actor reason subject", _SUBJECT),
        EntryType.HOLD: _shape(
            "hold reason actor | approver subject", "(PLACE|PLACE_ALL|RELEASE)/(H-[0-9a-f]{16})"
        ),
        EntryType.DECISION: _shape(
            "decision subject fields ground note actor reason", f"(REFUSE|LIFT)/({_CASE})"
        ),
        EntryType.RETENTION: _shape(
            "retention_class paragraph count first last actor | reason partner transaction_reference case",
            r"([A-Z_]{3,32})/(?:(0|[1-9]\d{0,9})-(0|[1-9]\d{0,9})/)?([1-9]\d{0,9})",
        ),
        EntryType.KEY: _shape(
            f"key_kind reason | {_BY} state_before state_after evidence missing_partners schedule action due",
            f"{_HEX}|SCHEDULE/[A-Z_]+",
        ),
        EntryType.DIRECTORY: _shape(
            f"partner_version | {_BY} evidence missing_partners schedule source endpoints reason"
        ),
        EntryType.AGREEMENT: _shape(f"agreement_digest | {_BY} reason", "(?:SIGNED)?"),
        EntryType.CALIBRATION: _shape(
            "modality calibration reason actor | approver", "[0-9a-f]{64}"
        ),
        EntryType.CUSTODY: _shape(
            f"| operation custody state_after since reason {_BY} action count recipients",
            "(?:RESEALED/[0-9a-f]+)?",
        ),
        EntryType.START: _shape("software settings_digest"),
        EntryType.STOP: _shape("software settings_digest"),
        EntryType.AUDIT_READ: _shape(
            "actor | source reason since first subject case transaction_reference",
            f"(?:{_SUBJECT}|AFFECTED/[0-9a-f]+)?",
        ),
        EntryType.ADMIN: _shape("actor operation roles | approver"),
        EntryType.STAFF: _shape("actor person state_after | approver roles due reason", _HEX),
        EntryType.PROPOSAL: _shape(
            "proposal action actor | approver reason state_digest expires",
            "([A-Z]{1,16})/(P-[0-9a-f]{16})",
        ),
        EntryType.BACKUP: _shape("operation recipients actor | approver"),
        EntryType.RESTORE: _shape(
            "operation since checkpoint_size checkpoint_root",
            r"(?:KEYS_LEFT_BEHIND/([1-9]\d{0,9}))?",
        ),
        EntryType.TIMESTAMP: _shape("authority checkpoint_size checkpoint_root since", _HEX),
        EntryType.WITNESS: _shape("reason evidence", "SPLIT/[0-9a-f]*"),
        EntryType.CLOCK: _shape("step_ms", "FORWARD|BACKWARD"),
        EntryType.RECONCILIATION: _shape(
            "actor partner since until | count compared missing_here missing_there differing",
            f"(?:{_HEX})?",
        ),
        EntryType.ALARM: _shape(
            f"| reason {_BY} {_CORRECTION} person operation case due since state_before state_after key_kind"
            " retention_class count quota_day quota_year purpose expires note why missing_partners"
            " checkpoint_size checkpoint_root",
            "[!-~]*",
        ),
    }
)

# Recorded by earlier releases, or kept for what comes; still read.
_RETIRED = frozenset(
    [
        "affected",
        "candidates",
        "ciphertext_hash",
        "duration_ms",
        "error_id",
        "missing",
        "problems",
        "request_leaf",
        "timings",
        "token",
        "witness",
    ]
)
FACTS: Final = _RETIRED.union(*(shape.needs | shape.may for shape in SHAPES.values()))
