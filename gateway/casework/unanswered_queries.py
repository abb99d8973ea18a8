"""Why a question of ours was not answered, as a caseworker sees it: who ended it, for what, and what can be done.

The reason is the stable one of the ledger entry; what it means and what to do are ours to say, whoever ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway import errors
from gateway.casework.correction_settlement import Files
from gateway.domain.messages import Direction
from gateway.domain.outbound_query import UNANSWERED, OutboundQuery, OutboundState, StoredAnswer
from gateway.law.citations import citations, ground_of
from gateway.store.casework import outbound_queries
from gateway.store.keys import adopted_versions

NOBODY: Final = "NOBODY"  # nothing was decided: the question was not answered in time
_BY: Final[Mapping[OutboundState, str]] = {
    OutboundState.STOPPED: "OUR_GATEWAY",
    OutboundState.REFUSED: "PARTNER",
    OutboundState.EXPIRED: NOBODY,
}
# Where what the reason says is said to a partner that asks: here it is we who ask.
_AS_ASKER: Final[Mapping[str, str]] = {
    "QUOTA_EXCEEDED": "What we may ask this partner is used up: of the day or of the year, for the purpose or in all.",
    "PRIOR_TRANSACTION_UNKNOWN": "No query that we received from this partner by that number stands for samples.",
}
# What a reason means of one element, where it means something else of others.
_OF_ELEMENT: Final[Mapping[tuple[str, str], str]] = {
    (
        "MODALITY_NOT_PERMITTED",
        "prior_transaction_number",
    ): "The agreement does not let this number stand for samples: at most that of a query received from the partner does.",
}
_EXPIRED: Final[Mapping[str, str]] = {
    "NEVER_TAKEN": "The partner never took it: it was not reached while the message was valid.",
    "UNANSWERED": "The partner gave no answer in thirty days.",
    "ABANDONED": "The partner gave it up: nobody there decided it in time.",
}
_UNKEPT: Final = "Why is not kept here: it ended before that was. The ledger has it."
_AGREED: Final = "See what the agreement permits: passerelle agreements show."
_RECORD: Final = "Capture the sample again, or have the record written anew; then ask again."
# What a caseworker can do, by reason. What is not named is between the two gateways.
_TO_DO: Final[Mapping[str, str]] = {
    **dict.fromkeys(_EXPIRED, "Ask again, if it is still needed."),
    "AGREEMENT_NOT_IN_FORCE": "Name an agreement with this partner that is in force: passerelle agreements list.",
    "PURPOSE_NOT_PERMITTED": _AGREED,
    "FIELD_NOT_PERMITTED": _AGREED,
    "MODALITY_NOT_PERMITTED": "Ask with samples of what the agreement names: passerelle agreements show.",
    "PRIOR_TRANSACTION_UNKNOWN": "Ask with samples.",
    "BIOGRAPHIC_IN_QUERY": "Take the text out of the file: passerelle samples strip. Then ask again.",
    "KEY_STALE": "Ask again: the partner's new key is read meanwhile.",
    "QUOTA_EXCEEDED": "Ask again when the day's or the year's quota renews, or tell an operator.",
    "PERSECUTION_EXCLUSION": "Do not ask this partner about the person.",
    "PERSECUTION_NOT_STATED": "Ask again with --alleged-persecution: each country, or NONE.",
    "SUBJECT_OUT_OF_SCOPE": "If status or nationalities were stated wrongly, ask again with the right ones.",
    "HIT_REFERENCE_SPENT": "Ask for the same fields as before, or ask the query again.",
    "FORMAT_UNSUPPORTED": "Ask with a record: the partner does not read this format, or not of this modality.",
    "RECORD_UNPARSEABLE": _RECORD,
    "ELEMENT_INVALID": _RECORD,
    "ELEMENTS_INCONSISTENT": _RECORD,
}
_OPERATOR: Final = (
    "Give the number to an operator: passerelle check with --partner finds the cause."
)


def remedy(reason: str) -> str:
    """Return what a caseworker can do about a reason."""
    return _TO_DO.get(reason, _OPERATOR)


def denials(files: Files, shown: Sequence[OutboundQuery]) -> list[dict[str, str]]:
    """Return why no answer came to each, with the paragraph of our agreement that it rests on; {} where one may come.

    ended_by   OUR_GATEWAY: nothing was sent; PARTNER: it refused; NOBODY: it was not answered in time
    """
    ended = {(each.partner, each.number) for each in shown if each.state in UNANSWERED}
    if not ended:
        return [{} for _ in shown]
    with files.database.reader() as reader:
        whole = {key: outbound_queries.find(reader, *key) for key in ended}
        cite = citations(adopted_versions.texts(reader).values())
    return [
        {}
        if found is None
        else _explained(found, outbound_queries.stored_answer_of(files.data_key, found), cite)
        for found in (whole.get((each.partner, each.number)) for each in shown)
    ]


def _explained(
    query: OutboundQuery, stored: StoredAnswer, cite: Callable[[str], str]
) -> dict[str, str]:
    reason = stored.reason
    rule = ground_of(reason, Direction.OUTBOUND, *query.agreement)
    means = errors.meaning_to_the_asker if query.state is OutboundState.REFUSED else errors.meaning
    here = _OF_ELEMENT.get((reason, stored.element)) or _AS_ASKER.get(reason)
    known = _EXPIRED.get(reason) or here or means(reason)
    auditor = f"An auditor can: passerelle audit explain, with {query.number}."
    return {
        "ended_by": _BY.get(query.state, NOBODY),
        "reason": reason,
        "element": stored.element,
        "meaning": known if reason else _UNKEPT,
        "paragraph": cite(rule) if rule else "",
        "remedy": remedy(reason) if reason else auditor,
    }
