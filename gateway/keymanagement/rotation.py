"""How our keys are rotated: what is known of who has seen them, what is due, and the round that does it.

The decision is `keys.rotation_schedule`'s. Here its facts are read: schedules, the version of our entry that first named
each key, the versions that partners were seen to use, what two persons decided to destroy. An active partner is one
that the directory knows now. A round does what is due, one step at a time; each is decided anew, kept and recorded
by the active keyset, so a crash between two leaves a keyset that is the old one or the new one, and the next round goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from gateway import telemetry, user_files
from gateway.errors import PasserelleError, UserError
from gateway.keymanagement import transitions
from gateway.keymanagement.active_keyset import ActiveKeyset, Decide, PublishedDirectory
from gateway.keymanagement.reencryption import Reencryption
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.monitoring import alarms
from gateway.store.engine import StorageEngine
from gateway.store.keys import rotations
from gateway.store.keys.rotations import ScheduledDestruction, Sighting
from gateway.store.ledger.sequencer import Effect, Sequencer
from gateway.trust.bundle import PartyBundle, fingerprint
from gateway.trust.directory_signers import WAYS
from gateway.trust.partners import Directory, own_bundle
from keys import rotation_schedule
from keys.errors import KeysError
from keys.key_record import KeyEvent, KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import DIRECTORY, KeyKind, KeyState
from keys.rotation_schedule import ANNOUNCED, CryptoPeriod, Evidence, Move, Outlook, Step, short

SCHEDULE = "schedule"  # who acts where nobody does
MOST_STEPS = 32  # of one round; more would be a fault of ours, and the next round comes
ALARMED = timedelta(days=1)  # how often a late key, or a step that fails, is an ALARM (keys.md 5)
MOST_NAMED = 50  # partners whom one entry names

_MADE = "the crypto-period of its predecessor ends"
_PROMOTED = "every partner was seen to know it"
_RETIRED = "its successor is in use"
_SPENT = "its 48 hours are over"
_UNUSED = "nothing is sealed with it any more"

_log = telemetry.logger("rotation")


class KeyRotation:
    """Reads what there is to know of our keys' rotation, and takes the steps."""

    def __init__(  # noqa: PLR0917 - our keys' rotation depends on these
        self,
        active_keyset: ActiveKeyset,
        directory: Directory,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        published: PublishedDirectory,
        reencryption: Reencryption,
    ) -> None:
        self._active_keyset, self._directory = active_keyset, directory
        self._database, self._sequencer, self._clock = database, sequencer, clock
        self._published, self._reencryption = published, reencryption
        self._alarmed = alarms.OnceInAWhile(ALARMED)

    @property
    def keyset(self) -> Keyset:
        """The keys in force."""
        return self._active_keyset.current

    @property
    def own(self) -> PartyBundle:
        """Our own entry, as it is published."""
        return own_bundle(self._active_keyset.home)

    def entry(self) -> dict[str, object]:
        """Return the version of our own entry, and what people compare of it."""
        own = self.own
        return {"version": own.version, "fingerprint": fingerprint(own.to_bytes())}

    @property
    def directory(self) -> bool:
        """Whether we publish a directory, whose root key holders name its pairs."""
        return self._published.naming() is not None

    def now(self) -> datetime:
        """Return the time."""
        return self._clock()

    def partners(self) -> dict[str, Sighting | None]:
        """Return the active partners, and what each was last seen to use."""
        with self._database.reader() as reader:
            seen = rotations.seen(reader)
        return {bundle.party: seen.get(bundle.party) for bundle in self._directory.parties()}

    def evidence(self) -> dict[bytes, Evidence]:
        """Return who has seen each key that is announced, or will be."""
        partners = self.partners()
        with self._database.reader() as reader:
            named = rotations.named(reader)
        pairs = self._published.naming()
        return {
            record.kid: _evidence(named.get(record.kid), partners)
            if record.kind in ANNOUNCED
            else Evidence(0 if pairs is None else pairs.get(record.kid))
            for record in self.keyset.records
            if record.kind in ANNOUNCED | DIRECTORY and record.state in _IN_QUESTION
        }

    def outlook(self) -> Outlook:
        """Return all that decides what comes next."""
        with self._database.reader() as reader:
            crypto_periods, asked = rotations.crypto_periods(reader), rotations.asked(reader)
            decided = {
                kid: planned.due
                for kid, planned in rotations.scheduled_destructions(reader).items()
            }
        return Outlook(
            crypto_periods=crypto_periods,
            evidence=self.evidence(),
            asked=asked,
            decided=decided,
            unused=self._reencryption.unused(),
        )

    def scheduled_destructions(self) -> dict[bytes, ScheduledDestruction]:
        """Return what two persons decided to destroy."""
        with self._database.reader() as reader:
            return rotations.scheduled_destructions(reader)

    def steps(self) -> tuple[Step, ...]:
        """Return what comes next, the earliest first."""
        return rotation_schedule.steps(self.keyset.records, self.outlook(), self._clock())

    def steps_with(self, kind: KeyKind, crypto_period: CryptoPeriod) -> tuple[Step, ...]:
        """Return what would come next for a kind if it were rotated so."""
        outlook = self.outlook()
        supposed = replace(outlook, crypto_periods={**outlook.crypto_periods, kind: crypto_period})
        found = rotation_schedule.steps(self.keyset.records, supposed, self._clock())
        return tuple(step for step in found if step.kind is kind)

    def says_all(self) -> bool:
        """Say whether our entry says all that our keys are, and it is kept since when."""
        return self._active_keyset.is_published

    def grounds(self, record: KeyRecord, *, override: bool) -> dict[str, str]:
        """Return what an entry says of the evidence for a promotion; raises UserError where it does not suffice.

        override   two persons do not wait for whoever is missing
        """
        evidence = self.evidence().get(record.kid, Evidence(None))
        if evidence.complete:
            by = "KEEPERS" if record.kind in DIRECTORY else "COMPLETE"
            return {"evidence": f"{by}/{evidence.version}"}
        if not rotation_schedule.needs_evidence(self.keyset.records, record, self._clock()):
            return {"evidence": "NOT_NEEDED"}
        name = f"{record.kind.value} {short(record.kid)}"
        if (
            record.kind in DIRECTORY
        ):  # nobody could check what it signs: two persons cannot change that
            raise UserError(f"{name} is not named by the directory yet: {WAYS[record.kind]}")
        missing = ", ".join(evidence.missing[:MOST_NAMED])
        if override:
            return {"evidence": "OVERRIDDEN", "missing_partners": missing}
        if evidence.version is None:
            raise UserError(
                f"{name} is in no version of our entry yet: run `passerelle keys publish`"
            )
        raise UserError(
            f"{name} was not seen by {missing} with version {evidence.version} of our entry: wait for"
            " them, or have two persons promote it with --override"
        )

    def publish(self, actor: str, facts: Mapping[str, str] = MappingProxyType({})) -> int:
        """Publish what our entry does not say yet; return its version."""
        return self._active_keyset.publish(actor=actor, facts=facts).version

    def change(
        self,
        decide: Decide,
        actor: str,
        facts: Mapping[str, str] = MappingProxyType({}),
        effects: Callable[[tuple[KeyEvent, ...]], Iterable[Effect]] = lambda _: (),
    ) -> tuple[KeyEvent, ...]:
        """Make a move."""
        return self._active_keyset.change(decide, actor=actor, facts=facts, effects=effects)

    def commit(self, leaf: Leaf, effects: Iterable[Effect] = ()) -> None:
        """Record what is no move of a key."""
        self._sequencer.commit((leaf,), tuple(effects))

    def advance(
        self,
        kind: KeyKind | None = None,
        *,
        actor: str = SCHEDULE,
        facts: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[KeyEvent, ...]:
        """Take the steps that are due, of one kind or of all, and publish; return what moved.

        Raises what a step raises; those before it are taken and recorded, and the next call goes on.
        """
        moved: list[KeyEvent] = []
        for _ in range(MOST_STEPS):
            step = next((each for each in self._due(kind) if each.move is not Move.WAIT), None)
            if step is None:
                break
            try:
                moved += self._take(step, actor, facts)
            except UserError:
                if step in self._due(kind):
                    raise
                continue  # somebody else took it meanwhile
            self._say(actor, facts)
        return tuple(moved)

    def round(self) -> None:
        """Do what is due; what fails is logged, is an ALARM once a day, and waits for the next round."""
        try:
            self._say(SCHEDULE, {})
        except Exception as fault:  # noqa: BLE001 - the keys are rotated all the same
            self._alarm("PUBLISH", "", _sentence(fault))
        for kind in KeyKind:
            try:
                self.advance(kind)
            except Exception as fault:  # noqa: BLE001 - the other kinds are rotated all the same
                self._alarm("STEP_FAILED", kind.value, _sentence(fault))
        for step in self._due(None):
            if step.move is Move.WAIT:
                missing = self.evidence().get(step.kid, Evidence(None)).missing
                named = ", ".join(missing[:MOST_NAMED])
                self._alarm("NOT_SEEN", step.kind.value, step.sentence, named)

    def _due(self, kind: KeyKind | None) -> list[Step]:
        now = self._clock()
        found = rotation_schedule.due(self.keyset.records, self.outlook(), now)
        return [step for step in found if kind in {None, step.kind}]

    def _say(self, actor: str, facts: Mapping[str, str]) -> None:
        if not self.says_all():
            self.publish(actor, facts)

    def _take(self, step: Step, actor: str, facts: Mapping[str, str]) -> tuple[KeyEvent, ...]:
        match step.move:
            case Move.GENERATE:
                return self.change(transitions.generate(step.kind, _MADE, actor), actor, facts)
            case Move.PROMOTE:
                grounds = self.grounds(self.keyset.record(step.kid), override=False)
                decide = transitions.move(step.kid, KeyState.ACTIVE, _PROMOTED, actor)
                return self.change(decide, actor, {**facts, **grounds})
            case Move.DEACTIVATE:
                decide = transitions.move(step.kid, KeyState.DEACTIVATED, _RETIRED, actor)
                return self.change(decide, actor, facts)
            case _:
                return self._destroy(step, actor, facts)

    def _destroy(self, step: Step, actor: str, facts: Mapping[str, str]) -> tuple[KeyEvent, ...]:
        """Destroy what is due; where two persons decided it, the entry names them."""
        planned = self.scheduled_destructions().get(step.kid)
        reason = _SPENT if step.kind is KeyKind.KEM else _UNUSED
        if step.kind is KeyKind.DATA:
            self._reencryption.begin_anew()  # where something is found after all, it is moved first
        if planned is not None and planned.due <= step.when:  # else the schedule came first
            actor, reason = planned.actor, planned.reason
            facts = {"approver": planned.approver, "schedule": SCHEDULE} if planned.approver else {}
        decide = transitions.move(step.kid, KeyState.DESTROYED, reason, actor)
        return self.change(
            decide, actor, facts, lambda _: rotations.cancel_destruction(step.kid, demand=False)
        )

    def _alarm(self, why: str, kind: str, sentence: str, missing: str = "") -> None:
        name = f"{why}/{kind}"
        if not self._alarmed.due(name, self._clock()):
            return
        _log.error("keys_wait", state=name, reason=sentence)
        try:
            self.commit(events.rotation_alarm(why, kind, sentence[:500], missing))
        except PasserelleError:
            self._alarmed.forget(name)  # the ledger takes nothing; said again with the next round


def _sentence(fault: Exception) -> str:
    """Return the text for a failure: our own words, or its type where they are not ours."""
    ours = isinstance(fault, (PasserelleError, KeysError, OSError))
    return user_files.fault_text(fault) if ours else type(fault).__name__


_IN_QUESTION = frozenset({KeyState.PREACTIVE, KeyState.ACTIVE})


def _evidence(version: int | None, partners: Mapping[str, Sighting | None]) -> Evidence:
    if version is None:
        return Evidence(None, tuple(sorted(partners)))
    missing = (
        party
        for party, sighting in partners.items()
        if sighting is None or sighting.version < version
    )
    return Evidence(version, tuple(sorted(missing)))
