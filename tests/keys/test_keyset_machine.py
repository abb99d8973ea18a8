"""The life cycle, walked by a machine: every kind, every edge of the table, and every edge that is not there.

A model keeps beside the keyset what each key's state must be, with the table of the reference copied by hand. What
the table draws and the circumstances allow must succeed; all else must be an error that changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from keys.custody import FileCustody
from keys.errors import IllegalTransition, KeyNotUsable
from keys.keyset import KeyKind, Keyset, KeyState
from keys.lifecycle import DATA_WINDOW, DESTRUCTION_WAIT, KEM_WINDOW, LIFETIMES, PRODUCES_ONLY

S = KeyState
# keys.md 4, copied by hand: whence → whither. What is not here does not exist. That a retired key can be stopped
# too is ours: it still opens for 48 hours, and one person must be able to end that.
EDGES = {
    S.PREACTIVE: {S.ACTIVE, S.SUSPENDED, S.COMPROMISED, S.DESTROYED},
    S.ACTIVE: {S.SUSPENDED, S.DEACTIVATED, S.COMPROMISED},
    S.SUSPENDED: {S.ACTIVE, S.DEACTIVATED, S.COMPROMISED, S.DESTROYED},
    S.DEACTIVATED: {S.SUSPENDED, S.COMPROMISED, S.DESTROYED},
    S.COMPROMISED: {S.DESTROYED},
    S.DESTROYED: set(),
}
MADE = [kind for kind in KeyKind if kind is not KeyKind.AUDIT]  # by a gateway
BIRTH = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOST = 10  # keys of one walk; each is a real pair


class Lives(RuleBasedStateMachine):
    """One keyset, and the model of what stands in it."""

    custody: FileCustody

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.now = BIRTH

    @initialize(kind=st.sampled_from(MADE))
    def found(self, kind: KeyKind) -> None:
        """Begin with one ACTIVE key of each kind, and walk those of one."""
        self.kind = kind
        self.keyset = Keyset.create(self.now, "CAN", self.custody)
        self.model = {record.kid: S.ACTIVE for record in self.keyset.records}
        self.since = dict.fromkeys(self.model, self.now)
        self.gone: set[bytes] = set()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.folder.cleanup()

    @rule(hours=st.sampled_from([0, 1, 49, 169, 400, 4000]))
    def wait(self, hours: int) -> None:
        """Let time pass."""
        self.now += timedelta(hours=hours, milliseconds=1)

    @precondition(lambda self: len(self.model) < MOST)
    @rule()
    def generate(self) -> None:
        """Make a key."""
        self.keyset, event = self.keyset.generate(self.kind, self.now, reason="walk", actor="m")
        assert (event.previous, event.state) == (None, S.PREACTIVE)
        self.model[event.kid], self.since[event.kid] = S.PREACTIVE, self.now

    @precondition(lambda self: len(self.model) < MOST and self._active(self.kind))
    @rule()
    def succeed(self) -> None:
        """Rotate as one does: the newest leaves for a successor."""
        old = self.keyset.primary(self.kind).kid
        self.keyset, made = self.keyset.generate(self.kind, self.now, reason="walk", actor="m")
        for kid, state in ((made.kid, S.ACTIVE), (old, S.DEACTIVATED)):
            self.keyset, _ = self.keyset.transition(kid, state, self.now, "walk", "m")
            self.model[kid], self.since[kid] = state, self.now

    @rule(pick=st.integers(0, MOST - len(MADE)), goal=st.sampled_from(KeyState))
    def move(self, pick: int, goal: KeyState) -> None:
        """Try any key in any direction."""
        mine = [record.kid for record in self.keyset.records if record.kind is self.kind]
        kid = mine[pick % len(mine)]
        record, state = self.keyset.record(kid), self.model[kid]
        if not self._lawful(kid, goal):
            before = self.keyset.records
            with pytest.raises(IllegalTransition):
                self.keyset.transition(kid, goal, self.now, "walk", "m")
            assert self.keyset.records == before
            return
        self.keyset, event = self.keyset.transition(kid, goal, self.now, "why", "m")
        assert (event.previous, event.state, event.reason) == (state, goal, "why")
        assert event.time == self.keyset.record(kid).changed == self.now
        assert self.keyset.record(kid).kind is record.kind
        self.model[kid], self.since[kid] = goal, self.now

    @rule()
    def restart(self) -> None:
        """What is saved and loaded is what was."""
        path = Path(self.folder.name) / "keyset.json"
        self.keyset.save(path)
        again = Keyset.load(path, self.custody)
        assert again.records == self.keyset.records
        self.keyset = again

    @invariant()
    def states_are_the_models(self) -> None:
        """Nothing moves by itself, and nothing is lost."""
        assert {r.kid: r.state for r in self.keyset.records} == self.model

    @invariant()
    def a_private_half_lives_exactly_as_long_as_it_may(self) -> None:
        """Gone with its destruction; of a key that only produces, gone with its deactivation."""
        for record in self.keyset.records:
            if record.state is S.DESTROYED or (
                record.state is S.DEACTIVATED and record.kind in PRODUCES_ONLY
            ):
                self.gone.add(record.kid)
            # What was gone stays gone, whatever the key is declared to be after.
            assert bool(record.wrapped) is (record.kid not in self.gone)

    @invariant()
    def only_an_active_key_produces(self) -> None:
        """Of each kind the newest ACTIVE one, or none at all."""
        for kind in MADE:
            active = self._active(kind)
            if not active:
                with pytest.raises(KeyNotUsable):
                    self.keyset.primary(kind)
            else:
                assert self.keyset.primary(kind).kid in active

    @invariant()
    def only_what_may_be_known_is_published(self) -> None:
        """Partners are never told of a key that was stopped, retired or destroyed."""
        for kind in MADE:
            for record in self.keyset.published(kind):
                assert self.model[record.kid] in {S.PREACTIVE, S.ACTIVE}

    def _active(self, kind: KeyKind) -> list[bytes]:
        return [
            r.kid for r in self.keyset.records if r.kind is kind and self.model[r.kid] is S.ACTIVE
        ]

    def _lawful(self, kid: bytes, target: KeyState) -> bool:
        record, state = self.keyset.record(kid), self.model[kid]
        if target not in EDGES[state]:
            return False
        if target is S.ACTIVE:
            return self.now < record.not_after
        if (state, target) == (S.ACTIVE, S.DEACTIVATED):
            return len(self._active(record.kind)) > 1
        if (state, target) == (S.DEACTIVATED, S.DESTROYED):
            short = {KeyKind.KEM: KEM_WINDOW, KeyKind.DATA: DATA_WINDOW}
            wait = short.get(record.kind, DESTRUCTION_WAIT)
            return self.now > self.since[kid] + wait
        return True


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="module", autouse=True)
def _custody(custody: FileCustody) -> None:
    """A state machine takes no fixtures."""
    Lives.custody = custody


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("target", KeyState)
def test_every_edge_of_every_kind_is_drawn_or_an_error(
    gateway: Keyset, now: datetime, kind: KeyKind, state: KeyState, target: KeyState
) -> None:
    """All 36 pairs of each kind, by the shortest way to the first; the machine walks the longer ones."""
    birth = now
    keyset, made = gateway.generate(kind, now, reason="t", actor="t")
    for step in WAYS[state]:
        now += timedelta(minutes=1)
        keyset, _ = keyset.transition(made.kid, step, now, "t", "t")
    now += max(DESTRUCTION_WAIT, KEM_WINDOW) + timedelta(minutes=1)  # every wait is over
    if target is S.ACTIVE:
        now = min(now, birth + LIFETIMES[kind] - timedelta(minutes=1))

    if target in EDGES[state]:
        moved, event = keyset.transition(made.kid, target, now, "t", "t")
        assert moved.record(made.kid).state is event.state is target
    else:
        with pytest.raises(IllegalTransition):
            keyset.transition(made.kid, target, now, "t", "t")
        assert keyset.record(made.kid).state is state


WAYS: dict[KeyState, tuple[KeyState, ...]] = {
    S.PREACTIVE: (),
    S.ACTIVE: (S.ACTIVE,),
    S.SUSPENDED: (S.SUSPENDED,),
    S.DEACTIVATED: (S.ACTIVE, S.DEACTIVATED),
    S.COMPROMISED: (S.COMPROMISED,),
    S.DESTROYED: (S.DESTROYED,),
}
