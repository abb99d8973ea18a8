from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.data_encryption import DataKey
from keys.errors import IllegalTransition
from keys.key_record import newborn
from keys.lifecycle import (
    LIFETIMES,
    PRODUCES_ONLY,
    TRANSITIONS,
    Authority,
    KeyKind,
    KeyState,
    authority,
    keeps_private,
    step,
)
from keys.rotation_schedule import CryptoPeriod, ends_by_schedule

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, TWO, CLOCK = Authority.ONE, Authority.TWO, Authority.SCHEDULE
STATES = ["PREACTIVE", "ACTIVE", "SUSPENDED", "DEACTIVATED", "COMPROMISED", "DESTROYED"]
# keys.md 4, copied by hand, but for two decisions of ours. Whoever suspects a DEACTIVATED key stops it alone (ADR 0023).
# COMPROMISED is for ever, so it takes two: alone one only suspends (issue 5, item 3).
# 1 = one operator, 2 = two persons, t = the schedule, - = forbidden
TABLE = """
PREACTIVE    -  2t  1   -   2   2
ACTIVE       -  -   1   2t  2   -
SUSPENDED    -  2   -   2   2   2
DEACTIVATED  -  -   1   -   2   2
COMPROMISED  -  -   -   -   -   2
DESTROYED    -  -   -   -   -   -
"""
SIGNS = {"1": ONE, "2": TWO, "t": CLOCK}


def expected() -> dict[tuple[KeyState, KeyState], set[Authority]]:
    rows = (line.split() for line in TABLE.strip().splitlines())
    return {
        (KeyState(row[0]), KeyState(target)): {SIGNS[sign] for sign in cell if sign in SIGNS}
        for row in rows
        for target, cell in zip(STATES, row[1:], strict=True)
    }


@pytest.mark.parametrize("kind", KeyKind)
@pytest.mark.parametrize(("state", "target"), list(product(KeyState, KeyState)))
def test_the_table_is_the_one_of_the_reference(
    kind: KeyKind, state: KeyState, target: KeyState
) -> None:
    """Every kind, every pair of states: 252 cells."""
    allowed = expected()[state, target]
    if kind is KeyKind.KEM and (state, target) == (KeyState.DEACTIVATED, KeyState.DESTROYED):
        allowed = {CLOCK}
    if kind is KeyKind.DATA and (state, target) == (KeyState.DEACTIVATED, KeyState.DESTROYED):
        allowed = {CLOCK, TWO}

    assert authority(kind, state, target) == allowed
    if allowed:
        assert step(kind, state, target) is target
    else:
        with pytest.raises(IllegalTransition):
            step(kind, state, target)


@given(st.lists(st.sampled_from(KeyState), max_size=30), st.sampled_from(KeyKind))
def test_no_walk_returns_from_the_dead(walk: list[KeyState], kind: KeyKind) -> None:
    """Whatever is asked for, a compromised key only ever dies, and a dead one stays dead."""
    state, seen = KeyState.PREACTIVE, [KeyState.PREACTIVE]
    for target in walk:
        try:
            state = step(kind, state, target)
        except IllegalTransition:
            continue
        seen.append(state)

    if KeyState.COMPROMISED in seen:
        assert set(seen[seen.index(KeyState.COMPROMISED) + 1 :]) <= {KeyState.DESTROYED}
    assert KeyState.DESTROYED not in seen[:-1]
    assert KeyState.PREACTIVE not in seen[1:]


def test_one_person_can_stop_a_key_and_never_start_or_destroy_one() -> None:
    """Break-glass covers suspend only (issue 5, item 3)."""
    alone = {target for (_, target), allowed in TRANSITIONS.items() if ONE in allowed}

    assert alone == {KeyState.SUSPENDED}


def test_no_timer_destroys_a_long_lived_key_but_a_data_key_where_its_schedule_is_on() -> None:
    """keys.md 12. Whether the schedule is on is asked in `rotation_schedule`: test_turns."""
    by_schedule = {
        (kind, state)
        for kind, state in product(KeyKind, KeyState)
        if CLOCK in authority(kind, state, KeyState.DESTROYED)
    }

    assert by_schedule == {
        (KeyKind.KEM, KeyState.DEACTIVATED),
        (KeyKind.DATA, KeyState.DEACTIVATED),
    }
    data = replace(
        newborn(DataKey.generate(), KeyKind.DATA, KeyState.ACTIVE, NOW, "t"),
        state=KeyState.DEACTIVATED,
    )
    for on in (True, False):
        crypto_periods = {KeyKind.DATA: CryptoPeriod(on=on, every=timedelta(days=7))}
        assert ends_by_schedule(data, crypto_periods) is on
        assert not ends_by_schedule(replace(data, state=KeyState.SUSPENDED), crypto_periods)


def test_a_retired_signing_key_keeps_no_private_half() -> None:
    assert not any(keeps_private(kind, KeyState.DESTROYED) for kind in KeyKind)
    assert {k for k in KeyKind if not keeps_private(k, KeyState.DEACTIVATED)} == PRODUCES_ONLY
    assert all(keeps_private(kind, KeyState.SUSPENDED) for kind in KeyKind)


def test_every_kind_has_a_lifetime() -> None:
    assert set(LIFETIMES) == set(KeyKind)
