"""An official refuses a partner all or part of what is held of a person, on one of the five grounds.

The regulation lets Canada refuse (IRPR 315.25(4)) or demands it (315.41(3)); to say so is a caseworker's act, never
an operator's: who runs the machine does not judge what harms the national interest (ADR 16).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer
from gateway.admin.pages import Page
from gateway.admin.personal_data_access import About, seen
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.operations import decisions
from gateway.store.casework import withholdings
from gateway.store.casework.withholdings import EVERYBODY, Decision
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import subjects


class WithholdingOperations:
    """Where refusals are decided and lifted."""

    def __init__(
        self,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
    ) -> None:
        self._database, self._sequencer = database, sequencer
        self._clock, self._random = clock, random

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=decisions.Refuse, do=self._refuse),
            Handler(request=decisions.Lift, do=self._lift),
            Handler(request=decisions.List, do=self._list),
        )

    def _refuse(self, officer: Officer, request: decisions.Refuse) -> Answer:
        one = Decision(
            id=f"R-{self._random(8).hex()}",
            subject=self._subject(request.person),
            partner=request.partner or EVERYBODY,
            scope=request.scope,
            fields=frozenset(request.fields),
            ground=request.ground,
            terms=request.terms,
            reason=request.reason,
            decided_by=officer.person,
            decided=self._clock(),
        )
        leaf = _leaf("REFUSE", one, one.reason, officer)
        self._sequencer.commit((leaf,), withholdings.refuse(one))
        return {"decision": one.id, "scope": one.scope.name, "ground": one.ground.name}

    def _lift(self, officer: Officer, request: decisions.Lift) -> Answer:
        with self._database.reader() as reader:
            found = withholdings.find(reader, request.decision)
        if found is None:
            raise UserError("there is no such decision; `passerelle decisions list` names them")
        leaf = _leaf("LIFT", found, request.reason, officer)
        effects = withholdings.lift(found.id, officer.person, self._clock())
        self._sequencer.commit((leaf,), effects)
        return {"decision": found.id, "lifted": True}

    def _list(self, officer: Officer, request: decisions.List) -> Answer:
        page = Page(request)
        subject = self._subject(request.person) if request.person else None
        with self._database.reader() as reader:
            found = [
                (one, subjects.reference_of(reader, one.subject))
                for one in withholdings.every(reader, subject)
                if request.lifted or one.lifted is None
            ]
        shown, more = page.slice(found)
        rows = [About(one.subject) for one, _ in shown]
        if subject is not None and not rows:
            rows = [About(subject)]  # that there is none is a fact about this person too
        self._sequencer.commit(seen(officer, "decisions", rows), ())
        return {
            "decisions": [_plain(one, person or "") for one, person in shown],
            "next_page_token": more,
        }

    def _subject(self, reference: str) -> int:
        with self._database.reader() as reader:
            subject = subjects.find(reader, reference)
        if subject is None:
            raise UserError("no subject has this file number")
        return subject


def _plain(one: Decision, person: str) -> dict[str, object]:
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


def _leaf(verb: str, one: Decision, reason: str, officer: Officer) -> Leaf:
    return events.ruling(
        f"{verb}/{one.id}",
        one.partner,
        one.subject,
        scope=one.scope,
        fields=one.fields,
        ground=one.ground,
        terms=one.terms,
        actor=officer.person,
        reason=reason,
    )
