"""Question 8: all exchanges about one person, as a pack that can be handed to the person who asks for it.

What is in it: when, with which party, for which purpose and paragraph, what was found and answered, which fields
were disclosed (names, not values), each with its legal basis, when the prints were destroyed, who corrected what. What
is left out, since it is about others: officers, examiners and units, scores, other people's queries, keys.

Ours about the person are in it too: those that named the person, those in the cases that are given, those that asked back by
the number of a query that found the person, and what followed any of them.

What may have to be withheld from the person too (Privacy Act s. 19, 21, 22), a match hidden from the partner or a
ground of refusal, is left out of the texts and of the JSON until an officer has decided: it is released, or said to be
withheld under its section. Until then it is a finding, and the pack calls itself a draft.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from gateway import user_files
from gateway.auditor.index import Index, Row, facts_in
from gateway.auditor.questions import subject_text
from gateway.auditor.result_table import WAYS, Period, Table, iso
from gateway.domain.messages import Direction, Modality, Operation
from gateway.errors import UserError
from gateway.language import Message, say
from gateway.law.citations import ground_of
from gateway.ledger import disclosure_basis
from gateway.ledger.entry import EntryType
from gateway.ledger.exchange_history import Cite

COLUMNS = (
    *("time", "partner", "direction", "transaction", "operation", "purpose", "paragraph", "found"),
    *("told", "fields", "not_disclosed", "withheld", "destroyed", "about", "in_pack", "leaf"),
)
NAME: Final = re.compile(r"S-([1-9][0-9]{0,18})")
BY_NUMBER: Final = "QUERY_BY_NUMBER"  # nothing was compared, and there were no prints
STOPPED: Final = "STOPPED"  # by our own law: nothing was sent
COMPARED: Final = "COMPARED"  # an examiner looked at the person's record, and it was somebody else, or nobody knows
TOLD: Final = {
    Direction.INBOUND: say("they told"),
    Direction.OUTBOUND: say("we told"),
}  # of a correction
_NAMES: Final = (
    *("idx", "asked_ms", "partner", "direction", "number", "message_id", "operation", "agreement"),
    *("version", "closing", "purpose", "paragraph", "transaction_reference", "prior", "wanted"),
    *("reason", "why", "true_outcome", "disclosed_outcome", "fields", "ground", "destroyed_ms"),
    "verdict",
)
_READ: Final = (
    f"{', '.join(_NAMES)}, (SELECT facts FROM details WHERE details.idx = exchanges.closed_idx),"
    " (SELECT facts ->> 'modality' FROM details WHERE details.idx = exchanges.idx)"
)

Said = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decided:
    """What an officer decided of what could not be released at once, by leaf.

    released   it is in the pack
    withheld   it is said to be withheld under this section of the Privacy Act
    """

    released: frozenset[int] = frozenset()
    withheld: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))


UNDECIDED: Final = Decided()


@dataclass(frozen=True, slots=True)
class Pack:
    """What goes to one person: the same for machines and, in each language, for eyes.

    table      for the auditor: every exchange, and whether it is in the pack
    said       what is reported of each that is in it
    unknown    exchanges of the time of which nobody knows any more whom they were about
    undecided  how many wait for an officer, and are left out
    withheld   how many are withheld, by section of the Privacy Act
    """

    subject: str
    table: Table
    said: tuple[Said, ...]
    unknown: int = 0
    undecided: int = 0
    withheld: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def texts(self, languages: Sequence[str]) -> Mapping[str, bytes]:
        """Return the files of the pack by name."""
        found = {
            f"{each}.txt": subject_text.text(
                each, self.subject, self.said, self._notices(each)
            ).encode()
            for each in languages
        }
        document = {
            "subject": self.subject,
            "exchanges": list(self.said),
            "draft": bool(self.undecided),
            "undecided": self.undecided,
            "erased": self.unknown,
            "withheld": [
                {"count": count, "section": section}
                for section, count in sorted(self.withheld.items())
            ],
        }
        found["exchanges.json"] = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
        return found

    def _notices(self, language: str) -> list[str]:
        """Return what is said of what is not in the pack."""
        words = subject_text.WORDS[language]
        said = [
            words["held back"].format(count=count, section=section)
            for section, count in sorted(self.withheld.items())
        ]
        if self.undecided:
            said.insert(0, words["draft"].format(count=self.undecided))
        if self.unknown:
            said.append(words["erased"].format(count=self.unknown))
        if not (self.said or self.withheld or self.undecided):
            said.append(words["none"])
        return said


def number_of(name: str) -> str | None:
    """Return the number of the registry that `S-…` names; None where it is a file number of the gateway."""
    found = NAME.fullmatch(name)
    return found[1] if found else None


def subject(  # noqa: PLR0917 - what a pack depends on
    index: Index,
    period: Period,
    number: str,
    cases: Sequence[str] = (),
    cite: Cite = lambda _: "",
    decided: Decided = UNDECIDED,
) -> Pack:
    """Return every exchange about one person: found under this number, or asked by us of the person.

    number   of the registry, as details and frames state it; "" where only cases are known
    cases    in which we asked about the person, where the question named nobody

    Raises UserError for a leaf that was decided and is none of those that need it.
    """
    if not index.opened:
        raise UserError("whom an exchange was about is sealed: give the auditor's key (--key)")
    found = [_reported(row, cite) for row in _about(index, period, number, cases)]
    found += _corrected(index, found)
    found.sort(key=lambda each: int(each["leaf"]))
    sifted = _sifted(found, decided)
    findings, unread = list(sifted.findings), _unread(index, period)
    if unread:
        findings.append(
            say(
                "{count} exchanges of this time are erased or sealed: whom they were about is not known, and the pack"
                " says so",
                count=unread,
            )
        )
    totals = {
        "subject": f"S-{number}" if number else "",
        "exchanges": len(sifted.rows),
        "in_pack": len(sifted.said),
        "shredded": unread,
        "ours_that_name_nobody": _nameless(index, period, cases),
    }
    table = Table(COLUMNS, tuple(sifted.rows), totals, tuple(findings))
    named = f"S-{number}" if number else ", ".join(cases)
    left_out = len(sifted.findings)
    return Pack(named, table, tuple(sifted.said), unread, left_out, dict(sifted.withheld))


@dataclass(slots=True)
class _Sifted:
    """What an auditor sees of everything, and what goes out."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    findings: list[Message] = field(default_factory=list)
    withheld: Counter[str] = field(default_factory=Counter)


def _sifted(found: Sequence[Said], decided: Decided) -> _Sifted:
    """Take out what an officer withheld, or has not decided yet; raises UserError for a decision about anything else."""
    sifted, awaited = _Sifted(), set[int]()
    for each in found:
        leaf, why = each["leaf"], each.pop("officer", None)
        section = decided.withheld.get(leaf, "")
        hidden = bool(why) and leaf not in decided.released
        awaited |= {leaf} if why else set()
        if hidden and not section:
            sifted.findings.append(
                say(
                    "leaf {leaf}: {why}; left out until it is decided: --release LEAF, or --withhold LEAF=SECTION of"
                    " the Privacy Act",
                    leaf=leaf,
                    why=why,
                )
            )
        sifted.rows.append(_cells(each, _standing(each, section, hidden=hidden)))
        if not hidden:
            sifted.said.append(each)
        elif each["withheld"] is not None:  # its ground alone; what was exchanged is reported
            more = {"withheld_from_you": section} if section else {}
            sifted.said.append({**each, "withheld": None, **more})
        elif section:  # that there was an exchange
            sifted.withheld[section] += 1
    if strange := sorted({*decided.released, *decided.withheld} - awaited):
        raise UserError(
            f"leaf {strange[0]}: nothing of this person is to be decided there; the findings name the leaves"
        )
    return sifted


def _standing(each: Said, section: str, *, hidden: bool) -> Message:
    if not hidden:
        return say("yes")
    if each["withheld"] is None:
        return (
            say("all withheld, s. {section}", section=section) if section else say("all left out")
        )
    return (
        say("ground withheld, s. {section}", section=section) if section else say("ground left out")
    )


def _about(index: Index, period: Period, number: str, cases: Sequence[str]) -> list[Said]:
    """Return the exchanges about a person, and what followed them."""
    said, values = period.where("asked_ms")
    marks = ", ".join("?" * len(cases))
    whose = f'subject = ? OR (direction = 2 AND "case" IN ({marks}))'
    read = f"SELECT {_READ} FROM exchanges WHERE {{}} AND {said} ORDER BY idx"
    found = [
        _named(row) for row in index.each(read.format(f"({whose})"), [number, *cases, *values])
    ]
    followed = f"transaction_reference = ? AND partner = ? AND direction = ? AND operation = '{Operation.REQUEST_HIT_DETAILS.name}'"
    more = [
        _named(row)
        for each in found
        for row in chain(
            index.each(
                read.format(followed),
                [each["number"], each["partner"], each["direction"], *values],
            ),
            index.each(
                read.format("direction = 2 AND prior = ? AND partner = ?"),
                [each["number"], each["partner"], *values],
            ),
        )
    ]
    return list({each["idx"]: each for each in (*found, *more)}.values())


def _named(row: Row) -> Said:
    return dict(zip((*_NAMES, "told", "modality"), row, strict=True))


def _unread(index: Index, period: Period) -> int:
    """Return how many exchanges of a time may have been about anybody: what would say so is erased."""
    said, values = period.where("asked_ms")
    wanted = (
        "SELECT count(*) FROM exchanges WHERE (direction = 1 AND (closing = 'ANSWERED' OR reviewed_ms IS NOT NULL)"
        " AND operation = 'SUBMIT_QUERY' AND true_outcome IS NULL"
        f" OR direction = 2 AND closing <> 'REFUSED' AND purpose IS NULL) AND {said}"
    )
    return int(index.rows(wanted, values)[0][0])


def _nameless(index: Index, period: Period, cases: Sequence[str]) -> int:
    """Return how many questions of ours named a case and nobody: whom they were about, the case system knows."""
    said, values = period.where("asked_ms")
    marks = ", ".join("?" * len(cases))
    wanted = (
        "SELECT count(*) FROM exchanges WHERE direction = 2 AND operation = 'SUBMIT_QUERY' AND subject IS NULL"
        f' AND prior IS NULL AND purpose IS NOT NULL AND "case" NOT IN ({marks}) AND {said}'
    )
    return int(index.rows(wanted, [*cases, *values])[0][0])


def _reported(row: Said, cite: Cite) -> Said:
    """Return what is reported of an exchange; `officer` is why an officer looks at it first."""
    facts = facts_in(row["told"])
    inbound = row["direction"] == Direction.INBOUND
    told = row["disclosed_outcome"] if row["closing"] == "ANSWERED" else row["closing"]
    paragraph, operation = row["paragraph"], row["operation"] or Operation.SUBMIT_QUERY.name
    if told == "REFUSED" and not inbound and not row["message_id"]:
        rule = ground_of(row["reason"] or "", Direction.OUTBOUND, row["agreement"], row["version"])
        told, paragraph = STOPPED, cite(rule) or paragraph
    found = row["true_outcome"] or told
    if row["verdict"] in {"DIFFERENT", "INCONCLUSIVE"} and found != "MATCH":
        found = COMPARED
    masked = inbound and row["true_outcome"] == "MATCH" != told
    disclosed = disclosure_basis.read({**facts, "fields": row["fields"] or ""})
    withheld = _withheld(facts, row["ground"])
    by_number = row["prior"] is not None and operation == Operation.SUBMIT_QUERY.name
    return {
        "time": iso(row["asked_ms"]),
        "partner": row["partner"],
        "direction": WAYS[row["direction"]],
        "transaction": row["number"],
        "operation": BY_NUMBER if by_number else operation,
        "modalities": _modalities(row, by_number=by_number),
        "purpose": row["purpose"],
        "paragraph": paragraph,
        "found": found,
        "told": told,
        "hidden_by": (cite(row["why"] or "") or None) if masked else None,
        "fields": [{"field": name, "paragraph": basis} for name, basis in disclosed.items()],
        "not_disclosed": [
            name for name in filter(None, (row["wanted"] or "").split(",")) if name not in disclosed
        ],
        # If all of a question is refused, its ground is in the row, and all of the row is withheld.
        "withheld": None if masked else withheld,
        "destroyed": None if by_number else iso(row["destroyed_ms"]),
        "about": row["transaction_reference"],
        "leaf": row["idx"],
        "officer": _officer(row, masked=masked),
    }


def _modalities(row: Said, *, by_number: bool) -> list[str]:
    """Return by what a query was asked, in the order of the list; of ours by fingers alone nothing else is recorded."""
    if by_number or row["operation"] not in {None, Operation.SUBMIT_QUERY.name}:
        return []
    told = (row["modality"] or Modality.FINGER.name).split(",")
    return [each.name for each in Modality if each.name in told]


def _withheld(facts: Mapping[str, str], ground: str | None) -> Said | None:
    return {"scope": facts.get("withheld", "PART"), "ground": ground} if ground else None


def _officer(row: Said, *, masked: bool) -> Message | None:
    if row["ground"]:
        return say("ground {ground}", ground=row["ground"])
    return say("a match that the partner was not told of") if masked else None


def _corrected(index: Index, exchanges: Sequence[Said]) -> Iterator[Said]:
    """Yield the corrections of these exchanges: who informed whom of what was wrong, and what was done about it."""
    mine = {(str(each["transaction"]), str(each["partner"])) for each in exchanges}
    wanted = (
        "SELECT time_ms, direction, number, facts, partner, entries.idx FROM entries JOIN details USING (idx)"
        f" WHERE type = {int(EntryType.CORRECTION)} AND facts ->> 'correction_kind' IS NOT NULL"
    )
    done = (
        "SELECT facts ->> 'correction_outcome' FROM entries JOIN details USING (idx) WHERE number = ? AND partner = ?"
        f" AND type = {int(EntryType.ACKNOWLEDGEMENT)} AND direction {{}} ? AND facts ->> 'correction_outcome' <> ''"
        " ORDER BY entries.idx DESC LIMIT 1"
    )
    for at, direction, name, stated, partner, leaf in index.each(wanted):
        facts = facts_in(stated)
        if (facts.get("transaction_reference", ""), partner) not in mine:
            continue
        # The other side informs us what it did about ours; what we did about theirs we record as ours.
        outcome = index.rows(done.format("<>"), (name, partner, direction))
        yield {
            "time": iso(at),
            "partner": partner,
            "direction": TOLD[Direction(direction)],
            "transaction": name,
            "operation": "CORRECTION",
            "modalities": [],
            "purpose": None,
            "paragraph": None,
            "found": None,
            "told": facts["correction_kind"],
            "hidden_by": None,
            "fields": [],
            "corrected": list(filter(None, facts.get("fields", "").split(","))),
            "outcome": outcome[0][0] if outcome else None,
            "not_disclosed": [],
            "withheld": None,
            "destroyed": None,
            "about": facts["transaction_reference"],
            "leaf": leaf,
        }


def _cells(each: Said, standing: str) -> tuple[object, ...]:
    flat: Said = {
        **each,
        "fields": "; ".join(f"{one['field']} {one['paragraph']}".strip() for one in each["fields"])
        or ",".join(each.get("corrected", ()))
        or None,
        "not_disclosed": ",".join(each["not_disclosed"]) or None,
        "withheld": None
        if each["withheld"] is None
        else f"{each['withheld']['scope']}: {each['withheld']['ground']}",
        "in_pack": standing,
    }
    return tuple(flat[name] for name in COLUMNS)


def write_pack(pack: Pack, out: Path, languages: Sequence[str]) -> list[str]:
    """Write the pack as a folder, or as one file where the name ends in .zip; return the names in it."""
    texts = pack.texts(languages)
    if out.exists():
        raise UserError(f"{out} is there already; a pack is never written over another")
    if out.suffix == ".zip":
        with user_files.creating(out) as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in texts.items():
                archive.writestr(name, content)
        return sorted(texts)
    out.mkdir(mode=0o700)
    for name, content in texts.items():
        user_files.create(out / name, content)
    return sorted(texts)
