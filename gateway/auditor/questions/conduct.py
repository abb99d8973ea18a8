"""What our own people did with what is held: answers used, data erased or held, disclosure refused, files read.

uses        an answer of a partner's was used for a decision (IRPR 315.26, 315.27(3) depend on it)
erasures    what was erased and on which ground, who left the registry, and what a hold keeps from it
decisions   an official refused a partner all or part of what is held of a person, or lifted that (315.25(4), 315.41(3))
readings    who was shown what of whom; an auditor's own questions are among them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.auditor.index import Index
from gateway.auditor.result_table import SEALED, Cells, Period, Table
from gateway.language import Message, say
from gateway.ledger.crypto_shredding import read_erased
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_history import OpenedEntry

USES: Final = ("time", "partner", "name", "transaction", "case", "used_in", "who", "reason", "leaf")
ERASURES: Final = (
    *("time", "what", "of", "count", "from", "to", "ground", "who", "approved_by", "reason"),
    "leaf",
)
DECISIONS: Final = (
    *("time", "what", "decision", "person", "partner", "name", "refused", "ground", "terms", "who"),
    *("reason", "leaf"),
)
READINGS: Final = (
    *("time", "who", "what", "person", "case", "transaction", "partner", "reason", "leaf"),
)
EVERY_PARTNER: Final = say("every partner")
_HOLDS: Final = {
    "PLACE": say("hold placed"),
    "PLACE_ALL": say("hold placed on everything"),
    "RELEASE": say("hold released"),
}

Names = Mapping[str, str]  # partner id → legal name


def uses(index: Index, period: Period, names: Names) -> Table:
    """Return every use of a partner's answer for a decision; one answer may be used in several records."""
    rows = tuple(
        (
            *(_time(each), each.frame.partner_id, names.get(each.frame.partner_id)),
            each.frame.transaction_number,
            *(_fact(each, name) for name in ("case", "used_in", "actor", "reason")),
            each.index,
        )
        for each in _of(index, period, EntryType.USE)
    )
    return Table(USES, rows, {"uses": len(rows), "by_partner": _counted(rows, 1)})


def erasures(index: Index, period: Period) -> Table:
    """Return what was erased, who left, and the holds that were placed and released, in order of time.

    The totals name the holds that stood at the end of the period, whenever they were placed.
    """
    kinds = (EntryType.RETENTION, EntryType.REMOVED, EntryType.HOLD)
    rows = tuple(map(_erasure, _of(index, period, *kinds)))
    erased: Counter[str] = Counter()
    for row in rows:
        if row[1] == "erased" and isinstance(row[3], int):
            erased[str(row[2])] += row[3]
    standing = _standing(index, period, EntryType.HOLD, ("PLACE", "PLACE_ALL"))
    return Table(ERASURES, rows, {"erased": dict(erased), "holds_standing": standing})


def _erasure(each: OpenedEntry) -> Cells:
    frame = each.frame
    people = tuple(_fact(each, name) for name in ("actor", "approver", "reason"))
    if frame.type is EntryType.RETENTION:
        erased = read_erased(frame)
        kept, count = (erased.kept, erased.count) if erased else (frame.subject_reference, None)
        span = (_fact(each, "first"), _fact(each, "last"))
        ground = _fact(each, "paragraph")
        return (_time(each), say("erased"), kept, count, *span, ground, *people, each.index)
    if frame.type is EntryType.REMOVED:
        of = frame.subject_reference
        return (_time(each), say("person removed"), of, 1, None, None, None, *people, each.index)
    verb, _, name = frame.subject_reference.partition("/")
    subject = (each.facts or {}).get("subject", "")
    whom = f"S-{subject}" if subject else f"{frame.partner_id} {frame.transaction_number}".strip()
    of = " ".join(filter(None, (name, whom)))
    what = _HOLDS.get(verb, verb)
    return (_time(each), what, of, None, None, None, None, *people, each.index)


def decisions(index: Index, period: Period, names: Names) -> Table:
    """Return what officials refused to disclose or lifted; the totals count what stood at the end of the period."""
    everybody = Period(period.since, period.until)  # a decision for every partner names none
    rows = []
    for each in _of(index, everybody, EntryType.DECISION):
        partner = each.frame.partner_id
        if period.partner and partner and partner != period.partner:
            continue
        verb, _, name = each.frame.subject_reference.partition("/")
        person = _fact(each, "subject")
        rows.append(
            (
                *(_time(each), say("refused") if verb == "REFUSE" else say("lifted"), name),
                f"S-{person}" if person and person != SEALED else person,
                *(partner or EVERY_PARTNER, names.get(partner)),
                say("everything") if _fact(each, "decision") == "ALL" else _fact(each, "fields"),
                *(_fact(each, name) for name in ("ground", "note", "actor", "reason")),
                each.index,
            )
        )
    standing = _standing(index, everybody, EntryType.DECISION, ("REFUSE",))
    made = [row for row in rows if row[1] == "refused"]
    return Table(
        DECISIONS,
        tuple(rows),
        {"refused": len(made), "by_ground": _counted(made, 7), "standing": standing},
    )


def readings(
    index: Index, period: Period, *, number: str = "", named: str = "", case: str = ""
) -> Table:
    """Return who was shown what: of everybody, or of one person or case.

    number   of the registry, of whom alone the readings are wanted
    named    as an auditor's question may have named the person: a file number
    case     of which alone they are wanted; either is enough where both are given

    A query about the person, by its answer or verdict, counts as the person.
    """
    theirs = _queries_of(index, number) if number else frozenset()
    partnerless = Period(period.since, period.until)  # most readings name no partner
    every = list(_of(index, partnerless, EntryType.AUDIT_READ))
    wanted = [
        each
        for each in every
        if (not period.partner or each.frame.partner_id == period.partner)
        and (not (number or named or case) or _is_of(each, number, named, case, theirs))
    ]
    rows = tuple(map(_reading, wanted))
    sealed = sum(each.facts is None for each in every)
    totals: dict[str, object] = {"readings": len(rows), "by_person": _counted(rows, 1)}
    findings: tuple[Message, ...] = ()
    if sealed:
        findings = (
            say(
                "{count} readings of this time are sealed or erased: of whom is not known",
                count=sealed,
            ),
        )
    return Table(READINGS, rows, totals, findings)


def _reading(each: OpenedEntry) -> Cells:
    frame = each.frame
    subjects = (each.facts or {}).get("subject", "")
    people = ", ".join(f"S-{subject}" for subject in subjects.split(",") if subject)
    numbers = frame.transaction_number or _fact(each, "transaction_reference")
    what = _fact(each, "source") or (
        say("record") if frame.subject_reference.startswith("S-") else None
    )
    return (
        *(_time(each), _fact(each, "actor"), what or frame.subject_reference or None),
        *(people or None, _fact(each, "case"), numbers),
        *(frame.partner_id or None, _fact(each, "reason"), each.index),
    )


def _is_of(each: OpenedEntry, number: str, named: str, case: str, queries: frozenset[str]) -> bool:
    facts = each.facts or {}
    cases = facts.get("case", "").split(",")
    numbers = {each.frame.transaction_number, *facts.get("transaction_reference", "").split(",")}
    words = facts.get("source", "").split()  # an auditor's question, as it was typed
    if case and (case in cases or case in words):
        return True
    if number and number in facts.get("subject", "").split(","):
        return True
    if {f"S-{number}" if number else "", named} & {*words, each.frame.subject_reference} - {""}:
        return True
    return bool(queries & {*numbers, *words})


def _queries_of(index: Index, number: str) -> frozenset[str]:
    """Return the transaction numbers of the exchanges in which this person was found."""
    wanted = "SELECT DISTINCT number FROM exchanges WHERE subject = ? AND number <> ''"
    return frozenset(str(row[0]) for row in index.each(wanted, (number,)))


def _standing(index: Index, period: Period, kind: EntryType, begins: Iterable[str]) -> int:
    """Return how many holds or decisions stood at the end of a period: begun, whenever, and not ended."""
    open_: set[str] = set()
    for each in _of(index, Period(0, period.until), kind):
        verb, _, name = each.frame.subject_reference.partition("/")
        change: Callable[[str], None] = open_.add if verb in set(begins) else open_.discard
        change(name)
    return len(open_)


def _of(index: Index, period: Period, *kinds: EntryType) -> Iterable[OpenedEntry]:
    said, values = period.where("time_ms")
    marks = ", ".join(str(int(kind)) for kind in kinds)
    return index.entries_where(f"type IN ({marks}) AND {said}", values)


def _time(each: OpenedEntry) -> str:
    return each.frame.time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fact(each: OpenedEntry, name: str) -> str | None:
    """Return a fact; SEALED where it could not be opened, None where there is none."""
    if each.facts is None:
        return SEALED if any(each.frame.detail_commitment) else None
    return each.facts.get(name) or None


def _counted(rows: Iterable[Cells], column: int) -> dict[str, int]:
    cells = (row[column] for row in rows)
    return dict(Counter(c if isinstance(c, str) else str(c) for c in cells).most_common())
