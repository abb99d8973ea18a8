"""Legal holds: placed by an operator or a caseworker, released by two operators; each with a reason, an entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.admin.pages import Page
from gateway.admin.personal_data_access import About, seen
from gateway.domain.hold import HoldKind
from gateway.errors import UserError
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.operations.retention import REFERENCES, Holds, Place, Release
from gateway.store.engine import StorageEngine
from gateway.store.ledger.sequencer import Sequencer
from gateway.store.people import subjects
from gateway.store.retention import holds
from gateway.store.retention.holds import Hold

_NAMING = frozenset({HoldKind.PERSON, HoldKind.TRANSACTION})


class HoldOperations:
    """Where holds are placed and released."""

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
            Handler(request=Place, do=self._place, check=_check_reference),
            Handler(
                request=Release,
                do=self._release,
                state=of_all(self._state),
                plan=self._plan,
                about=self._about,
            ),
            Handler(request=Holds, do=self._list),
        )

    def _place(self, officer: Officer, request: Place) -> Answer:
        kind, reference = request.kind, request.reference
        one = Hold(
            id=f"H-{self._random(8).hex()}",
            kind=kind,
            reference=reference,
            reason=request.reason,
            placed_by=officer.person,
            placed=self._clock(),
        )
        with self._database.reader() as reader:
            if not holds.known(reader, kind, reference):
                raise UserError(f"there is no such {kind.value} here; check the spelling")
            subject = subjects.find(reader, reference) if kind is HoldKind.PERSON else None
        verb = "PLACE_ALL" if kind is HoldKind.EVERYTHING else "PLACE"
        leaf = _leaf(verb, one, request.reason, {"actor": officer.person}, subject)
        self._sequencer.commit((leaf,), holds.place(one))
        return {"hold": one.id, "kind": kind.value, "reference": reference}

    def _release(self, officer: Officer, request: Release) -> Answer:
        found = self._standing(request.hold)
        leaf = _leaf("RELEASE", found[0], request.reason, officer.facts)
        self._sequencer.commit((leaf,), holds.release(request.hold, officer.person, self._clock()))
        return {"hold": request.hold, "released": True}

    def _standing(self, identifier: str) -> list[Hold]:
        with self._database.reader() as reader:
            found = [one for one in holds.standing(reader).holds if one.id == identifier]
        if not found:
            raise UserError("no such hold stands; `passerelle retention hold list` names those")
        return found

    def _state(self) -> object:
        """Return the holds in force, to which an approval is bound."""
        with self._database.reader() as reader:
            return [one.id for one in holds.standing(reader).holds]

    def _plan(self, request: Release) -> tuple[str, ...]:
        found = self._standing(request.hold)
        return tuple(
            f"What the hold {one.id} on {f'{one.kind.value} {one.reference}'.rstrip()} kept is erased when it is due:"
            f" placed {one.placed:%Y-%m-%d} by {one.placed_by}, {one.reason}."
            for one in found
        )

    def _about(self, officer: Officer, request: Release) -> tuple[str, tuple[Leaf, ...]]:
        """Return what a hold keeps, in force or released, and the entry that says of whom that was shown."""
        with self._database.reader() as reader:
            found = [one for one in holds.every(reader) if one.id == request.hold]
            rows = _rows(found, lambda number: subjects.find(reader, number))
        words = "; ".join(
            f"{one.kind.value} {one.reference}".rstrip()
            + f", held since {one.placed:%Y-%m-%d} by {one.placed_by}: {one.reason}"
            for one in found
        )
        return words, seen(officer, "proposal", rows) if rows else ()

    def _list(self, officer: Officer, request: Holds) -> Answer:
        with self._database.reader() as reader:
            found = holds.every(reader)
            shown, more = Page(request).slice(
                [one for one in found if request.released or one.released is None]
            )
            rows = _rows(shown, lambda number: subjects.find(reader, number))
        if rows:
            self._sequencer.commit(seen(officer, "holds", rows), ())
        return {"holds": [_row(one) for one in shown], "next_page_token": more}


def _check_reference(officer: Officer, request: Place) -> None:
    """Raise UserError where what is held is not named as its kind is."""
    del officer
    form = REFERENCES.get(request.kind)
    if form is not None:
        form.read("reference", request.reference)
    elif request.reference:
        raise UserError("reference: no such argument where everything is held")


def _rows(shown: Sequence[Hold], find: Callable[[str], int | None]) -> list[About]:
    """Return whom holds are about, of those that name a person or a query; `find` returns a person by file number."""
    return [
        About(find(one.reference))
        if one.kind is HoldKind.PERSON
        else About(number=one.reference.partition("/")[2])
        for one in shown
        if one.kind in _NAMING
    ]


def _row(one: Hold) -> dict[str, object]:
    return {
        "hold": one.id,
        "kind": one.kind.value,
        "reference": one.reference,
        "reason": one.reason,
        "by": one.placed_by,
        "since": one.placed.isoformat(),
        "released": None if one.released is None else one.released.isoformat(),
        "released_by": one.released_by,
    }


def _leaf(
    verb: str, one: Hold, reason: str, by: Mapping[str, str], subject: int | None = None
) -> Leaf:
    partner = number = ""
    if one.kind in {HoldKind.TRANSACTION, HoldKind.PARTNER}:
        partner, _, number = one.reference.partition("/")
    reference = f"{verb}/{one.id}"
    return events.hold(reference, (partner, number), one.kind.value, reason, by, subject)
