"""What operators do with our keys: one act for each verb, each with a plan in sentences.

One person generates, publishes, promotes what every partner has seen, retires what has a successor, cancels, and
stops a key at once, which is an ALARM. The pairs of our directory are promoted when its root key holders name them.
Two persons promote what somebody has not seen, let a stopped key return,
revoke, and destroy. What two persons decide to destroy waits 7 to 30 days, in which one can cancel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from gateway.admin.arguments import Arguments
from gateway.admin.operation import Act, Answer, Officer, Role, always, never
from gateway.errors import UserError
from gateway.keymanagement import dry_run, transitions, views
from gateway.keymanagement.active_keyset import Decide
from gateway.keymanagement.rotation import KeyRotation
from gateway.ledger.entry import EntryClass, EntryType, Frame
from gateway.monitoring import alarms
from gateway.store.keys import rotations
from gateway.store.keys.rotations import ScheduledDestruction
from gateway.store.ledger.sequencer import Leaf
from gateway.trust.key_names import SPELLING
from keys.key_record import KeyEvent, KeyRecord
from keys.lifecycle import LIFETIMES, KeyKind, KeyState
from keys.rotation_schedule import RHYTHMS, CryptoPeriod, short

SHORTEST_WAIT, LONGEST_WAIT = 7, 30  # days (keys.md 7, the practice of AWS KMS)

_OPERATORS = frozenset({Role.OPERATOR})
_STOPPING = frozenset({"keys.suspend", "keys.revoke"})
_READERS = frozenset({Role.OPERATOR, Role.AUDITOR})

Values = Mapping[str, object]
Doing = Callable[[], Answer]


class KeyOperations:
    """The operations on our keys."""

    def __init__(self, rotation: KeyRotation) -> None:
        self._rotation = rotation

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("keys.list", _READERS, self._list),
            Act("keys.show", _READERS, self._show),
            self._act("keys.generate", self._generate),
            self._act("keys.publish", self._publish),
            self._act("keys.promote", self._promote, self._overrides),
            self._act("keys.suspend", self._suspend),
            self._act("keys.resume", self._resume, always),
            self._act("keys.deactivate", self._deactivate, self._stopped),
            self._act("keys.revoke", self._revoke, always),
            self._act("keys.destroy", self._destroy, self._not_spent),
            self._act("keys.cancel", self._cancel),
            self._act("keys.rotate", self._rotate),
            self._act("keys.schedule", self._schedule),
        )

    def _act(
        self,
        name: str,
        read: Callable[[Officer, Arguments], Doing],
        two: Callable[[Values], bool] = never,
    ) -> Act:
        """Return an act that, asked to, says what it would do and does nothing; that takes one person."""

        def plan(values: Values) -> tuple[str, ...]:
            return dry_run.sentences(self._rotation, name, values)

        def reading(officer: Officer, arguments: Arguments) -> Doing:
            if not arguments.flag("dry_run"):
                return read(officer, arguments)
            values = arguments.rest()
            return lambda: {
                "dry_run": True,
                "two_persons": two(values),
                "plan": [*plan(values)],
                "stops_answers": name in _STOPPING and self._silences(values),
            }

        def takes_two(values: Values) -> bool:
            return values.get("dry_run") is not True and two(values)

        return Act(name, _OPERATORS, reading, takes_two, self._state, plan)

    # Looking

    def _list(self, officer: Officer, arguments: Arguments) -> Doing:
        del officer, arguments
        return lambda: views.listing(self._rotation)

    def _show(self, officer: Officer, arguments: Arguments) -> Doing:
        del officer
        key = arguments.text("key", SPELLING)
        return lambda: views.one(self._rotation, self._named(key))

    def _state(self) -> object:
        """Return the state of all keys, to which an approval is bound."""
        return views.standing(self._rotation)

    # KeyRotation

    def _generate(self, officer: Officer, arguments: Arguments) -> Doing:
        kind, reason = _kind(arguments), arguments.reason()

        def do() -> Answer:
            decide = transitions.generate(kind, reason, officer.person)
            told = self._told(self._rotation.change(decide, officer.person, officer.facts))
            return {**told, "keepers": transitions.keepers_sign(kind)}

        return do

    def _publish(self, officer: Officer, arguments: Arguments) -> Doing:
        arguments.optional("reason", _WORDS)

        def do() -> Answer:
            before = self._rotation.own.version
            version = self._rotation.publish(officer.person, officer.facts)
            return {**self._told(()), "published": version > before}

        return do

    def _promote(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()
        override = arguments.flag("override")

        def do() -> Answer:
            record = self._named(key)
            transitions.demand_edge(self._rotation.keyset, record, KeyState.ACTIVE)
            if record.state is KeyState.SUSPENDED:
                raise UserError("a suspended key returns by `passerelle keys resume`")
            grounds = self._rotation.grounds(record, override=override)
            return self._moved(officer, record, KeyState.ACTIVE, reason, grounds)

        return do

    def _rotate(self, officer: Officer, arguments: Arguments) -> Doing:
        kind, reason = _kind(arguments), arguments.reason()

        def do() -> Answer:
            rotation, person = self._rotation, officer.person
            decide = transitions.generate(kind, reason, person, join=True)
            moved = rotation.change(
                decide, person, officer.facts, lambda events: rotations.ask(events[0].kid)
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

        return do

    def _joined(self, officer: Officer, kind: KeyKind, reason: str) -> bytes:
        """Have a key that is made already take over when it can; return its id."""
        record = transitions.coming(self._rotation.keyset, kind)
        if record is None:
            raise UserError(f"another rotation of {kind.value} was finished meanwhile; look again")
        if record.kid in self._rotation.dooms():
            raise UserError(
                f"{short(record.kid)} is to be destroyed, as two persons decided: `passerelle keys cancel`"
                " ends that, or wait for it"
            )
        leaf = _leaf(officer, record, {"action": "ROTATE", "reason": reason})
        self._rotation.commit(leaf, rotations.ask(record.kid))
        return record.kid

    def _schedule(self, officer: Officer, arguments: Arguments) -> Doing:
        kind, on = _kind(arguments), arguments.flag("on")
        if kind not in RHYTHMS:
            raise UserError(
                f"kind: {kind.value} keys do not rotate by themselves; the auditor makes them"
            )
        most = LIFETIMES[kind].days
        days = arguments.number("days", 0, most, 0)
        reason = arguments.reason()

        def do() -> Answer:
            every = timedelta(days=days) if days else self._rotation.outlook().rhythms[kind].every
            rhythm = CryptoPeriod(on, every)
            said = f"{'ON' if on else 'OFF'}/{every.days}"
            facts = {"schedule": said, "key_kind": kind.value, "reason": reason, **officer.facts}
            frame = _frame(f"SCHEDULE/{kind.value}")
            self._rotation.commit(Leaf(frame, facts), rotations.set_rhythm(kind, rhythm))
            return views.rhythm(kind, rhythm)

        return do

    # Stopping and ending

    def _suspend(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()

        def do() -> Answer:
            record = self._named(key)
            decide = transitions.stop(record.kid, KeyState.SUSPENDED, reason, officer.person)
            moved = self._rotation.change(decide, officer.person, officer.facts)
            facts = {
                **officer.facts,
                "key_kind": record.kind.value,
                "state_before": record.state.value,
                "state_after": KeyState.SUSPENDED.value,
                "reason": reason,
            }
            reference = f"SUSPENDED/{short(record.kid)}"
            self._rotation.commit(alarms.entry(facts, subject_reference=reference))
            self._rotation.publish(officer.person, officer.facts)
            return {**self._told(moved), "key": record.kid.hex()}

        return do

    def _resume(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()

        def do() -> Answer:
            record = self._named(key)
            if record.state is not KeyState.SUSPENDED:
                raise UserError(
                    f"{short(record.kid)} is {record.state.value}; what is SUSPENDED resumes"
                )
            return self._moved(officer, record, KeyState.ACTIVE, reason)

        return do

    def _deactivate(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()
        return lambda: self._moved(officer, self._named(key), KeyState.DEACTIVATED, reason)

    def _revoke(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()

        def do() -> Answer:
            record, person = self._named(key), officer.person
            decide = transitions.stop(record.kid, KeyState.COMPROMISED, reason, person)
            return self._done(officer, record, decide, {})

        return do

    def _destroy(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()
        days = arguments.number("days", SHORTEST_WAIT, LONGEST_WAIT, SHORTEST_WAIT)

        def do() -> Answer:
            record = self._named(key)
            transitions.demand_edge(self._rotation.keyset, record, KeyState.DESTROYED)
            if not transitions.waits(record):
                gone = self._moved(officer, record, KeyState.DESTROYED, reason)
                return {**gone, "due": None}
            due = max(self._rotation.now() + timedelta(days=days), transitions.destroyable(record))
            doom = ScheduledDestruction(due, reason, officer.person, officer.second)
            facts = {
                "action": "DESTROY",
                "due": due.isoformat(timespec="seconds"),
                "reason": reason,
            }
            leaf = _leaf(officer, record, facts)
            self._rotation.commit(leaf, rotations.doom(record.kid, doom))
            return {**self._told(()), "key": record.kid.hex(), "due": due.isoformat()}

        return do

    def _cancel(self, officer: Officer, arguments: Arguments) -> Doing:
        key, reason = arguments.text("key", SPELLING), arguments.reason()

        def do() -> Answer:
            record = self._named(key)
            asked = record.kid in self._rotation.outlook().asked
            doomed = record.kid in self._rotation.dooms()
            if not doomed and (not asked or record.state is not KeyState.PREACTIVE):
                raise UserError("neither a destruction nor a rotation of that key is under way")
            effects = [*rotations.unask(record.kid)]
            effects += rotations.spare(record.kid) if doomed else ()
            self._rotation.commit(
                _leaf(officer, record, {"action": "CANCEL", "reason": reason}), effects
            )
            return {"key": record.kid.hex(), "cancelled": True}

        return do

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
            decide, officer.person, facts, lambda _: rotations.spare(record.kid, demand=False)
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
        return {"moves": moves, **views.entry(self._rotation)}

    def _named(self, key: str) -> KeyRecord:
        return transitions.named(self._rotation.keyset, key)

    # Whether it takes two

    def _overrides(self, values: Values) -> bool:
        return values.get("override") is True

    def _stopped(self, values: Values) -> bool:
        record = self._meant(values)
        return record is not None and record.state is KeyState.SUSPENDED

    def _not_spent(self, values: Values) -> bool:
        """All but what the schedule does by itself."""
        record = self._meant(values)
        if record is None:
            return True
        return (record.kind, record.state) != (KeyKind.KEM, KeyState.DEACTIVATED)

    def _silences(self, values: Values) -> bool:
        record = self._meant(values)
        return record is not None and transitions.silences(self._rotation.keyset, record)

    def _meant(self, values: Values) -> KeyRecord | None:
        key = values.get("key")
        try:
            return self._named(key) if isinstance(key, str) else None
        except UserError:
            return None


_WORDS = re.compile(r"[^\x00-\x1f\x7f]{1,500}")


def _kind(arguments: Arguments) -> KeyKind:
    return KeyKind(arguments.word("kind", [kind.value for kind in KeyKind]))


def _leaf(officer: Officer, record: KeyRecord, facts: Mapping[str, str]) -> Leaf:
    """Return the entry of what is decided of a key, and moves none."""
    told = {"key_kind": record.kind.value, "state_before": record.state.value, **officer.facts}
    return Leaf(_frame(record.kid.hex()), {**told, **facts})


def _frame(reference: str) -> Frame:
    return Frame(type=EntryType.KEY, entry_class=EntryClass.OTHER, subject_reference=reference)
