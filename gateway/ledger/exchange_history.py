"""What became of one exchange, from its entries: who asked, why, what was sent and said, by which law.

The questions are those of law.md section 9, 1 to 7. Frames are open to anybody who holds the ledger; what
only the auditor may know comes from details that the auditor's key opened. What is sealed, or was
shredded, is said to be so: a history never fills a gap.

An exchange is a partner's question to us, or ours to a partner; both are told as fully. What only the other side's
ledger knows, such as the threshold of its search, is said to stand there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from gateway.domain.messages import Direction
from gateway.language import Message, say
from gateway.law.citations import ground_of
from gateway.ledger import disclosure_basis
from gateway.ledger.entry import EntryClass, EntryType, Frame

ANSWER = "answer"  # what a reading is of that shows a partner's answer to an officer of ours
SEALED = say("sealed: give the auditor's key to read it")
Cite = Callable[[str], str]  # rule id → the paragraph it rests on; empty where none is known


@dataclass(frozen=True, slots=True)
class OpenedEntry:
    """One entry as the auditor holds it; facts are None where the detail is sealed, gone or absent."""

    index: int
    frame: Frame
    facts: Mapping[str, str] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is known: what, where it stands, and the paragraph it rests on, where there is one.

    value   data as it is recorded, or a `Message`
    """

    label: Message
    value: str
    leaf: int
    paragraph: str = ""


class Question(Enum):
    """What may be asked of one exchange."""

    WHO = "who"
    PURPOSE = "purpose"
    CONTENT = "content"
    CALIBRATION = "calibration"
    KEYS = "keys"
    DESTRUCTION = "destruction"
    REVIEW = "review"
    DECISION = "decision"
    AFTERWARDS = "afterwards"


@dataclass(frozen=True, slots=True)
class ExchangeHistory:
    """The answers about one exchange, by question; findings are what should be there and is not."""

    number: str
    partner: str
    answers: Mapping[Question, tuple[Line, ...]]
    findings: tuple[Message, ...]


def build_history(
    entries: Iterable[OpenedEntry],
    number: str,
    partner: str,
    cite: Cite = lambda _: "",
    *,
    opened: bool = True,
) -> ExchangeHistory:
    """Return the history of a partner's transaction.

    entries   those of the transaction and of what followed it, and the KEY entries of the keys it used
    opened    whether the auditor's key was given; without it details are sealed, which is no finding
    """
    mine = sorted(entries, key=lambda each: each.index)
    own = [
        each
        for each in mine
        if each.frame.transaction_number == number and each.frame.partner_id == partner
    ]
    later = [each for each in mine if each not in own and each.frame.type is not EntryType.KEY]
    answers = {
        Question.WHO: tuple(_who(own)),
        Question.PURPOSE: tuple(_purpose(own)),
        Question.CONTENT: tuple(_content(own)),
        Question.CALIBRATION: tuple(_calibration(own)),
        Question.KEYS: tuple(_keys(own, mine)),
        Question.DESTRUCTION: tuple(_destruction(own)),
        Question.REVIEW: tuple(_review(own)),
        Question.DECISION: tuple(_decision(own, cite)),
        Question.AFTERWARDS: tuple(_afterwards(own, later, number)),
    }
    return ExchangeHistory(number, partner, answers, tuple(_findings(own, answers, opened=opened)))


def _unanswered(own: Sequence[OpenedEntry]) -> bool:
    """Return whether a question of ours left and nothing says what became of it; one that was stopped never left."""
    left = any(each.frame.message_id for each in of_type(own, EntryType.ASKED))
    ended = (
        each.frame.type is EntryType.ABANDONED or each.frame.entry_class is not EntryClass.ACCEPTED
        for each in of_type(own, EntryType.ANSWER_RECEIVED, EntryType.ABANDONED)
    )
    return left and not any(ended)


def _findings(
    own: Sequence[OpenedEntry], answers: Mapping[Question, tuple[Line, ...]], *, opened: bool
) -> Iterator[Message]:
    if not own:
        yield say("no entry of this partner bears this number")
        return
    kinds = {each.frame.type for each in own}
    if EntryType.REQUEST in kinds and not kinds & {
        *(EntryType.RESPONSE, EntryType.REFUSAL, EntryType.ABANDONED)
    }:
        yield say("the request was neither answered, refused nor given up")
    if _unanswered(own):
        yield say("our question was neither answered, refused nor given up")
    if not any(answers.values()):
        names = ", ".join(sorted(kind.name for kind in kinds))
        yield say(
            "no entry of this number tells of a question: there are {names} alone", names=names
        )
    searched = any(
        each.frame.subject_reference == "SUBMIT_QUERY" for each in of_type(own, EntryType.RESPONSE)
    )
    if searched and not kinds & {EntryType.DESTRUCTION, EntryType.REVIEW}:
        yield say("the query was answered and no destruction of its samples is recorded")
    gone = [each.index for each in own if each.facts is None and any(each.frame.detail_commitment)]
    if gone and opened:
        leaves = ", ".join(map(str, gone))
        yield say("details were shredded or do not open: leaves {leaves}", leaves=leaves)


_ASKED = (EntryType.REQUEST, EntryType.ASKED)  # a partner's question, and ours
_TOLD = (EntryType.RESPONSE, EntryType.ANSWER_RECEIVED)
# What bears the number of a question and is no part of it: who saw the answer, used it, was warned.
_AFTER = (
    *(EntryType.USE, EntryType.AUDIT_READ, EntryType.ALARM, EntryType.HOLD),
    *(EntryType.CORRECTION, EntryType.ACKNOWLEDGEMENT),
)
_SENT = (
    ("operation", say("operation")),
    ("modality", say("modality")),
    ("positions", say("positions")),
    ("missing", say("fingers missing")),
    ("formats", say("record formats")),
    ("sizes", say("sizes, bytes")),
    ("extractors", say("extractors")),
    ("prior_transaction", say("number asked back")),
)
_RETURNED = (
    ("disclosed_outcome", say("outcome shown")),
    ("outcome_received", say("outcome told to us")),
    ("authorities", say("by")),
    ("withheld", say("withheld")),
    ("fields_withheld", say("asked for and kept back")),
)
_STATED = (
    ("status_kind", say("status stated of the person")),
    ("nationalities", say("nationalities stated")),
    ("persecutors", say("countries of persecution stated")),
)
_SEARCHED = (
    ("calibration", say("calibration")),
    ("gallery_version", say("gallery version")),
    ("gallery_size", say("gallery size, people")),
    ("usable_positions", say("positions searched")),
    ("shared_samples", say("samples shared with the best candidate")),
    ("position_hypothesis", say("positions of the best candidate")),
    ("position_ways", say("ways to assign them")),
    ("fpir", say("FPIR agreed")),
    ("fpir_expected", say("FPIR expected at this size")),
    ("threshold", say("threshold, log10 likelihood ratio")),
    ("review_floor", say("review from, log10 likelihood ratio")),
    ("scores", say("score of the best candidate")),
    ("extracted", say("images made into records")),
    ("searched_modalities", say("modalities added up")),
    ("modality_positions", say("positions of each")),
    ("modality_sizes", say("gallery size of each")),
    ("modality_thresholds", say("threshold of each alone")),
    ("modality_scores", say("score of each")),
    ("conflict", say("modalities that contradict each other")),
    ("misread", say("reaches somebody only if read otherwise than stated")),
    ("reckoned_by", say("reckoned by")),
)


def _who(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield who asked, when and under which agreement; of a message that came again, once."""
    for each in of_type(own, *_ASKED) or of_type(own, EntryType.REFUSAL)[:1]:
        frame = each.frame
        if frame.direction is Direction.OUTBOUND:
            yield Line(say("we asked"), _whom(frame), each.index)
        else:
            yield Line(say("asked by"), frame.partner_id, each.index)
        yield Line(say("at"), frame.time.isoformat(timespec="milliseconds"), each.index)
        if frame.agreement_id:
            agreed = f"{frame.agreement_id}@{frame.agreement_version}"
            yield Line(say("under"), agreed, each.index, _fact(each, "paragraph", quiet=True))
        people = (
            ("unit", say("unit")),
            ("person", say("responsible person")),
            ("actor", say("our officer")),
        )
        yield from _lines(each, people)


def _purpose(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield the purpose and the case."""
    for each in of_type(own, *_ASKED):
        paragraph = _fact(each, "paragraph", quiet=True)
        ours = each.frame.direction is Direction.OUTBOUND
        yield Line(say("purpose"), _fact(each, "purpose"), each.index, paragraph)
        claim = say("refuge claimed here") if ours else say("refuge claimed there")
        yield from _lines(each, (("case", say("case")), ("refugee_claimant", claim)))


def _content(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield what was sent and what was returned; names of fields, never values."""
    for each in of_type(own, *_ASKED):
        if each.frame.transcript:  # what our own law stopped was never written
            yield Line(say("transcript of the question"), each.frame.transcript.hex(), each.index)
        yield from _lines(each, (*_SENT, ("fields", say("fields asked for"))))
    for each in of_type(own, *_TOLD):
        if each.frame.transcript:
            yield Line(say("transcript of the answer"), each.frame.transcript.hex(), each.index)
        yield from _disclosed(each)
        yield from _lines(each, _RETURNED)


def _calibration(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield algorithm, threshold, gallery and score of the search."""
    for each in of_type(own, EntryType.RESPONSE, EntryType.REVIEW, EntryType.VERDICT):
        yield from _lines(each, _SEARCHED)
    for each in of_type(own, EntryType.ANSWER_RECEIVED):
        yield Line(
            say("searched by"),
            say("{partner}; its ledger says how", partner=each.frame.partner_id),
            each.index,
        )


def _keys(own: Sequence[OpenedEntry], mine: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield the keys that protected it, and the life of each."""
    used: dict[str, tuple[Message, int]] = {}
    for each in of_type(own, *_ASKED, *_TOLD):
        asked = each.frame.type in _ASKED
        for octets, what in (
            (each.frame.signing_key_id, say("signed") if asked else say("answer signed")),
            (each.frame.kem_key_id, say("sealed to") if asked else say("answer sealed to")),
        ):
            if octets:
                used.setdefault(octets.hex(), (what, each.index))
    for kid, (what, index) in used.items():
        yield Line(what, kid, index)
        for each in mine:
            if each.frame.type is EntryType.KEY and each.frame.subject_reference == kid:
                when = each.frame.time.isoformat(timespec="seconds")
                state = _fact(each, "state_after")
                why, actor = (_fact(each, name, quiet=True) for name in ("reason", "actor"))
                words = f"{when} {state}, {why}" if why else f"{when} {state}"
                life: str = say("{words}, by {actor}", words=words, actor=actor) if actor else words
                yield Line(say("  its life"), life, each.index)


def _destruction(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield when prints and templates were destroyed."""
    for each in of_type(own, EntryType.DESTRUCTION):
        when = each.frame.time.isoformat(timespec="milliseconds")
        yield Line(
            say("samples and templates destroyed"),
            say("{when}, receipt {receipt}", when=when, receipt=each.frame.subject_reference),
            each.index,
            "IRPR 315.43(2)",
        )
        yield from _lines(each, (("destroyed", say("what")),), quiet=True)
    for each in of_type(own, EntryType.ANSWER_RECEIVED):
        if receipt := _fact(each, "destruction_receipt", quiet=True):
            partner = each.frame.partner_id
            yield Line(
                say("receipt of {partner} for its destruction", partner=partner),
                receipt,
                each.index,
            )


def _review(own: Sequence[OpenedEntry]) -> Iterator[Line]:
    """Yield who examined it."""
    for each in of_type(own, EntryType.REVIEW, EntryType.VERDICT):
        when = each.frame.time.isoformat(timespec="seconds")
        waits = each.frame.type is EntryType.REVIEW
        what = say("waits for an examiner since") if waits else say("examined")
        yield Line(what, when, each.index)
        yield from _lines(
            each,
            (
                ("verdict", say("verdict")),
                ("examiner", say("examiner")),
                ("second_examiner", say("second examiner")),
                ("actor", say("by")),
                ("reason", say("because")),
            ),
            quiet=True,
        )
    for each in of_type(own, EntryType.ANSWER_RECEIVED):
        if each.frame.entry_class is EntryClass.ACCEPTED:
            when = each.frame.time.isoformat(timespec="seconds")
            label = say("waits for an examiner of {partner} since", partner=each.frame.partner_id)
            yield Line(label, when, each.index)


def _decision(own: Sequence[OpenedEntry], cite: Cite) -> Iterator[Line]:
    """Yield what was permitted, masked, stopped or refused, rule by rule."""
    for each in own:
        yield from _ended(each, cite)
        if each.frame.type is EntryType.ASKED:
            yield from _lines(each, _STATED, quiet=True)
        elif each.frame.type in {EntryType.RESPONSE, EntryType.VERDICT} and each.facts:
            yield from _shown(each, each.facts)
        if each.facts:
            for rule in filter(None, each.facts.get("policy_trace", "").split(",")):
                yield Line(say("rule"), rule, each.index, cite(rule))
            why = each.facts.get("why", "")
            if why and each.frame.type is EntryType.RESPONSE:
                label = say("decided by rule") if ":" in why else say("because")
                yield Line(label, why, each.index, cite(why))


def _ended(each: OpenedEntry, cite: Cite) -> Iterator[Line]:
    """Yield how a question ended otherwise than by an answer of ours."""
    kind, denied = each.frame.type, each.frame.entry_class is EntryClass.DENIED
    if kind is EntryType.REFUSAL:
        yield from _no(each, say("refused") if denied else say("not completed"), cite)
    elif kind is EntryType.ASKED and denied:
        yield from _no(each, say("stopped by our own law, nothing was sent"), cite)
    elif kind is EntryType.ABANDONED:
        yield Line(say("given up"), say("no outcome; never a NO_MATCH"), each.index)
        yield from _lines(each, (("reason", say("because")),), quiet=True)
    elif kind is EntryType.ANSWER_RECEIVED:
        yield from _answer(each)


def _shown(each: OpenedEntry, facts: Mapping[str, str]) -> Iterator[Line]:
    """Yield what an asker was shown of what is true."""
    true, shown = (facts.get(f"{name}_outcome", "") for name in ("true", "disclosed"))
    if true and true != shown:
        label = say("refused by an official") if shown == "REFUSED" else say("masked")
        yield Line(label, say("{outcome}, shown as {shown}", outcome=true, shown=shown), each.index)
    elif shown:
        yield Line(say("answered"), shown, each.index)
    yield from _lines(each, (("status_kind", say("status of the person found")),), quiet=True)
    if age := facts.get("status_age", ""):
        yield Line(say("status last confirmed"), _confirmed(age), each.index)
    yield from _lines(each, (("ground", say("ground of refusal")),), quiet=True)


# How a decision states the age of a status, as `timedelta` is written; earlier releases recorded whole days.
_AGE = re.compile(r"(-?\d{1,5}) days(?: (\d{1,2}):(\d{2}):(\d{2}(?:\.\d{6})?))?")
_NEVER = "never confirmed"  # the words of an entry for a status that no case system ever confirmed


def age_of(told: str) -> timedelta | None:
    """Return how old a status was when it decided, from the words of an entry; None: never confirmed."""
    age = _AGE.fullmatch(told)
    if age is None:
        return None
    days, hours, minutes, seconds = (float(each or 0) for each in age.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _confirmed(told: str) -> str:
    """Return in plain words how long before the decision a status was confirmed."""
    age = age_of(told)
    if age is None:
        return say("never") if told == _NEVER else told
    minutes = age // timedelta(minutes=1)
    if minutes < 1:  # the confirming clock may even have been ahead
        return say("less than a minute before the decision")
    hours, rest = divmod(minutes, 60)
    if hours < 1:
        return say("{minutes} min before the decision", minutes=rest)
    if hours < 24:
        return say("{hours} h {minutes} min before the decision", hours=hours, minutes=rest)
    days, left = divmod(hours, 24)
    if not left:
        return say("{days} d before the decision", days=days)
    return say("{days} d {hours} h before the decision", days=days, hours=left)


def _no(each: OpenedEntry, label: Message, cite: Cite) -> Iterator[Line]:
    """Yield why something was refused, and the rule on which that rests, with its paragraph."""
    frame, reason = each.frame, _fact(each, "reason")
    rule = ground_of(reason, frame.direction, frame.agreement_id, frame.agreement_version)
    yield Line(label, reason, each.index, cite(rule) if rule else "")
    yield from _lines(each, (("element", say("because of")), ("why", say("check"))), quiet=True)
    if rule:
        yield Line(say("by rule"), rule, each.index, cite(rule))


def _answer(each: OpenedEntry) -> Iterator[Line]:
    """Yield what a partner answered to us."""
    partner = each.frame.partner_id
    if each.frame.entry_class is EntryClass.DENIED:
        yield Line(say("refused by {partner}", partner=partner), _fact(each, "reason"), each.index)
        return
    yield Line(
        say("answered by {partner}", partner=partner), _fact(each, "outcome_received"), each.index
    )
    yield from _lines(each, (("ground", say("ground of its refusal")),), quiet=True)


def _disclosed(each: OpenedEntry) -> Iterator[Line]:
    """Yield the fields that were disclosed, each with the paragraph that let it out."""
    if each.facts is None:
        return
    for name, paragraph in disclosure_basis.read(each.facts).items():
        yield Line(say("field disclosed"), name, each.index, paragraph)


def _whom(frame: Frame) -> str:
    stopped = frame.entry_class is EntryClass.DENIED
    return (
        say("{partner}; nothing was sent", partner=frame.partner_id)
        if stopped
        else frame.partner_id
    )


def _afterwards(
    own: Sequence[OpenedEntry], later: Sequence[OpenedEntry], number: str
) -> Iterator[Line]:
    """Yield what followed: who saw and used an answer, details, corrections."""
    followed = [
        each
        for each in later
        if each.facts is None or each.facts.get("transaction_reference", number) == number
    ]
    for each in sorted((*of_type(own, *_AFTER), *followed), key=lambda one: one.index):
        shown = (
            each.frame.type is EntryType.AUDIT_READ and _fact(each, "source", quiet=True) == ANSWER
        )
        kind = Message(each.frame.type.name.lower().replace("_", " "), context="entry")
        what = say("answer shown") if shown else kind
        operation = _fact(each, "operation", quiet=True)
        when = each.frame.time.isoformat(timespec="seconds")
        words = " ".join(filter(None, (when, operation, each.frame.transaction_number)))
        yield Line(what, words, each.index)
        yield from _lines(
            each,
            (
                ("fields", say("fields")),
                ("authorities", say("under")),
                ("case", say("case")),
                ("person", say("responsible person")),
                ("actor", say("shown to") if shown else say("by")),
                ("used_in", say("used in")),
                ("outcome_received", say("outcome told to us")),
                ("disclosed_outcome", say("outcome shown")),
                ("correction_kind", say("what was wrong")),
                ("correction_outcome", say("what was done")),
                ("note", say("note to file")),
                ("reason", say("because")),
            ),
            quiet=True,
        )


def of_type(own: Sequence[OpenedEntry], *kinds: EntryType) -> list[OpenedEntry]:
    """Return the entries of some types."""
    return [each for each in own if each.frame.type in kinds]


def _fact(each: OpenedEntry, name: str, *, quiet: bool = False) -> str:
    if each.facts is None:
        return "" if quiet else SEALED
    return each.facts.get(name, "" if quiet else say("not recorded"))


def _lines(
    each: OpenedEntry, names: Iterable[tuple[str, Message]], *, quiet: bool = False
) -> Iterator[Line]:
    """Yield what is recorded; a sealed detail is said once, not for every fact."""
    if each.facts is None:
        if not quiet:
            yield Line(say("detail"), SEALED, each.index)
        return
    for name, label in names:
        if value := each.facts.get(name, ""):
            yield Line(label, value, each.index)
