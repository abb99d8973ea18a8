"""An official refuses a partner all or part of what is held of a person, on one of the five grounds.

The regulation lets Canada refuse (IRPR 315.25(4)) or demands it (315.41(3)); to say so is a caseworker's act, never
an operator's: who runs the machine does not judge what harms the national interest (ADR 16).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from gateway.admin.arguments import FILE_NUMBER, Arguments
from gateway.admin.operation import Act, Answer, Officer
from gateway.admin.pages import Page
from gateway.admin.personal_data_access import About, seen
from gateway.domain.person import FieldCode, Ground, Scope
from gateway.errors import UserError
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.operations.declaration import Role
from gateway.store.casework import withholdings
from gateway.store.casework.withholdings import EVERYBODY, Decision
from gateway.store.ledger.sequencer import Leaf, Sequencer
from gateway.store.people import subjects
from gateway.store.sqlite import Database

DECISION_ID = re.compile(r"R-[0-9a-f]{16}")
PARTY = re.compile(r"[A-Z0-9-]{2,32}")
TERMS = re.compile(r"[^\x00-\x1f\x7f]{1,300}")  # a caveat's text, as the partner reads it
_DECIDERS = frozenset({Role.CASEWORKER})
_READERS = frozenset({Role.CASEWORKER, Role.AUDITOR})


class WithholdingOperations:
    """Where refusals are decided and lifted."""

    def __init__(
        self,
        database: Database,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._clock, self._random = clock, random

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("decision.refuse", _DECIDERS, self._refuse),
            Act("decision.lift", _DECIDERS, self._lift),
            Act("decision.list", _READERS, self._list),
        )

    def _refuse(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        reference = arguments.text("person", FILE_NUMBER)
        partner = arguments.optional("partner", PARTY) or EVERYBODY
        scope = arguments.choice("scope", Scope)
        fields = frozenset(arguments.choices("fields", FieldCode))
        ground = arguments.choice("ground", Ground)
        terms = arguments.optional("terms", TERMS)
        reason = arguments.reason()
        if (scope is Scope.PART) != bool(fields):
            raise UserError("fields: name them where the scope is PART, and none where it is ALL")

        def do() -> Answer:
            one = Decision(
                id=f"R-{self._random(8).hex()}",
                subject=self._subject(reference),
                partner=partner,
                scope=scope,
                fields=fields,
                ground=ground,
                terms=terms,
                reason=reason,
                decided_by=officer.person,
                decided=self._clock(),
            )
            leaf = Leaf(_frame("REFUSE", one), {**_facts(one), "reason": reason})
            self._sequencer.commit((leaf,), withholdings.refuse(one))
            return {"decision": one.id, "scope": scope.name, "ground": ground.name}

        return do

    def _lift(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        identifier = arguments.text("decision", DECISION_ID)
        reason = arguments.reason()

        def do() -> Answer:
            with self._database.reader() as reader:
                found = withholdings.find(reader, identifier)
            if found is None:
                raise UserError("there is no such decision; `passerelle decisions list` names them")
            facts = {**_facts(found), "reason": reason, "actor": officer.person}
            effects = withholdings.lift(identifier, officer.person, self._clock())
            self._sequencer.commit((Leaf(_frame("LIFT", found), facts),), effects)
            return {"decision": identifier, "lifted": True}

        return do

    def _list(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        reference = arguments.optional("person", FILE_NUMBER)
        ended = arguments.flag("lifted")
        page = Page(arguments)

        def do() -> Answer:
            subject = self._subject(reference) if reference else None
            with self._database.reader() as reader:
                found = [
                    (one, subjects.reference_of(reader, one.subject))
                    for one in withholdings.every(reader, subject)
                    if ended or one.lifted is None
                ]
            shown, more = page.slice(found)
            rows = [About(one.subject) for one, _ in shown]
            if subject is not None and not rows:
                rows = [About(subject)]  # that there is none is a fact about this person too
            self._sequencer.commit(seen(officer, "decisions", rows), ())
            return {
                "decisions": [_told(one, person or "") for one, person in shown],
                "next_page_token": more,
            }

        return do

    def _subject(self, reference: str) -> int:
        with self._database.reader() as reader:
            subject = subjects.find(reader, reference)
        if subject is None:
            raise UserError("no subject has this file number")
        return subject


def _facts(one: Decision) -> dict[str, str]:
    return {
        "decision": one.scope.name,
        "subject": str(one.subject),
        "fields": ",".join(code.name for code in sorted(one.fields)),
        "ground": one.ground.name,
        "note": one.terms,
        "actor": one.decided_by,
    }


def _told(one: Decision, person: str) -> dict[str, object]:
    return {
        "decision": one.id,
        "person": person,
        "partner": one.partner,
        "scope": one.scope.name,
        "fields": [code.name for code in sorted(one.fields)],
        "ground": one.ground.name,
        "terms": one.terms,
        "reason": one.reason,
        "by": one.decided_by,
        "since": one.decided.isoformat(),
        "lifted": None if one.lifted is None else one.lifted.isoformat(),
        "lifted_by": one.lifted_by,
    }


def _frame(verb: str, one: Decision) -> Frame:
    return Frame(
        type=EntryType.DECISION,
        entry_class=EntryClass.OTHER,
        partner_id=one.partner,
        subject_reference=f"{verb}/{one.id}",
    )
