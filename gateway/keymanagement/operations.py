"""What operators do with our keys: one for each verb, each with a plan in sentences.

One person generates, publishes, promotes what every partner has seen, retires what has a successor, cancels, and
stops a key at once, which is an ALARM. The pairs of our directory are promoted when its root key holders name them.
Two persons promote what somebody has not seen, let a stopped key return,
revoke, and destroy. What two persons decide to destroy waits 7 to 30 days, in which one can cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.errors import UserError
from gateway.keymanagement import dry_run, transitions, views
from gateway.keymanagement.active_keyset import Decide
from gateway.keymanagement.rotation import KeyRotation
from gateway.ledger import events
from gateway.operations import keys
from gateway.operations.declaration import Request
from gateway.store.keys import rotations
from gateway.store.keys.rotations import ScheduledDestruction
from keys.key_record import KeyEvent, KeyRecord
from keys.lifecycle import LIFETIMES, KeyKind, KeyState
from keys.rotation_schedule import CRYPTO_PERIODS, CryptoPeriod, short

R = TypeVar("R", bound=Request)


class KeyOperations:
    """The operations on our keys."""

    def __init__(self, rotation: KeyRotation) -> None:
        self._rotation = rotation

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=keys.List, do=self._list),
            Handler(request=keys.Show, do=self._show),
            self._handler(keys.Generate, self._generate, dry_run.generate, check=_check_kind),
            self._handler(keys.Publish, self._publish, dry_run.publish),
            self._handler(
                keys.Promote, self._promote, dry_run.promote, two=lambda request: request.override
            ),
            self._handler(keys.Suspend, self._suspend, dry_run.suspend, stops=self._silences),
            self._handler(keys.Resume, self._resume, dry_run.resume),
            self._handler(keys.Deactivate, self._deactivate, dry_run.deactivate, two=self._stopped),
            self._handler(keys.Revoke, self._revoke, dry_run.revoke, stops=self._silences),
            self._handler(keys.Destroy, self._destroy, dry_run.destroy, two=self._not_spent),
            self._handler(keys.Cancel, self._cancel, dry_run.cancel),
            self._handler(keys.Rotate, self._rotate, dry_run.rotate, check=_check_kind),
            self._handler(
                *(keys.Schedule, self._schedule, dry_run.schedule),
                check=_check_schedule,
                two=lambda request: request.kind is KeyKind.DATA,
            ),
        )

    def _handler(
        self,
        request: type[R],
        do: Callable[[Officer, R], Answer],
        plan: Callable[[KeyRotation, R], tuple[str, ...]],
        **rules: Callable[..., Any],
    ) -> Handler[R]:
        """Return what does one step, which says what it would do, and is bound to the state of all keys."""
        return Handler(
            request=request,
            do=do,
            state=of_all(self._state),
            plan=partial(plan, self._rotation),
            **rules,
        )

    # Looking

    def _list(self, officer: Officer, request: keys.List) -> Answer:
        del officer, request
        return views.listing(self._rotation)

    def _show(self, officer: Officer, request: keys.Show) -> Answer:
        del officer
        return views.one(self._rotation, self._named(request.key))

    def _state(self) -> object:
        """Return the state of all keys, to which an approval is bound."""
        return views.standing(self._rotation)

    # Step by step

    def _generate(self, officer: Officer, request: keys.Generate) -> Answer:
        kind, reason = request.kind, request.reason
        decide = transitions.generate(kind, reason, officer.person)
        told = self._told(self._rotation.change(decide, officer.person, officer.facts))
        return {**told, "keepers": transitions.keepers_sign(kind)}

    def _publish(self, officer: Officer, request: keys.Publish) -> Answer:
        del request
        before = self._rotation.own.version
        version = self._rotation.publish(officer.person, officer.facts)
        return {**self._told(()), "published": version > before}

    def _promote(self, officer: Officer, request: keys.Promote) -> Answer:
        record = self._named(request.key)
        transitions.demand_edge(self._rotation.keyset, record, KeyState.ACTIVE)
        if record.state is KeyState.SUSPENDED:
            raise UserError("a suspended key returns by `passerelle keys resume`")
        grounds = self._rotation.grounds(record, override=request.override)
        return self._moved(officer, record, KeyState.ACTIVE, request.reason, grounds)

    def _rotate(self, officer: Officer, request: keys.Rotate) -> Answer:
        kind, reason = request.kind, request.reason
        rotation, person = self._rotation, officer.person
        decide = transitions.generate(kind, reason, person, join=True)
        moved = rotation.change(
            decide, person, officer.facts, lambda made: rotations.ask(made[0].kid)
        )
        kid = moved[0].kid if moved else self._joined(officer, kind, reason)
        rotation.publish(person, officer.facts)
        moved += rotation.advance(kind, actor=person, facts=officer.facts)
        promoted = rotation.keyset.record(kid).state is KeyState.ACTIVE
        missing = () if promoted else rotation.evidence()[kid].missing
        return {
            **self._told(moved),
            "key": kid.hex(),
            "promoted": promoted,
            "missing": list(missing),
            "keepers": None if promoted else transitions.keepers_sign(kind),
        }

    def _joined(self, officer: Officer, kind: KeyKind, reason: str) -> bytes:
        """Have a key that is made already take over when it can; return its id."""
        record = transitions.coming(self._rotation.keyset, kind)
        if record is None:
            raise UserError(f"another rotation of {kind.value} was finished meanwhile; look again")
        if record.kid in self._rotation.scheduled_destructions():
            raise UserError(
                f"{short(record.kid)} is to be destroyed, as two persons decided: `passerelle keys cancel`"
                " ends that, or wait for it"
            )
        leaf = events.key_order(record, "ROTATE", reason, officer.facts)
        self._rotation.commit(leaf, rotations.ask(record.kid))
        return record.kid

    def _schedule(self, officer: Officer, request: keys.Schedule) -> Answer:
        kind, days = request.kind, request.days
        every = (
            timedelta(days=days) if days else self._rotation.outlook().crypto_periods[kind].every
        )
        crypto_period = CryptoPeriod(request.on, every)
        leaf = events.key_schedule(kind, every, request.reason, officer.facts, on=request.on)
        self._rotation.commit(leaf, rotations.set_crypto_period(kind, crypto_period))
        return views.crypto_period(kind, crypto_period)

    # Stopping and ending

    def _suspend(self, officer: Officer, request: keys.Suspend) -> Answer:
        record = self._named(request.key)
        decide = transitions.stop(record.kid, KeyState.SUSPENDED, request.reason, officer.person)
        moved = self._rotation.change(decide, officer.person, officer.facts)
        key = short(record.kid)
        leaf = events.suspension_alarm(record, key, request.reason, officer.facts)
        self._rotation.commit(leaf)
        self._rotation.publish(officer.person, officer.facts)
        return {**self._told(moved), "key": record.kid.hex()}

    def _resume(self, officer: Officer, request: keys.Resume) -> Answer:
        record = self._named(request.key)
        if record.state is not KeyState.SUSPENDED:
            raise UserError(
                f"{short(record.kid)} is {record.state.value}; what is SUSPENDED resumes"
            )
        return self._moved(officer, record, KeyState.ACTIVE, request.reason)

    def _deactivate(self, officer: Officer, request: keys.Deactivate) -> Answer:
        return self._moved(officer, self._named(request.key), KeyState.DEACTIVATED, request.reason)

    def _revoke(self, officer: Officer, request: keys.Revoke) -> Answer:
        record, person = self._named(request.key), officer.person
        decide = transitions.stop(record.kid, KeyState.COMPROMISED, request.reason, person)
        return self._done(officer, record, decide, {})

    def _destroy(self, officer: Officer, request: keys.Destroy) -> Answer:
        record = self._named(request.key)
        transitions.demand_edge(self._rotation.keyset, record, KeyState.DESTROYED)
        transitions.require_no_schedule(record, self._rotation.outlook().crypto_periods)
        if not transitions.waits(record):
            gone = self._moved(officer, record, KeyState.DESTROYED, request.reason)
            return {**gone, "due": None}
        due = max(
            self._rotation.now() + timedelta(days=request.days), transitions.destroyable(record)
        )
        planned = ScheduledDestruction(due, request.reason, officer.person, officer.second)
        leaf = events.key_order(record, "DESTROY", request.reason, officer.facts, due)
        self._rotation.commit(leaf, rotations.schedule_destruction(record.kid, planned))
        return {**self._told(()), "key": record.kid.hex(), "due": due.isoformat()}

    def _cancel(self, officer: Officer, request: keys.Cancel) -> Answer:
        record = self._named(request.key)
        outlook = self._rotation.outlook()
        transitions.require_no_schedule(record, outlook.crypto_periods)
        asked, planned = record.kid in outlook.asked, record.kid in outlook.decided
        if not planned and (not asked or record.state is not KeyState.PREACTIVE):
            raise UserError("neither a destruction nor a rotation of that key is under way")
        effects = [*rotations.unask(record.kid)]
        effects += rotations.cancel_destruction(record.kid) if planned else ()
        leaf = events.key_order(record, "CANCEL", request.reason, officer.facts)
        self._rotation.commit(leaf, effects)
        return {"key": record.kid.hex(), "cancelled": True}

    def _moved(
        self,
        officer: Officer,
        record: KeyRecord,
        target: KeyState,
        reason: str,
        grounds: Mapping[str, str] | None = None,
    ) -> Answer:
        """Move a key and publish what follows from it."""
        decide = transitions.move(record.kid, target, reason, officer.person)
        return self._done(officer, record, decide, grounds or {})

    def _done(
        self, officer: Officer, record: KeyRecord, decide: Decide, grounds: Mapping[str, str]
    ) -> Answer:
        facts = {**officer.facts, **grounds}
        moved = self._rotation.change(
            decide,
            officer.person,
            facts,
            lambda _: rotations.cancel_destruction(record.kid, demand=False),
        )
        self._rotation.publish(officer.person, officer.facts)
        return {**self._told(moved), "key": record.kid.hex()}

    def _told(self, events: tuple[KeyEvent, ...]) -> dict[str, object]:
        """Say what moved, and which version of our entry partners need."""
        moves = [
            {
                "key": event.kid.hex(),
                "kind": event.kind.value,
                "from": None if event.previous is None else event.previous.value,
                "to": event.state.value,
            }
            for event in events
        ]
        return {"moves": moves, **self._rotation.entry()}

    def _named(self, key: str) -> KeyRecord:
        return transitions.named(self._rotation.keyset, key)

    # Whether it takes two

    def _stopped(self, request: keys.Deactivate) -> bool:
        record = self._meant(request.key)
        return record is not None and record.state is KeyState.SUSPENDED

    def _not_spent(self, request: keys.Destroy) -> bool:
        """All but what the schedule does by itself."""
        record = self._meant(request.key)
        if record is None:
            return True
        return (record.kind, record.state) != (KeyKind.KEM, KeyState.DEACTIVATED)

    def _silences(self, request: keys.Suspend | keys.Revoke) -> bool:
        record = self._meant(request.key)
        return record is not None and transitions.silences(self._rotation.keyset, record)

    def _meant(self, key: str) -> KeyRecord | None:
        try:
            return self._named(key)
        except UserError:
            return None


def _check_kind(officer: Officer, request: keys.Generate | keys.Rotate) -> None:
    """Raise UserError for a kind whose keys are made elsewhere, also to whoever asks what would be done."""
    del officer
    transitions.demand_ours(request.kind)


def _check_schedule(officer: Officer, request: keys.Schedule) -> None:
    """Raise UserError for a kind that does not rotate by itself, and for a period longer than its keys live."""
    del officer
    if request.kind not in CRYPTO_PERIODS:
        raise UserError(
            f"kind: {request.kind.value} keys do not rotate by themselves; the auditor makes them"
        )
    most = LIFETIMES[request.kind].days
    if request.days > most:
        raise UserError(f"days: a whole number from 0 to {most}")
