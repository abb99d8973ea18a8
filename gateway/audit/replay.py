"""What another version of an agreement would have decided: past queries, decided again from the ledger alone.

No print is needed and none exists: purpose, claim, what was sampled, score, gallery, fingers searched and the
status of the person found are in the sealed details; the law is a pure function of them. Decided again under
the version that was in force, each must come out as it did: anything else is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from gateway.audit.chapters import Told
from gateway.audit.entry import EntryType
from gateway.casework import NOBODY, FieldCode, Status, SubjectKind
from gateway.errors import Refusal
from gateway.law.agreement import Agreement
from gateway.law.policy import Found, Permit, may_answer, settle
from gateway.law.standing import persecution_told
from gateway.terms import (
    Biometrics,
    Header,
    MessageType,
    Modality,
    Operation,
    Outcome,
    PriorTransaction,
    Purpose,
    Query,
    RecordFormat,
    Sample,
)

Threshold: TypeAlias = Callable[[float, int, int], float]
"""FPIR, people in the gallery and fingers searched → the least score that is a match."""

SEARCHED = frozenset({"MATCH", "NO_MATCH", "REVIEW_PENDING"})
_AGE = re.compile(r"(-?\d{1,5}) days")


@dataclass(frozen=True, slots=True)
class Past:
    """A query that was answered, as the ledger tells it."""

    partner: str
    number: str
    index: int
    time: datetime
    agreement: str
    asked: Mapping[str, str]
    told: Mapping[str, str]

    @property
    def shown(self) -> str:
        """The outcome that the asker was shown."""
        return self.told.get("disclosed_outcome", "")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One query decided again; `now` is an outcome or the reason of a refusal, `why` the rule."""

    past: Past
    now: str
    why: str

    @property
    def changed(self) -> bool:
        """Whether the asker would have been shown something else."""
        return self.now != self.past.shown


def answered(entries: Iterable[Told]) -> Iterator[Past]:
    """Yield the answered queries among entries in order; what stays sealed cannot be decided again."""
    asked: dict[tuple[str, bytes], Told] = {}
    for each in entries:
        frame = each.frame
        key = frame.partner_id, frame.message_id
        if frame.type is EntryType.REQUEST:
            asked[key] = each
        elif frame.type is EntryType.RESPONSE and (request := asked.pop(key, None)):
            if not request.facts or not each.facts or "disclosed_outcome" not in each.facts:
                continue
            if request.facts.get("operation") == Operation.SUBMIT_QUERY.name:
                yield Past(
                    frame.partner_id,
                    frame.transaction_number,
                    each.index,
                    request.frame.time,
                    f"{request.frame.agreement_id}@{request.frame.agreement_version}",
                    request.facts,
                    each.facts,
                )


def again(past: Past, agreement: Agreement, threshold: Threshold) -> Replayed:
    """Decide a past query under `agreement`, as if it had been in force then.

    Raises ValueError where the entries do not say enough, which those of an older release may not.
    """
    then = replace(agreement, in_force=past.time, until=None, superseded=None)
    try:
        permit = may_answer(_header(past, then), _query(past), then, past.time)
    except Refusal as refusal:
        return Replayed(past, refusal.reason, refusal.metadata.get("element", ""))
    if past.told.get("true_outcome") not in SEARCHED:
        return Replayed(past, past.shown, permit.rules[0])
    # What is held was not recorded by older releases, which did not ask for it.
    held = () if past.told.get("applications") == "none" else (FieldCode.APPLICATION_HISTORY,)
    settled = settle(_found(past, permit, threshold), _status(past), permit, held=held)
    return Replayed(past, settled.shown.name, settled.why)


def _header(past: Past, agreement: Agreement) -> Header:
    return Header(
        message_type=MessageType.REQUEST,
        operation=Operation.SUBMIT_QUERY,
        sender=past.partner,
        signing_key_id=b"",
        recipient=agreement.home,
        kem_key_id=b"",
        message_id=b"",
        create_time=past.time,
        expire_time=past.time,
        directory_version=1,
        payload_commitment=b"",
        transaction_number=past.number,
        agreement_id=agreement.id,
        agreement_version=agreement.version,
        purpose=_member(past, "purpose", Purpose),
    )


def _query(past: Past) -> Query:
    asked = past.asked
    probe: Biometrics | PriorTransaction = PriorTransaction(asked.get("prior_transaction", ""))
    if asked.get("modality"):
        kinds = [Modality[name] for name in asked["modality"].split(",")]
        probe = Biometrics(
            tuple(
                Sample(
                    modality=kind,
                    position=0,
                    format=RecordFormat.ISO_19794_2_2005,
                    extractor="",
                    data=b"",
                )
                for kind in kinds
            )
        )
    return Query(
        case=asked.get("case", ""),
        unit=asked.get("unit", ""),
        person=asked.get("person", ""),
        reply_key=b"",
        probe=probe,
        refugee_claimant=asked.get("refugee_claimant") == "true",
    )


def _found(past: Past, permit: Permit, threshold: Threshold) -> Found:
    told = past.told
    if "scores" not in told:  # asked back by number: somebody is there, or nobody
        hit = told.get("true_outcome") == Outcome.MATCH.name
        return Found(0.0 if hit else float("-inf"), 0.0)
    try:
        score, agreed = float(told["scores"]), float(told["fpir"])
        size, fingers = int(told["gallery_size"]), len(told["usable_positions"].split(","))
        level = float(told["threshold"])
        floor = float(told["review_floor"]) if told.get("review_floor") else None
    except (KeyError, ValueError):
        raise ValueError("the entry does not say score, gallery and fingers") from None
    if permit.fpir != agreed:  # what was recorded is the threshold of another share
        level = threshold(permit.fpir, size, fingers)
    return Found(score, level, floor)


def _status(past: Past) -> Status:
    told = past.told
    if not told.get("status_kind"):
        return NOBODY
    age = _AGE.fullmatch(told.get("status_age", ""))
    kind = _told_kind(told["status_kind"])
    persecutors, none = persecution_told(told.get("persecutors", ""), kind)
    return Status(
        kind=kind,
        nationalities=frozenset(filter(None, told.get("nationalities", "").split(","))),
        persecutors=persecutors,
        no_persecutor=none,
        confirmed=past.time - timedelta(days=int(age[1])) if age else None,
    )


def _told_kind(name: str) -> SubjectKind:
    try:
        return SubjectKind[name]
    except KeyError:
        raise ValueError("the entry names a status that we do not know") from None


def _member(past: Past, name: str, kind: type[Purpose]) -> Purpose:
    try:
        return kind[past.asked[name]]
    except KeyError:
        raise ValueError(f"the entry does not say its {name}") from None
