"""What `--json` says of a demonstration, and how the answers are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.messages import Outcome
from gateway.exercises.demo.queries import AskedQuery, percentile

MISSED_ALLOWED = 0.10  # share of questions about enrolled people; two fingers of old, small sensors, at FPIR 1e-4


@dataclass(slots=True, kw_only=True)
class Summary:
    """What `--json` says; later versions add fields and remove none.

    queries            questions about people, of which each is a hit, no hit, insufficient or unanswered
    wrong_hits         hits on somebody who is not enrolled, or on another person than asked about
    missed             questions about people whom a partner may learn of that were no hit
    refused            attempts that were to be refused, and were, for the expected reason
    receipts_verified  answers to queries whose receipt, signature and consistency were verified
    details_fields     data disclosed of people who matched, each beside the paragraph that permits it
    masked             questions about a citizen who was found, answered as if nobody had been
    reviews            cases that an examiner decided, and whose verdict the partner got
    corrections_acknowledged  notices of a wrong value, of which the partner said what it did about it
    rotations          keys that were replaced while a partner asked
    waiting            questions of an organisation that wait for an examiner at the end
    image_queries      questions with pictures of fingers; 0 without an extractor or pictures
    ten_finger_queries … fused_queries  questions of an organisation with all fingers, a face, two irises, and all of these
    destruction_receipts_verified  queries whose prints are proved destroyed, without a gateway
    p50_ms … p99_ms    milliseconds from composing a question to believing its answer
    """

    ok: bool = False
    queries: int = 0
    hits: int = 0
    no_hits: int = 0
    insufficient: int = 0
    unanswered: int = 0
    wrong_hits: int = 0
    missed: int = 0
    missed_allowed: int = 0
    refused: int = 0
    receipts_verified: int = 0
    details_fields: int = 0
    masked: int = 0
    reviews: int = 0
    corrections_acknowledged: int = 0
    rotations: int = 0
    waiting: int = 0
    image_queries: int = 0
    ten_finger_queries: int = 0
    face_queries: int = 0
    iris_queries: int = 0
    fused_queries: int = 0
    destruction_receipts_verified: int = 0
    ledger_ok: bool = False
    ledger_entries: int = 0
    answer_bytes: list[int] = field(default_factory=list)
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    people: int = 0
    enrolled: int = 0
    source: str = ""
    synthetic: bool = False
    promises: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0


def summarise(asked: Sequence[AskedQuery], hits: Mapping[str, str]) -> Summary:
    """Count the answers; `hits` says whom each hit was on."""
    answers = [one.answer for one in asked if one.answer is not None]
    outcomes = [one.outcome for one in answers]
    mates = [one for one in asked if one.expected is Outcome.MATCH]
    seconds = [one.seconds for one in answers]
    p50, p95, p99 = (round(percentile(seconds, at) * 1000, 1) for at in (0.5, 0.95, 0.99))
    return Summary(
        queries=len(asked),
        hits=outcomes.count(Outcome.MATCH),
        no_hits=outcomes.count(Outcome.NO_MATCH),
        insufficient=outcomes.count(Outcome.QUALITY_INSUFFICIENT),
        unanswered=len(asked) - len(answers),
        wrong_hits=sum(_wrong(one, hits) for one in asked),
        missed=sum(not one.good for one in mates),
        missed_allowed=int(MISSED_ALLOWED * len(mates)),
        receipts_verified=len(answers),
        answer_bytes=sorted({one.envelope_size for one in answers}),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def _wrong(one: AskedQuery, hits: Mapping[str, str]) -> bool:
    """Return whether a hit was on somebody else: its sealed detail names another, or nobody."""
    if one.answer is None or one.answer.outcome is not Outcome.MATCH:
        return False
    return (
        hits.get(one.answer.transaction_number) != one.person.pseudonym or not one.person.enrolled
    )
