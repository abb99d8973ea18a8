"""What each Division of IRPR Part 19.1 permits at most, which no agreement can widen.

Data, not decisions: who may ask for what in which direction, which fields there are and on which paragraph each
rests, who may be revealed. An agreement file narrows it (`gateway.law.agreement_bounds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.messages import Modality, Purpose
from gateway.domain.person import FieldCode
from gateway.law.agreement import Duty
from gateway.law.legal_status import Row

_VISA, _TRAVEL, _ACCURACY, _CITIZENSHIP, _CLAIM = (
    Purpose.VISA_PERMIT_BENEFIT,
    Purpose.TRAVEL_ENTER_REMAIN,
    Purpose.DATA_ACCURACY,
    Purpose.CITIZENSHIP,
    Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR,
)
_FOREIGN = frozenset({Row.FOREIGN_NATIONAL, Row.CLAIMANT})
_RESIDENT = frozenset({Row.PERMANENT_RESIDENT})
_IDENTITY = (
    FieldCode.LAST_NAME,
    FieldCode.FIRST_NAME,
    FieldCode.DATE_OF_BIRTH,
    FieldCode.GENDER,
    FieldCode.COUNTRY_OF_BIRTH,
    FieldCode.ALIAS,
)
_CLAIM_FIELDS = (
    FieldCode.CLAIM_IDENTITY,
    FieldCode.CLAIM_PROCESSING,
    FieldCode.CLAIM_EXCLUSION,
    FieldCode.CLAIM_HISTORY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a division permits at most; a paragraph of "" is any.

    claims      purposes under which a declared claim counts, all of which an agreement must name
    reveal      rows that may be revealed without and with a declared claim
    matched     fields that need an established match
    in_claim    the only fields left where a claim is declared; None = no such limit
    duty        whether refusal is a duty; None = the division does not speak of it
    """

    ask: Mapping[Purpose, str] = field(default_factory=dict)
    answer: Mapping[Purpose, str] = field(default_factory=dict)
    claims: frozenset[Purpose] = frozenset()
    modalities: frozenset[Modality] = frozenset()
    fields: Mapping[FieldCode, str]
    reveal: Mapping[bool, frozenset[Row]]
    asked: frozenset[Row] = frozenset()
    matched: frozenset[FieldCode] = frozenset()
    in_claim: frozenset[FieldCode] | None = None
    duty: Duty | None = None
    persecution: bool = False


_DIVISION_1 = Bounds(
    ask={
        _VISA: "IRPR 315.23(1)(a)",
        _TRAVEL: "IRPR 315.23(1)(b)",
        _ACCURACY: "IRPR 315.23(1)(c)",
    },
    answer={
        _VISA: "IRPR 315.23(1)(a)",
        _TRAVEL: "IRPR 315.23(1)(b)",
        _ACCURACY: "IRPR 315.23(1)(c)",
    },
    claims=frozenset({_VISA, _TRAVEL, _ACCURACY}),
    # "Photograph and fingerprints", exchanged to verify identity; that a photograph may be compared is a reading (chosen).
    modalities=frozenset({Modality.FINGER, Modality.FACE}),
    fields={
        **dict.fromkeys(_IDENTITY, "IRPR 315.25(1)(a)"),
        FieldCode.CITIZENSHIP: "IRPR 315.25(1)(a)",
        FieldCode.TRAVEL_DOCUMENT_NUMBER: "IRPR 315.25(1)(a)",
        FieldCode.PHOTOGRAPH: "IRPR 315.25(1)(b)",
        FieldCode.FINGERPRINTS: "IRPR 315.25(1)(b)",
        FieldCode.IMMIGRATION_STATUS: "IRPR 315.25(1)(c)",
        FieldCode.ADMISSIBILITY_INFO: "IRPR 315.25(1)(c)",
        FieldCode.ADMISSIBILITY_DECISION: "IRPR 315.25(1)(c)",
        FieldCode.PRIOR_REQUIREMENTS_FAILURE: "IRPR 315.25(1)(c)",
        FieldCode.APPLICATION_HISTORY: "IRPR 315.25(1)(c)",
    },
    reveal={False: _FOREIGN | _RESIDENT, True: _FOREIGN | _RESIDENT},
    asked=_FOREIGN | _RESIDENT,
    # 315.25(1)(c) demands it of immigration data; of the rest 315.23(2)(c), the only ground on which anybody is answered.
    matched=frozenset(FieldCode),
    in_claim=frozenset({FieldCode.APPLICATION_HISTORY}),
    duty=Duty.MAY,
)
_DIVISION_2 = Bounds(
    fields={
        code: f"IRPR 315.33({letter})" for code, letter in zip(_CLAIM_FIELDS, "abcd", strict=True)
    },
    reveal={False: frozenset({Row.CLAIMANT}), True: frozenset({Row.CLAIMANT})},
    persecution=True,
)
_DIVISION_3 = Bounds(
    ask={_VISA: "IRPR 315.4(1)(a)", _TRAVEL: "IRPR 315.4(1)(b)"},
    answer={
        _VISA: "IRPR 315.41(1)(a)",
        _TRAVEL: "IRPR 315.41(1)(b)",
        _CITIZENSHIP: "IRPR 315.41(1)(c)",
        _CLAIM: "IRPR 315.41(1)(d)",
    },
    claims=frozenset({_VISA, _CLAIM}),
    modalities=frozenset({Modality.FINGER}),  # 315.38: fingerprints
    fields={
        **dict.fromkeys(_IDENTITY, "IRPR 315.41(2)(a)"),
        FieldCode.PHOTOGRAPH: "IRPR 315.41(2)(b)",
        FieldCode.PASSPORT_ISSUING_COUNTRY: "IRPR 315.41(2)(c)",
        FieldCode.IMMIGRATION_STATUS: "IRPR 315.41(2)(c)",
        FieldCode.ADMISSIBILITY_INFO: "IRPR 315.41(2)(c)",
        FieldCode.ADMISSIBILITY_DECISION: "IRPR 315.41(2)(c)",
        FieldCode.PROTECTION_DECISION: "IRPR 315.41(2)(c)",
    },
    reveal={
        False: _FOREIGN,
        True: _FOREIGN | _RESIDENT | {Row.PARTNER_PERMANENT_RESIDENT},
    },
    asked=_FOREIGN,
    # The stricter reading of 315.38 with 315.39: nothing is accurate and reliable of whom nobody matched.
    matched=frozenset(FieldCode),
    duty=Duty.MUST,
    persecution=True,
)
# An arrangement outside Part 19.1 (an organisation): the strictest of the three, under paragraphs of its own.
_OUTSIDE = Bounds(
    ask=dict.fromkeys(_DIVISION_3.ask, ""),
    answer={_VISA: "", _TRAVEL: ""},
    claims=frozenset({_VISA}),
    modalities=frozenset(Modality),
    fields=dict.fromkeys(_DIVISION_3.fields, ""),
    reveal={False: _FOREIGN, True: _FOREIGN},
    asked=_FOREIGN,
    # The stricter reading of 315.38 with 315.39: nothing is accurate and reliable of whom nobody matched.
    matched=frozenset(FieldCode),
    duty=Duty.MUST,
    persecution=True,
)
BOUNDS: Mapping[int, Bounds] = {0: _OUTSIDE, 1: _DIVISION_1, 2: _DIVISION_2, 3: _DIVISION_3}
