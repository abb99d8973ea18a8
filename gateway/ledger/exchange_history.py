"""What became of one exchange, from its entries: who asked, why, what was sent and said, by which law.

The questions are those of law.md section 9, 1 to 7. Frames are open to anybody who holds the ledger; what
only the auditor may know comes from details that the auditor's key opened. What is sealed, or was
shredded, is said to be so: a story never fills a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.language import Message, say
from gateway.ledger import exchange_history_parts
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.exchange_history_parts import Cite, Line, Told, of_type


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


def tell(
    entries: Iterable[Told],
    number: str,
    partner: str,
    cite: Cite = lambda _: "",
    *,
    opened: bool = True,
) -> ExchangeHistory:
    """Return the story of a partner's transaction.

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
        Question.WHO: tuple(exchange_history_parts.who(own)),
        Question.PURPOSE: tuple(exchange_history_parts.purpose(own)),
        Question.CONTENT: tuple(exchange_history_parts.content(own)),
        Question.CALIBRATION: tuple(exchange_history_parts.calibration(own)),
        Question.KEYS: tuple(exchange_history_parts.keys(own, mine)),
        Question.DESTRUCTION: tuple(exchange_history_parts.destruction(own)),
        Question.REVIEW: tuple(exchange_history_parts.review(own)),
        Question.DECISION: tuple(exchange_history_parts.decision(own, cite)),
        Question.AFTERWARDS: tuple(exchange_history_parts.afterwards(own, later, number)),
    }
    return ExchangeHistory(number, partner, answers, tuple(_findings(own, answers, opened=opened)))


def _unanswered(own: Sequence[Told]) -> bool:
    """Return whether a question of ours left and nothing says what became of it; one that was stopped never left."""
    left = any(each.frame.message_id for each in of_type(own, EntryType.ASKED))
    ended = (
        each.frame.type is EntryType.ABANDONED or each.frame.entry_class is not EntryClass.ACCEPTED
        for each in of_type(own, EntryType.ANSWER_RECEIVED, EntryType.ABANDONED)
    )
    return left and not any(ended)


def _findings(
    own: Sequence[Told], answers: Mapping[Question, tuple[Line, ...]], *, opened: bool
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
        yield say("the query was answered and no destruction of its prints is recorded")
    gone = [each.index for each in own if each.facts is None and any(each.frame.detail_commitment)]
    if gone and opened:
        leaves = ", ".join(map(str, gone))
        yield say("details were shredded or do not open: leaves {leaves}", leaves=leaves)
