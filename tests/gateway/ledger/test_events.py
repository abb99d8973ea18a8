"""Each entry is built by its one constructor, and is byte for byte what earlier releases wrote.

`events.json` holds the leaf of each constructor's entry at one time, and its facts: as the modules wrote them that built
their own entries before. A new constructor is added to it: `python -m tests.gateway.ledger.test_events` writes it anew.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gateway
from gateway.domain.correction import (
    CorrectionAck,
    CorrectionKind,
    CorrectionNotice,
    CorrectionOutcome,
)
from gateway.domain.messages import (
    MOST_IMPRESSIONS,
    POSITIONS,
    Biometrics,
    Direction,
    Header,
    MessageType,
    Modality,
    Operation,
    Outcome,
    PriorTransaction,
    Problem,
    ProblemCode,
    Purpose,
    Query,
    RecordFormat,
    Result,
    Sample,
    ServiceLevel,
    State,
)
from gateway.domain.outbound_query import OutboundQuery, OutboundRequest, OutboundState, Seeking
from gateway.domain.person import (
    Details,
    DetailsOutcome,
    DetailsRequest,
    Field,
    FieldCode,
    Ground,
    Record,
    Scope,
    Status,
    SubjectKind,
    Verdict,
    Withholding,
)
from gateway.errors import ElementInvalid, EngineUnavailable, ReplayConflict
from gateway.law.agreement_library import load_agreements, packaged
from gateway.law.query_policy import Decided, Settled
from gateway.law.quota_policy import Counter
from gateway.ledger import events, exchange_events, exchange_facts
from gateway.ledger.crypto_shredding import Erased
from gateway.ledger.entry import DETAIL_SIZES, Leaf, detail_bytes, encode
from gateway.ledger.entry_builder import build
from gateway.ledger.entry_types import FACTS, SHAPES, EntryClass, EntryType
from gateway.ledger.errors import MalformedEntry
from gateway.ledger.exchange_events import Corrected, Message
from gateway.ledger.signed_note import Checkpoint
from gateway.monitoring.expiry import Level
from gateway.store.correction_lifecycle import CorrectionPhase
from gateway.wire.query_payload import MAX_EXTRACTORS
from keys.key_record import KeyEvent
from keys.lifecycle import KeyKind, KeyState

RECORDED = Path(__file__).with_name("events.json")
NOW = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)
KID, TRANSCRIPT = bytes(range(32)), bytes(range(32, 64))
BY = {"actor": "alice", "approver": "bob"}
HEADER = Header(
    message_type=MessageType.REQUEST,
    operation=Operation.SUBMIT_QUERY,
    sender="AUS",
    signing_key_id=KID,
    recipient="CAN",
    kem_key_id=KID[::-1],
    message_id=bytes(range(16)),
    create_time=NOW,
    expire_time=NOW,
    directory_version=7,
    payload_commitment=b"",
    transaction_number="20260301-0001",
    transaction_reference="20260228-0009",
    agreement_id="au",
    agreement_version=2,
    purpose=Purpose.CITIZENSHIP,
)
ANSWER = replace(HEADER, signing_key_id=KID[::-1], kem_key_id=KID, directory_version=8)
MESSAGE = Message("AUS", HEADER.message_id, HEADER.transaction_number)
SAMPLES = tuple(
    Sample(
        modality=Modality.FINGER,
        position=position,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="an extractor",
        data=bytes(size),
    )
    for position, size in ((2, 412), (7, 398))
)
STATUS = Status(
    kind=SubjectKind.FOREIGN_NATIONAL,
    nationalities=frozenset({"IND", "BRA"}),
    persecutors=frozenset({"SYR"}),
    confirmed=NOW - timedelta(days=3, minutes=7),
)
NAME = Field(code=FieldCode.LAST_NAME, value=b"", authority="IRPR 315.41(2)(a)")
RECORD = Record(status=STATUS, version=4)
WITHHELD = Withholding(Scope.PART, Ground.DOMESTIC_LAW)
WANTED = DetailsRequest(
    reply_key=b"",
    hit_reference=bytes(16),
    fields=(FieldCode.LAST_NAME, FieldCode.FIRST_NAME),
    case="C-1",
    unit="U-1",
    person="A-7",
)
QUERY = Query(
    case="C-1",
    unit="U-1",
    person="A-7",
    reply_key=b"",
    probe=Biometrics(SAMPLES),
    refugee_claimant=False,
)
FACE = replace(SAMPLES[0], modality=Modality.FACE, position=0, format=RecordFormat.FACE_VECTOR)
ASKING = OutboundRequest(
    partner="AUS",
    agreement=("au", 2),
    purpose=Purpose.CITIZENSHIP,
    case="C-2",
    unit="U-2",
    person="P-4",
    status=STATUS,
    probe=Biometrics(SAMPLES),
    claimant=True,
    subject=41,
)
ASKED = OutboundQuery(
    partner="AUS",
    number="20260301-0002",
    message_id=bytes(16),
    purpose=Purpose.CITIZENSHIP,
    agreement=("au", 2),
    case="C-2",
    state=OutboundState.ASKED,
    outcome=None,
    subject=41,
    ask=NOW,
    answer=None,
    used=None,
    used_in="",
    asked_index=3,
    answered_index=None,
    sealed=None,
)
SEEKING = Seeking(fields=WANTED.fields, case="C-2", unit="U-2", person="P-4")
DETAILS = Details(DetailsOutcome.DISCLOSED, (NAME,), WITHHELD)
MATCH = Result(
    outcome=Outcome.MATCH, decide_time=NOW, request_leaf_hash=b"", destruction_receipt_id="D-1"
)
AGREEMENT = load_agreements(packaged())["au"][0]
CORRECTED = Corrected("AUS", bytes(range(16)), "20260301-0001")
NOTICE = CorrectionNotice(
    id=CORRECTED.identifier, kind=CorrectionKind.WRONG_VALUE, fields=(FieldCode.LAST_NAME,), due=NOW
)
EVENT = KeyEvent(NOW, KID, KeyKind.KEM, KeyState.PREACTIVE, KeyState.ACTIVE, "weekly", "alice")
ACK = CorrectionAck(
    id=CORRECTED.identifier, outcome=CorrectionOutcome.CORRECTED, completed=NOW, note="N-1"
)
CASE = "R-0011223344556677"
FOUND = Settled(
    Outcome.MATCH,
    Outcome.MATCH,
    "au@2:answer.reveal",
    ("au@2:search",),
    alarm=True,
    withholding=WITHHELD,
)
PERMIT: Any = SimpleNamespace(
    paragraph="IRPR 315.41(1)(a)", digest="ab" * 32, rules=("au@2:a", "au@2:b")
)
PLAN: Any = SimpleNamespace(
    rules=("au@2:c",), fields={FieldCode.LAST_NAME: ""}, withholding=WITHHELD
)
RULING = Decided(Scope.PART, frozenset({FieldCode.LAST_NAME}), Ground.DOMESTIC_LAW, "terms")
KEY: Any = SimpleNamespace(kid=KID, kind=KeyKind.SIGNING, state=KeyState.ACTIVE)

_request = partial(exchange_events.request, HEADER, TRANSCRIPT)
_response = partial(exchange_events.response, HEADER, ANSWER, TRANSCRIPT)
_refusal = partial(exchange_events.refusal, HEADER, TRANSCRIPT)
_facts = exchange_facts
_noted = ElementInvalid(element="header.purpose")
_replayed = ReplayConflict(element="header.message_id")
for each in (_noted, _replayed):
    each.add_note("the window")
_theirs = exchange_events.response(HEADER, ANSWER, TRANSCRIPT, {}).frame


def _searched(
    hypothesis: tuple[str, int] = ("", 0), shared: tuple[int, ...] = ()
) -> dict[str, str]:
    found = exchange_facts.searched_facts(
        best=9.25,
        threshold=8.7,
        fpir=1e-05,
        expected=1.23456e-05,
        gallery=(50_000, 12),
        calibration=("minutiae@2/2026-07",),
        reckoned_by="numpy",
        positions=(2, 7),
        shared=shared,
        hypothesis=hypothesis,
        floor=7.5,
        floor_fpir=0.001,
    )
    seen = exchange_facts.candidate_facts(41, RECORD, NOW, FOUND, [RULING])
    return {**found, **exchange_facts.decision_facts(FOUND), **seen}


PRINT = Sample(
    modality=Modality.FINGER,
    position=2,
    format=RecordFormat.ISO_19794_2_2005,
    extractor="an extractor",
    data=b"",
)
IMAGE = replace(PRINT, position=7, format=RecordFormat.WSQ, extractor="unstated", data=b"image")

# What is recorded, by constructor and kind of entry.
ENTRIES: dict[str, Leaf] = {
    "request: query": _request(_facts.query_facts(HEADER, QUERY, PERMIT)),
    "request: by number": _request(
        _facts.query_facts(HEADER, replace(QUERY, probe=PriorTransaction("N-1")), PERMIT)
    ),
    "request: details": _request(_facts.details_request_facts(HEADER, WANTED)),
    "request: reference": _request(_facts.reference_facts(HEADER)),
    "request: capabilities": _request(_facts.operation_facts(HEADER)),
    "request: notice": _request(_facts.notice_facts(HEADER, NOTICE, NOW)),
    "request: acknowledgement": _request(_facts.acknowledgement_facts(HEADER, ACK)),
    "response: searched": _response({**_searched(), "destruction_receipt": "D-1"}),
    "response: hands exchanged": _response(_searched(("HANDS_EXCHANGED", 1))),
    "response: what is shared": _response(_searched(shared=(2,))),
    "response: several modalities": _response(
        {
            **_searched(),
            **_facts.modality_facts(
                [(Modality.FINGER, 9.5, 7.25, 50_000, (2, 7)), (Modality.FACE, None, 4.5, 40, (0,))]
            ),
            **_facts.conflict_facts({Modality.FINGER, Modality.FACE}),
            **_facts.misread_facts([(Modality.IRIS, "MIRRORED")]),
            **_facts.extraction_facts(
                [
                    (
                        replace(
                            SAMPLES[0], extractor="leader-1", quality=61, quality_algorithm="nfiq2"
                        ),
                        "leader-1",
                    )
                ],
                [Problem(7, ProblemCode.QUALITY_TOO_LOW)],
            ),
        }
    ),
    "response: not searched": _response(_facts.unsearched_facts(Outcome.QUALITY_INSUFFICIENT)),
    "response: details": _response(
        {
            **_facts.details_facts(HEADER, WANTED, DetailsOutcome.DISCLOSED),
            **_facts.disclosure_facts(WANTED, (41, RECORD), PLAN, NOW, (NAME,)),
        }
    ),
    "response: nothing": _response(_facts.disclosure_facts(WANTED, (41, RECORD), PLAN, NOW, None)),
    "response: state": _response(_facts.state_facts(State.DECIDED)),
    "response: correction": _response(
        _facts.correction_facts(CORRECTED.identifier, CorrectionPhase.OPEN)
    ),
    "refusal": _refusal(_noted),
    "refusal: replay": _refusal(_replayed),
    "failure": exchange_events.failure(HEADER, TRANSCRIPT, EngineUnavailable()),
    "failure: internal": exchange_events.failure(HEADER, TRANSCRIPT, ValueError()),
    "refusal_count": exchange_events.refusal_count("AUS", "RATE_LIMITED", "2026-03-01T12:30Z", 7),
    "request_abandonment": exchange_events.request_abandonment(
        MESSAGE, TRANSCRIPT, Operation.SUBMIT_QUERY
    ),
    "destruction": exchange_events.destruction(MESSAGE, f"D-{7:032x}", "records=2"),
    "review": exchange_events.review(MESSAGE, CASE, NOW, 2),
    "review_abandonment": exchange_events.review_abandonment(MESSAGE, CASE, NOW),
    "verdict: first": exchange_events.verdict(
        MESSAGE, CASE, _facts.examination_facts("E-1", Verdict.SAME, "as seen", second=False)
    ),
    "verdict: last": exchange_events.verdict(
        MESSAGE,
        CASE,
        {
            **_facts.examination_facts("E-2", Verdict.DIFFERENT, "as seen", second=True),
            **_facts.verdict_facts(Outcome.NO_MATCH, FOUND, 41, "D-1"),
        },
    ),
    "question": exchange_events.question(ASKING, HEADER, TRANSCRIPT, PERMIT),
    "question: by number": exchange_events.question(
        replace(ASKING, probe=PriorTransaction("N-1"), subject=None), HEADER, TRANSCRIPT, PERMIT
    ),
    "question: several modalities": exchange_events.question(
        replace(ASKING, probe=Biometrics((SAMPLES[0], FACE))), HEADER, TRANSCRIPT, PERMIT
    ),
    "question: an image": exchange_events.question(
        replace(
            ASKING,
            probe=Biometrics((SAMPLES[0], IMAGE)),
            service_level=ServiceLevel.ROUTINE,
        ),
        *(HEADER, TRANSCRIPT, PERMIT),
    ),
    "question_stopped": exchange_events.question_stopped(ASKING, "20260301-0002", _noted),
    "details_question": exchange_events.details_question(ASKED, SEEKING, HEADER, TRANSCRIPT),
    "answer": exchange_events.answer(ASKED, _theirs, MATCH),
    "answer: in one step": exchange_events.answer(ASKED, _theirs, replace(MATCH, details=DETAILS)),
    "answer: pending": exchange_events.answer(
        ASKED, _theirs, replace(MATCH, outcome=Outcome.REVIEW_PENDING, destruction_receipt_id="")
    ),
    "details_answer": exchange_events.details_answer(ASKED, HEADER, _theirs, DETAILS),
    "question_end: refused": exchange_events.question_end(
        ASKED, "ELEMENT_INVALID", "header.purpose", refused=True
    ),
    "question_end: never answered": exchange_events.question_end(ASKED, "NO_ANSWER", refused=False),
    "details_end": exchange_events.details_end(ASKED, HEADER, "UNREADABLE", refused=False),
    "answer_alarm": exchange_events.answer_alarm(ASKED, "SIGNATURE_INVALID"),
    "use": exchange_events.use(ASKED, "P-4", "F-1", "it was told late"),
    "correction": exchange_events.correction(
        CORRECTED, NOTICE, "P-4", "a typing error", recipients=2
    ),
    "correction_received: notice": exchange_events.correction_received(
        EntryType.CORRECTION, HEADER, TRANSCRIPT, _facts.notice_facts(HEADER, NOTICE, NOW)
    ),
    "correction_received: acknowledgement": exchange_events.correction_received(
        EntryType.ACKNOWLEDGEMENT, HEADER, TRANSCRIPT, _facts.acknowledgement_facts(HEADER, ACK)
    ),
    "correction_delivery": exchange_events.correction_delivery(
        EntryType.CORRECTION, CORRECTED, _theirs, CorrectionPhase.OPEN
    ),
    "correction_delivery: acknowledgement": exchange_events.correction_delivery(
        EntryType.ACKNOWLEDGEMENT, CORRECTED, _theirs, CorrectionPhase.SETTLED
    ),
    "correction_retry": exchange_events.correction_retry(
        EntryType.ACKNOWLEDGEMENT, CORRECTED, "P-4", CorrectionPhase.REFUSED
    ),
    "correction_settlement": exchange_events.correction_settlement(
        CORRECTED,
        CorrectionOutcome.USED_NOTE_TO_FILE,
        {"used_in": "F-1", "destroyed": "details", "note": "N-1", "actor": "P-4", "reason": "said"},
    ),
    "correction_alarm": exchange_events.correction_alarm(
        CORRECTED, Direction.INBOUND, "OVERDUE", NOW, CorrectionPhase.OPEN
    ),
    "enrolment": events.enrolment(
        41,
        [
            Sample(
                modality=Modality.FINGER,
                position=2,
                format=RecordFormat.ISO_19794_2_2005,
                extractor="an extractor",
                data=b"",
            )
        ],
        STATUS,
        ["status"],
        "padding cut",
    ),
    "enrolment: further impression": events.enrolment(41, [PRINT], None, (), "", numbers=(2,)),
    "enrolment: another modality": events.enrolment(
        41,
        [
            Sample(
                modality=Modality.FACE,
                position=0,
                format=RecordFormat.ISO_19794_2_2005,
                extractor="an extractor",
                data=b"",
            )
        ],
        None,
        (),
        "",
    ),
    "enrolment: status alone": events.enrolment(41, [], STATUS, ["status"], "padding cut"),
    "record_change": events.record_change(
        "alice", 41, (Record(), RECORD), before=["status"], changed=["status", "LAST_NAME"]
    ),
    "removal": events.removal("alice", 41, "not ours"),
    "hold": events.hold(
        "PLACE/H-0011223344556677", ("AUS", "N-000001"), "person", "a case", BY, 41
    ),
    "ruling": events.ruling(
        f"REFUSE/{CASE}",
        "AUS",
        41,
        scope=Scope.PART,
        fields=frozenset({FieldCode.LAST_NAME}),
        ground=Ground.DOMESTIC_LAW,
        terms="none",
        actor="alice",
        reason="privileged",
    ),
    "erasure": events.erasure(Erased("REPLY", 3), "IRPR 315.29", NOW, NOW, {"actor": "caretaker"}),
    "erasure: by order": events.erasure(
        Erased("UNUSED_RESULT", 1),
        "IRPR 315.26",
        NOW,
        NOW,
        {
            "actor": "P-4",
            "reason": "no use",
            "partner": "AUS",
            "transaction_reference": "N",
            "case": "C-2",
        },
    ),
    "key_transition": events.key_transition(
        EVENT, {**BY, "evidence": "OVERRIDDEN", "missing_partners": "NZL", "schedule": "SCHEDULE"}
    ),
    "key_transition: made": events.key_transition(replace(EVENT, previous=None), BY),
    "key_order": events.key_order(KEY, "DESTROY", "spent", BY, NOW),
    "key_schedule": events.key_schedule(KeyKind.KEM, timedelta(days=7), "policy", BY, on=True),
    "bundle_adoption": events.bundle_adoption(
        "AUS",
        7,
        "ab" * 32,
        ("gateway.example:8443",),
        {**BY, "evidence": "x", "schedule": "y", "missing_partners": "z"},
    ),
    "bundle_withdrawal": events.bundle_withdrawal("AUS", 7),
    "agreement_adoption": events.agreement_adoption(AGREEMENT),
    "agreement_signature": events.agreement_signature(AGREEMENT, "agreed", BY),
    "calibration_adoption": events.calibration_adoption(
        Modality.FACE, "facenet512", "fitted in spring", BY, named="own-1", digest="ab" * 32
    ),
    "custody_change": events.custody_change("pkcs11:token", "BEGUN", {**BY, "reason": "a token"}),
    "keyset_recovery": events.keyset_recovery("file", "2026-03-01"),
    "reencryption": events.reencryption("00112233", 64),
    "recovery_key": events.recovery_key("ab" * 32, "yearly", BY),
    "service": events.service(EntryType.START, "0.1.0", "ab" * 32),
    "service: stop": events.service(EntryType.STOP, "0.1.0", "ab" * 32),
    "reading": events.reading(
        "alice",
        source="prints",
        reason="a review",
        exchange=("AUS", "20260301-0001", Direction.INBOUND),
        subject=[41, 42],
        case=["C-1"],
        transaction_reference=["N-1", "N-2"],
        first=100,
    ),
    "record_reading": events.record_reading("alice", "a question", 41),
    "affected_reading": events.affected_reading("alice", "AUS", KID, NOW),
    "order": events.order("keys.rotate", ["auditor", "operator"], BY),
    "staff": events.staff(KID, "GRANTED", {**BY, "person": "carol"}, roles=("operator",), due=NOW),
    "staff: suspended": events.staff(KID, "SUSPENDED", {**BY, "person": "carol", "reason": "left"}),
    "proposal": events.proposal(
        "PROPOSED/P-0011223344556677", "keys.revoke", "alice", state_digest="ab" * 32, expires=NOW
    ),
    "proposal: refused": events.proposal(
        "REFUSED/P-0011223344556677", "keys.revoke", "alice", approver="bob", reason="SIGNATURE"
    ),
    "backup": events.backup("ab" * 32, BY),
    "restore": events.restore("2026-03-01T12:00:00Z", 42, "ab" * 32, keys=False),
    "restore: with keys": events.restore("2026-03-01T12:00:00Z", 42, "ab" * 32, keys=True),
    "timestamp": events.timestamp(b"token", "https://tsa.example", Checkpoint("o", 42, KID), NOW),
    "split_view": events.split_view("AUS", "ab" * 32),
    "clock_step": events.clock_step(timedelta(seconds=-2.5)),
    "statement": events.statement("alice", "AUS", ("2026-01-01", "2026-02-01"), "ab" * 32, 7),
    "reconciliation": events.reconciliation(
        "alice",
        "AUS",
        ("2026-01-01", "2026-02-01"),
        compared=9,
        missing_here=1,
        missing_there=2,
        differing=3,
    ),
    "alarm": events.alarm("WATCHDOG", "SILENT"),
    "overdue_alarm": events.overdue_alarm("REPLY", "RETENTION_OVERDUE", 3),
    "expiry_alarm": events.expiry_alarm(
        "EXPIRY/SIGNING/0123/PAGE", "AUS", Level.PAGE, NOW, "keys rotate"
    ),
    "alarm_end": events.alarm_end("WATCHDOG", "AUS"),
    "staff_alarm": events.staff_alarm(KID, {**BY, "person": "carol", "operation": "SUSPEND"}),
    "review_alarm": events.review_alarm(CASE, NOW),
    "denial_alarm": events.denial_alarm("alice", "keys.list", "ROLE_REQUIRED"),
    "ledger_loss": events.ledger_loss("2026-03-01", 42, "ab" * 32, 50, "a witness saw more"),
    "quota_alarm": events.quota_alarm(
        AGREEMENT, Counter(Purpose.NONE, yearly=False, used=90, limit=100, resets=NOW)
    ),
    "quota_alarm: year": events.quota_alarm(
        AGREEMENT, Counter(Purpose.CITIZENSHIP, yearly=True, used=90, limit=100, resets=NOW)
    ),
    "suspension_alarm": events.suspension_alarm(KEY, "00010203", "doubt", BY),
    "rotation_alarm": events.rotation_alarm("NOT_SEEN", "KEM", "a sentence", "NZL"),
    "key_alarm": events.key_alarm(
        "COMPROMISED", "AUS", KID, "KEM", {**BY, "since": "2026-01-01", "state_after": "REFUSED"}
    ),
    "misread_alarm": events.misread_alarm("MISREAD", "AUS", "IRIS:MIRRORED"),
    "key_alarm: believed": events.key_alarm("BELIEVED", "AUS", KID, "", BY),
}


def recorded(leaf: Leaf) -> dict[str, object]:
    """Return an entry as it is kept: SHA-256 of its leaf, and its facts."""
    octets = encode(replace(leaf.frame, time=NOW))
    return {"leaf": sha256(octets).hexdigest(), "facts": dict(leaf.detail or {})}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_byte_for_byte_what_earlier_releases_wrote(name: str) -> None:
    assert recorded(ENTRIES[name]) == json.loads(RECORDED.read_text())[name]


def test_an_answer_by_every_modality_that_discloses_at_once_fits_its_detail() -> None:
    """What is too long for its detail would leave a lawful query without an answer, after the search."""
    modalities = [
        (each, -12.345678901234567, -9.123456789012345, 10**8, range(1, 11)) for each in Modality
    ]
    searched = _facts.searched_facts(
        best=-12.345678901234567,
        threshold=-9.123456789012345,
        fpir=1.2345678e-05,
        expected=1.23e-12,
        gallery=(10**9, 10**9),
        calibration=[f"a-model-of-{each.name}-12-0123456789abcdef" for each in Modality],
        reckoned_by="; ".join(["x" * 180] * len(Modality)),
        positions=[*range(1, 11), 0, 1, 2],
        shared=(10, 1, 2),
        floor=-3.123456789012345,
        floor_fpir=0.001,
    )
    rule = "us-visa@1:answer.reveal.PARTNER_PERMANENT_RESIDENT.UNDECLARED"
    decided = Settled(Outcome.REVIEW_PENDING, Outcome.REVIEW_PENDING, rule, (rule,) * 12)
    fields = tuple(
        replace(NAME, code=each, authority="IRPR 315.25(1)(a)") for each in list(FieldCode)[:16]
    )
    leaf = _response(
        {
            **searched,
            **_facts.modality_facts(modalities),
            **_facts.conflict_facts(Modality),
            **_facts.extraction_facts(
                [
                    (
                        replace(
                            SAMPLES[0],
                            position=at,
                            extractor="leader-1.2.7",
                            quality=100,
                            quality_algorithm="nfiq2-like",
                        ),
                        "leader-1.2.7",
                    )
                    for at in range(1, 11)
                ]
                + [
                    (
                        replace(SAMPLES[0], modality=each, position=at, extractor="m" * 48),
                        "e" * 48,
                    )
                    for each, at in ((Modality.FACE, 0), (Modality.IRIS, 1), (Modality.IRIS, 2))
                ],
                [],
            ),
            **_facts.misread_facts([(Modality.IRIS, "MIRRORED_AND_EXCHANGED")]),
            **_facts.decision_facts(decided),
            **_facts.candidate_facts(2**63, RECORD, NOW, decided, [RULING] * 3),
            **_facts.disclosed_facts(fields),
            "hit_reference": "0" * 32,
            "destruction_receipt": "D-" + "0" * 32,
        }
    )

    assert len(detail_bytes(leaf.detail or {}, DETAIL_SIZES[-1])) == DETAIL_SIZES[-1]


def test_a_question_of_ours_by_as_many_images_as_there_may_be_fits_its_detail() -> None:
    """What is too long for its detail could not be asked at all, and nobody would see why."""
    samples = [
        replace(
            IMAGE,
            modality=modality,
            position=place,
            format=RecordFormat.ISO_19794_4_2005,
            extractor="e" * 48,
            data=bytes(50_000),
        )
        for modality, places in POSITIONS.items()
        for place in places
        for _ in range(MOST_IMPRESSIONS[modality])
    ]
    countries = frozenset(f"C{letter}C" for letter in "ABCDEFGHIJKLMNOP")
    asking = replace(
        ASKING,
        probe=Biometrics(tuple(samples)),
        **dict.fromkeys(("case", "unit", "person"), "p" * 64),
        status=replace(
            ASKING.status, nationalities=countries, persecutors=countries, no_persecutor=False
        ),
        subject=2**63,
    )
    rules = ("template-organisation@1:modality_purposes.FINGER",) * 12
    permit: Any = SimpleNamespace(**{**vars(PERMIT), "rules": rules})

    named = [replace(each, extractor="e" * (MAX_EXTRACTORS // len(samples))) for each in samples]
    query = replace(
        QUERY,
        probe=Biometrics(tuple(named)),
        **dict.fromkeys(("case", "unit", "person"), "p" * 64),
    )

    leaf = exchange_events.question(asking, HEADER, TRANSCRIPT, permit)
    theirs = _request(_facts.query_facts(HEADER, query, permit))

    assert len(samples) == 43
    assert len(detail_bytes(theirs.detail or {}, DETAIL_SIZES[-1])) == DETAIL_SIZES[-1]
    assert len(detail_bytes(leaf.detail or {}, DETAIL_SIZES[-1])) == DETAIL_SIZES[-1]


def test_every_constructor_and_every_type_of_entry_is_recorded() -> None:
    built = {
        name
        for module in (events, exchange_events)
        for name, each in inspect.getmembers(module, inspect.isfunction)
        if each.__module__ == module.__name__ and not name.startswith("_")
    }

    assert {name.partition(":")[0] for name in ENTRIES} == built
    assert {leaf.frame.type for leaf in ENTRIES.values()} == set(EntryType) == set(SHAPES)
    assert ENTRIES.keys() == json.loads(RECORDED.read_text()).keys()


def test_each_fact_of_the_table_is_one_that_an_entry_of_its_type_carries() -> None:
    carried: dict[EntryType, set[str]] = defaultdict(set)
    classes = defaultdict(set)
    for leaf in ENTRIES.values():
        carried[leaf.frame.type] |= set(leaf.detail or {})
        classes[leaf.frame.type].add(leaf.frame.entry_class)

    assert carried == {kind: set(shape.needs | shape.may) for kind, shape in SHAPES.items()}
    assert classes == {kind: set(shape.classes) for kind, shape in SHAPES.items()}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_with_a_fact_too_many_or_too_few_is_not_built(name: str) -> None:
    leaf = ENTRIES[name]
    facts, frame = dict(leaf.detail or {}), leaf.frame
    again = partial(build, frame.type, frame.subject_reference, {}, frame.entry_class)

    assert again(**facts).detail == leaf.detail
    with pytest.raises(MalformedEntry, match="a_name"):
        again(**facts, a_name="x")
    for missing in SHAPES[frame.type].needs:
        with pytest.raises(MalformedEntry, match=missing):
            again(**{name: value for name, value in facts.items() if name != missing})


def test_an_entry_of_another_class_or_reference_is_not_built() -> None:
    with pytest.raises(MalformedEntry, match="of class DENIED"):
        build(EntryType.ALARM, "", {}, EntryClass.DENIED)
    with pytest.raises(MalformedEntry, match="reference"):
        events.hold("PLACE/everything", ("", ""), "everything", "a case", BY)


def test_nobody_but_the_constructors_builds_an_entry() -> None:
    sources = Path(gateway.__path__[0])
    named = defaultdict(set)
    for path in sources.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                named[ast.unparse(node.func).rpartition(".")[2]].add(str(path.relative_to(sources)))
            elif isinstance(node, ast.ImportFrom):
                named[node.module or ""].add(str(path.relative_to(sources)))

    constructors = {f"ledger/{name}.py" for name in ("events", "exchange_events", "exchange_facts")}
    assert named["Frame"] == {"ledger/entry.py", "ledger/entry_builder.py"}
    assert named["gateway.ledger.entry_builder"] == constructors
    assert named["Leaf"] == {"ledger/entry_builder.py", "exercises/bench/synthetic_events.py"}


def test_what_reads_facts_asks_for_facts_that_entries_have() -> None:
    """The history of an exchange, replays, and the questions of auditors, by the names that they write."""
    sources = Path(gateway.__path__[0])
    readers = [
        *(sources / "ledger").glob("*.py"),
        *(sources / "auditor" / "questions").glob("*.py"),
    ]
    readers += (sources / "auditor").glob("*.py")
    asked = set()
    for node in (each for path in readers for each in ast.walk(ast.parse(path.read_text()))):
        match node:
            case ast.Call(ast.Attribute(of, "get"), [ast.Constant(str(name)), *_]):
                asked.add((ast.unparse(of), name))
            case ast.Subscript(of, ast.Constant(str(name)), ast.Load()):
                asked.add((ast.unparse(of), name))
            case ast.Call(ast.Name("_fact"), [_, ast.Constant(str(name))]):
                asked.add(("facts", name))
            case ast.Tuple([ast.Constant(str(name)), ast.Call(ast.Name("say"))]):
                asked.add(("facts", name))
    names = {name for of, name in asked if re.search(r"\b(facts|told|asked)\b", of)}

    assert names <= FACTS
    assert len(names & FACTS) > 50


if __name__ == "__main__":
    kept = {name: recorded(leaf) for name, leaf in sorted(ENTRIES.items())}
    RECORDED.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
