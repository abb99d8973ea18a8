"""What another version of an agreement would have decided: past queries, decided again from the ledger alone.

No print is needed and none exists: purpose, claim, what was sampled, score, gallery, fingers searched and the
status of the person found are in the sealed details; the law is a pure function of them. Decided again under
the version that was in force, each must come out as it did: anything else is a finding.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from gateway.domain.messages import (
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
from gateway.domain.person import NOBODY, FieldCode, Ground, Scope, Status, SubjectKind
from gateway.errors import Refusal
from gateway.language import Message, say
from gateway.law.agreement import Agreement
from gateway.law.legal_status import read_persecution_fact
from gateway.law.query_policy import (
    Decided,
    Evidence,
    Found,
    Permit,
    decisive,
    may_answer,
    settle,
)
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.exchange_history import OpenedEntry, age_of

Searched: TypeAlias = Mapping[Modality, tuple[int, int]]
"""People in the gallery and samples that the best candidate shares with the probe, by modality; 0 = none is held."""

Threshold: TypeAlias = Callable[[float, int, Mapping[Modality, int]], float]
"""FPIR, people searched, and samples that the person shares, of each modality that is held → the least score of a match.

Raises Undecidable where it cannot be reckoned as it was then.
"""

SEARCHED = frozenset({"MATCH", "NO_MATCH", "REVIEW_PENDING"})
ROUNDING = 0.001  # log10; two numbers of three decimals that differ by less may be in either order
# Shared samples where an entry does not say them, of earlier releases or of nobody: by the most cautious of thresholds.
UNSAID = 1
_ROUNDED = re.compile(
    r"-?\d+\.\d{3}"
)  # how earlier releases recorded scores, thresholds and floors


class Undecidable(ValueError):
    """A past query cannot be decided again; `why` says it to an auditor."""

    def __init__(self, why: Message) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Past:
    """A query that was answered, as the ledger states it."""

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

    def calibrations(self) -> Mapping[Modality, Sequence[str]]:
        """Return the ids of the calibrations that each searched modality rested on: of its models or coders.

        Raises Undecidable where the entry does not name them.
        """
        named = self.told.get("calibration", "")
        modalities, each = _modalities(self), named.split(",")
        if not named or len(each) != len(modalities):
            raise Undecidable(say("the entry does not name its calibrations"))
        return dict(zip(modalities, (one.split("+") for one in each), strict=True))


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


def answered(entries: Iterable[OpenedEntry]) -> Iterator[Past]:
    """Yield the answered queries among entries in order; what stays sealed cannot be decided again."""
    asked: dict[tuple[str, bytes], OpenedEntry] = {}
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


def count_unopened(entries: Iterable[OpenedEntry]) -> int:
    """Return how many answers cannot be looked at, because their details are sealed, or those of what they answer."""
    asked = {}
    count = 0
    for each in entries:
        key = each.frame.partner_id, each.frame.message_id
        if each.frame.type is EntryType.REQUEST:
            asked[key] = each
        elif each.frame.entry_class is EntryClass.ANSWERED and (request := asked.pop(key, None)):
            count += not (request.facts and each.facts)
    return count


def again(past: Past, agreement: Agreement, threshold: Threshold) -> Replayed:
    """Decide a past query under `agreement`, as if it had been in force then.

    Raises Undecidable where the entries do not say enough, which those of an older release may not, or where
    `threshold` cannot reckon as it was then.
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
    found = _found(past, permit, threshold)
    settled = settle(found, _status(past), permit, _decided(past), held=held)
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
    """Return score, threshold and floor as they were recorded; anew only where the permit's share is another.

    Earlier releases recorded three decimals. Where these do not show which of two numbers was the greater, the
    outcome that was recorded beside them does; of a threshold reckoned anew nothing does.
    """
    told = past.told
    if "scores" not in told:  # asked back by number: somebody is there, or nobody
        hit = told.get("true_outcome") == Outcome.MATCH.name
        return Found(0.0 if hit else float("-inf"), 0.0)
    try:
        score, agreed = float(told["scores"]), float(told["fpir"])
        people, held = int(told["gallery_size"]), _held(_searched(past))
        level = _Level(told["threshold"], past, reached=frozenset({Outcome.MATCH.name}))
    except (KeyError, ValueError):
        raise Undecidable(say("the entry does not say score, gallery and samples")) from None
    if permit.fpir == agreed or (level.rounded and f"{permit.fpir:g}" == told["fpir"]):
        least = level.beside(score)
    else:  # what was recorded is the threshold of another share
        least = _anew(past, score, threshold(permit.fpir, people, held))
    conflict = _conflict(past, permit, Found(score, least), threshold)
    if permit.review is None:
        return Found(score, least, conflict=conflict)
    share = permit.review.floor_fpir
    if told.get("review_floor") and _same_floor(past, permit):
        at_least = frozenset({Outcome.MATCH.name, Outcome.REVIEW_PENDING.name})
        floor = _Level(told["review_floor"], past, reached=at_least).beside(score)
    else:
        floor = _anew(past, score, threshold(share, people, held))
    return Found(score, least, floor, conflict=conflict)


def _searched(past: Past) -> Searched:
    told = past.told
    several = "searched_modalities" in told
    modalities = _modalities(past)
    sizes = told["modality_sizes" if several else "gallery_size"].split(",")
    shared = told.get("shared_samples")
    if shared is not None:
        numbers = list(map(int, shared.split(",")))
    elif several:
        numbers = [0 if said == "none" else UNSAID for said in told["modality_scores"].split(",")]
    else:
        numbers = [UNSAID]
    return {
        each: (int(size), number)
        for each, size, number in zip(modalities, sizes, numbers, strict=True)
    }


def _held(searched: Searched) -> Mapping[Modality, int]:
    """Return the samples shared, of each modality that is held of whoever was the best; of nobody, of every one."""
    held = {each: shared for each, (_, shared) in searched.items() if shared}
    return held or {each: UNSAID for each, (size, _) in searched.items() if size}


def _alone(
    threshold: Threshold, fpir: float, modality: Modality, searched: tuple[int, int]
) -> float:
    size, shared = searched
    return threshold(fpir, size, {modality: shared})


def _modalities(past: Past) -> list[Modality]:
    """Return what was searched: of several that were asked, those of which something was usable."""
    alone = past.asked.get("modality") or Modality.FINGER.name
    named = past.told.get("searched_modalities", alone)
    return [_modality(name) for name in named.split(",")]


def _modality(name: str) -> Modality:
    try:
        return Modality[name]
    except KeyError:
        raise Undecidable(say("the entry names a modality that we do not know")) from None


def _conflict(
    past: Past, permit: Permit, found: Found, threshold: Threshold
) -> frozenset[Modality]:
    """Return the modalities that contradict each other: as recorded, or under another share anew.

    Raises Undecidable where it was about somebody else than the scores that were recorded.
    """
    told = past.told
    recorded = frozenset(_modality(name) for name in told.get("conflict", "").split(",") if name)
    if "searched_modalities" not in told or permit.fpir == float(told["fpir"]):
        return recorded
    searched = _searched(past)
    evidence = tuple(
        Evidence(each, float(score), _alone(threshold, permit.fpir, each, searched[each]))
        for each, score in zip(_modalities(past), told["modality_scores"].split(","), strict=True)
        if score != "none"
    )
    anew = decisive([replace(found, evidence=evidence)], found)[1].conflict
    if recorded and not anew:
        raise Undecidable(
            say("what contradicted itself under the recorded share cannot be decided under another")
        )
    return anew


class _Level:
    """A recorded threshold; `reached` are the true outcomes of scores that reached it."""

    def __init__(self, text: str, past: Past, *, reached: frozenset[str]) -> None:
        self._level = float(text)
        self._reached = past.told.get("true_outcome") in reached
        self.rounded = bool(_ROUNDED.fullmatch(text) and _ROUNDED.fullmatch(past.told["scores"]))

    def beside(self, score: float) -> float:
        """Return the level, or what relates to the score as it was decided where rounding hides that."""
        if not self.rounded or abs(score - self._level) >= ROUNDING:
            return self._level
        return score if self._reached else math.nextafter(score, math.inf)


def _anew(past: Past, score: float, level: float) -> float:
    if _ROUNDED.fullmatch(past.told["scores"]) and abs(score - level) < ROUNDING:
        raise Undecidable(
            say("the recorded score has three decimals: too near to the other threshold")
        )
    return level


def _same_floor(past: Past, permit: Permit) -> bool:
    """Return whether the recorded floor is of the permit's share; earlier releases did not record the share."""
    share = past.told.get("review_fpir")
    if permit.review is None or share is None:
        return past.agreement == permit.agreement.name
    return float(share) == permit.review.floor_fpir


def _status(past: Past) -> Status:
    told = past.told
    if not told.get("status_kind"):
        return NOBODY
    kind = _recorded_kind(told["status_kind"])
    persecutors, none = read_persecution_fact(told.get("persecutors", ""), kind)
    return Status(
        kind=kind,
        nationalities=frozenset(filter(None, told.get("nationalities", "").split(","))),
        persecutors=persecutors,
        no_persecutor=none,
        confirmed=_confirmed(past),
    )


def _confirmed(past: Past) -> datetime | None:
    """Return when the status was confirmed; None: never."""
    age = age_of(past.told.get("status_age", ""))
    return None if age is None else past.time - age


def _decided(past: Past) -> tuple[Decided, ...]:
    """Return what officials had decided of the person; earlier releases recorded what came of it alone."""
    told = past.told.get("official_decisions", "")
    if not told and past.told.get("withheld") == Scope.ALL.name:
        told = f"{Scope.ALL.name}/{past.told.get('ground', '')}"
    try:
        parts = [each.split("/") for each in told.split(",") if each]
        return tuple(
            Decided(Scope[scope], frozenset(map(_field, fields)), Ground[ground], "".join(terms))
            for what, ground, *terms in parts
            for scope, *fields in [what.split("+")]
        )
    except (KeyError, ValueError):
        raise Undecidable(say("the entry names a decision that we do not know")) from None


def _field(name: str) -> FieldCode:
    return FieldCode[name]


def _recorded_kind(name: str) -> SubjectKind:
    try:
        return SubjectKind[name]
    except KeyError:
        raise Undecidable(say("the entry names a status that we do not know")) from None


def _member(past: Past, name: str, kind: type[Purpose]) -> Purpose:
    try:
        return kind[past.asked[name]]
    except KeyError:
        raise Undecidable(say("the entry does not say its {name}", name=name)) from None
