"""Question 9: all that was refused, masked, withheld or stopped, both ways, each with its ground and its paragraph.

refused          the law, the agreement, the protocol or an official said no, and the asker got this answer
partly refused   an official refused some of the fields, and the asker got this answer
withheld         fields were asked for and kept back by rule, as if nothing were recorded
masked           somebody was found and not shown; the partner saw a no-hit
unavailable      details of a match were asked for and not given; the partner does not learn why
stopped          a question of ours that our own law stopped: nothing left
copy refused     a spoilt copy of a message, or a second message under its identifier; the good one was accepted
not completed    the gateway was at fault; a retry may have been answered
counted          too cheap to provoke for an entry of its own: a count for each minute and reason

A message that came again and was refused again for the same reason is one row; `times` says how often. The ground is what
an official stated, or the rule of the agreement; of what breaks the protocol it is the protocol, and no paragraph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.auditor.exchange_builder import is_refusal
from gateway.auditor.index import Index, facts_in
from gateway.auditor.result_table import SEALED, WAYS, Period, Table, iso
from gateway.domain.messages import Direction
from gateway.errors import FieldNotPermitted
from gateway.language import Message, say
from gateway.law.citations import ground_of
from gateway.ledger.entry import EntryClass, EntryType
from gateway.ledger.exchange_history import Cite

COLUMNS = (
    *("time", "partner", "direction", "transaction", "what", "reason", "ground", "because"),
    *("paragraph", "times", "leaf"),
)
NOT_COMPLETED: Final = say("not completed")
PROTOCOL: Final = say("the gateway protocol")  # the ground of what breaks it
_KINDS: Final = (EntryType.REFUSAL, EntryType.REPLAY_CONFLICT, EntryType.REFUSAL_SUMMARY)
_STATED: Final = (
    "status_kind",
    "nationalities",
    "persecutors",
)  # of a person whom we would ask about
# The question that a refused message belongs to, if it was ever accepted.
_QUESTION: Final = (
    "(SELECT e.idx FROM exchanges e WHERE e.message_id = entries.message_id AND e.partner = entries.partner"
    " AND e.direction = 1 AND e.message_id <> x'' ORDER BY e.idx DESC LIMIT 1)"
)

Cells = dict[str, object]


def refusals(index: Index, period: Period, cite: Cite) -> Table:
    """Return all of them in a period, in the order of their entries."""
    rows = [
        *_refused(index, period, cite),
        *_of_ours(index, period, cite),
        *_kept_back(index, period, cite),
    ]
    rows.sort(key=lambda row: int(str(row["leaf"])))
    by_reason = Counter(
        say("{what}: {reason}", what=row["what"], reason=row["reason"] or row["because"] or SEALED)
        for row in rows
    )
    found = tuple(tuple(row.get(name) for name in COLUMNS) for row in rows)
    return Table(COLUMNS, found, {"by_reason": dict(by_reason.most_common())})


def _refused(index: Index, period: Period, cite: Cite) -> list[Cells]:
    """Return what partners sent and was refused, from the entries of it: one row a message and reason."""
    said, values = period.where("entries.time_ms")
    said = said.replace("partner =", "entries.partner =")
    kinds = ", ".join(str(int(kind)) for kind in _KINDS)
    wanted = (
        "SELECT entries.idx, entries.time_ms, entries.partner, entries.direction, entries.number, type, class,"
        " subject_, entries.agreement, entries.version, hex(entries.message_id), facts, asked, closed"
        " FROM (SELECT entries.*, entries.subject AS subject_, e.idx AS asked, e.closed_idx AS closed FROM entries"
        f" LEFT JOIN exchanges e ON e.idx = {_QUESTION} WHERE type IN ({kinds}) AND {said}) AS entries"
        " LEFT JOIN details USING (idx) ORDER BY entries.idx"
    )
    rows: dict[tuple[object, ...], Cells] = {}
    for (
        leaf,
        ms,
        partner,
        way,
        number,
        kind,
        cls,
        minute,
        agreed,
        version,
        message,
        sealed,
        asked,
        closed,
    ) in index.each(wanted, values):
        facts = facts_in(sealed)
        reason = facts.get("reason")
        row: Cells = {
            "time": iso(ms),
            "partner": partner or None,
            "direction": WAYS.get(way, WAYS[1]),
            "transaction": number or None,
            "reason": reason,
            "because": facts.get("element") or facts.get("why"),
            "times": 1,
            "leaf": leaf,
        }
        if kind == EntryType.REFUSAL_SUMMARY:
            count = facts.get("count")
            because = say("{count} in the minute {minute}", count=count or "?", minute=minute)
            row |= {"what": say("counted"), "because": because}
            row |= {"times": int(count) if count else None}
        else:
            copy = asked is not None and closed not in (leaf, asked)
            row["what"] = _what(cls, facts, copy=copy)
        if reason and row["what"] != NOT_COMPLETED:
            row |= _ground(ground_of(reason, Direction(way or 1), agreed, version), cite)
        key = (partner, message, row["what"], reason, row["because"]) if message else (leaf,)
        if (known := rows.setdefault(key, row)) is not row:
            known["times"] = int(str(known["times"])) + 1
    return list(rows.values())


def _what(entry_class: int, facts: Mapping[str, str], *, copy: bool) -> Message:
    if entry_class == EntryClass.OTHER and not is_refusal(facts):
        return NOT_COMPLETED
    return say("copy refused") if copy else say("refused")


def _of_ours(index: Index, period: Period, cite: Cite) -> Iterator[Cells]:
    """Yield our questions that a partner refused, or that our own law stopped."""
    said, values = period.where("closed_ms")
    wanted = (
        "SELECT closed_ms, partner, number, reason, element, agreement, version, message_id, facts, closed_idx"
        " FROM exchanges LEFT JOIN details ON details.idx = exchanges.idx"
        f" WHERE direction = 2 AND closing = 'REFUSED' AND {said}"
    )
    for ms, partner, number, reason, element, agreed, version, message, sealed, leaf in index.each(
        wanted, values
    ):
        row = _row(say("refused"), (ms, partner, Direction.OUTBOUND, number, leaf))
        row |= {"reason": reason, "because": element}
        if not message:
            facts = facts_in(sealed)
            stated = ", ".join(f"{name} {facts[name]}" for name in _STATED if facts.get(name))
            row |= {
                "what": say("stopped"),
                "because": ", ".join(filter(None, (element, stated))) or None,
            }
            row |= _ground(ground_of(reason or "", Direction.OUTBOUND, agreed, version), cite)
        yield row


def _kept_back(index: Index, period: Period, cite: Cite) -> Iterator[Cells]:
    """Yield the answers that disclosed less than there was: masked, refused in part or whole, withheld, unavailable."""
    # What an examiner decided was masked by the verdict, not by the answer before it.
    said, values = period.where("coalesce(verdict_ms, closed_ms)")
    wanted = (
        "SELECT coalesce(verdict_ms, closed_ms), partner, direction, number, reason, why, true_outcome, disclosed_outcome,"
        " exchanges.ground, kept_back, agreement, version, facts, coalesce(verdict_idx, closed_idx)"
        " FROM exchanges LEFT JOIN details ON details.idx = closed_idx"
        f" WHERE {said} AND closing <> 'REFUSED' AND (true_outcome <> disclosed_outcome OR ground IS NOT NULL"
        " OR kept_back <> '' OR disclosed_outcome IN ('UNAVAILABLE', 'REFUSED'))"
    )
    for (
        ms,
        partner,
        way,
        number,
        reason,
        why,
        true,
        shown,
        ground,
        kept,
        agreed,
        version,
        sealed,
        leaf,
    ) in index.each(wanted, values):
        facts = facts_in(sealed)
        row = _row(_disclosure(true, shown, ground), (ms, partner, way, number, leaf))
        rules = _rules(facts, why, row["what"])
        if not rules and kept and way == Direction.INBOUND:
            rules = [ground_of(FieldNotPermitted.reason, Direction.INBOUND, agreed, version)]
        because = why
        if row["what"] == "masked":
            because = say("{outcome} not shown: {why}", outcome=true, why=why or SEALED)
        row["reason"] = reason or (shown if shown in {"REFUSED", "UNAVAILABLE"} else None)
        row["because"] = say("kept back: {fields}", fields=kept) if kept else because
        row["ground"] = ground or ", ".join(rules) or None
        row["paragraph"] = ", ".join(dict.fromkeys(filter(None, map(cite, rules)))) or None
        yield row


def _disclosure(true: str | None, shown: str | None, ground: str | None) -> Message:
    if shown in {"REFUSED", "UNAVAILABLE"}:
        return say("refused") if shown == "REFUSED" else say("unavailable")
    if true is not None and shown is not None and true != shown:
        return say("masked")
    return say("partly refused") if ground else say("withheld")


def _rules(facts: Mapping[str, str], why: str | None, what: object) -> list[str]:
    """Return the rules that kept something back, out of all that were relied on."""
    relied = list(filter(None, facts.get("policy_trace", "").split(",")))
    if what in {"masked", "refused"}:
        return [why] if why else []
    if what == "unavailable":
        return relied[-1:]  # nothing is asked after the rule that hides a person
    return [each for each in relied if ":answer.withheld." in each or ":answer.refusal" in each]


def _ground(rule: str, cite: Cite) -> Cells:
    return {"ground": rule or PROTOCOL, "paragraph": (cite(rule) if rule else "") or None}


def _row(what: Message, of: tuple[int, str, int, str, int]) -> Cells:
    ms, partner, way, number, leaf = of
    return {
        "time": iso(ms),
        "partner": partner,
        "direction": WAYS.get(way),
        "transaction": number,
        "what": what,
        "times": 1,
        "leaf": leaf,
    }
