"""What is held stays, whatever is due; what is not held goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans, fixed_dictionaries, integers, lists, sampled_from
from sqlalchemy import insert, update

from gateway.domain.hold import HoldKind
from gateway.errors import InternalError, UserError
from gateway.law.retention_policy import TWO_YEARS, RetentionClass, Schedule
from gateway.store.dated_rulings import RulingState
from gateway.store.retention import due_data, holds
from gateway.store.retention.holds import Named
from gateway.store.schema import subjects, transactions
from gateway.store.times import milliseconds

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart, StoreFixture
    from tests.gateway.store.retention.conftest import Keeper


@pytest.fixture(scope="session")
def make(store_of: Any, counter_of: Any, keeper_of: Any) -> tuple[Any, Any, Any]:
    """Return the makers of a store, a counter and what erases."""
    return store_of, counter_of, keeper_of


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (HoldKind.PERSON, "P-5"),
        (HoldKind.TRANSACTION, "AUS/AUS-0001"),
        (HoldKind.PARTNER, "AUS"),
        (HoldKind.EVERYTHING, ""),
    ],
)
def test_a_hold_keeps_all_that_it_names_until_it_is_released(
    keeper: Keeper, kind: HoldKind, reference: str
) -> None:
    """Privacy Regulations s. 4(1): kept until rights are exhausted."""
    keeper.put(insert(subjects).values(id=5, reference="P-5"))
    keeper.query(1, "AUS-0001", subject=5)
    keeper.put(keeper.disclosure_row("AUS-0001", milliseconds(keeper.clock()), 5, "AUS-0009"))
    keeper.detail(number="AUS-0001")
    keeper.detail(number="AUS-0009")  # the request for details, under its own number
    one = keeper.hold(kind, reference)
    keeper.clock.move(days=800)

    held = keeper.run()
    survey = {each.kept: each for each in keeper.store.survey()}

    assert held == {}
    assert survey[RetentionClass.TRANSACTION].held == {one.id: 1}
    assert survey[RetentionClass.EXCHANGE_DETAIL].held == {one.id: 2}
    assert keeper.store.late() == {}
    keeper.release(one)
    assert keeper.run() == {
        "REPLY": 1,
        "HIT_REFERENCE": 1,
        "EXCHANGE_DETAIL": 2,
        "DISCLOSURE": 1,
        "TRANSACTION": 1,
    }
    assert keeper.whole() == []


def test_a_hold_keeps_nothing_that_it_does_not_name(keeper: Keeper) -> None:
    keeper.put(insert(subjects).values(id=5, reference="P-5"))
    keeper.query(1, "AUS-0001", subject=5)
    keeper.query(2, "AUS-0002", subject=6)
    keeper.hold(HoldKind.PERSON, "P-5")
    keeper.clock.move(days=800)

    assert keeper.run()["TRANSACTION"] == 1
    assert keeper.counter.row("AUS-0001") is not None
    assert keeper.counter.row("AUS-0002") is None


def test_a_hold_placed_between_look_and_commit_is_kept(keeper: Keeper) -> None:
    """The commit itself demands that no hold came since."""
    keeper.query(1, "AUS-0001")
    keeper.clock.move(days=800)
    with keeper.database.reader() as reader:
        until = due_data.cutoffs(reader, RetentionClass.TRANSACTION, Schedule(), keeper.clock())
        items = due_data.due(reader, RetentionClass.TRANSACTION, until, most=10)
        serial = holds.standing(reader).serial
    keeper.hold(HoldKind.PARTNER, "AUS")

    with pytest.raises(due_data.Moved):
        keeper.sequencer.commit(
            [], due_data.erase(RetentionClass.TRANSACTION, items, until, serial)
        )

    assert keeper.counter.row() is not None


def test_the_rows_of_holds_keep_to_the_table_too(keeper: Keeper) -> None:
    one = keeper.hold(HoldKind.PARTNER, "AUS")
    with pytest.raises(InternalError):
        keeper.hold(HoldKind.PARTNER, "AUS")
    keeper.release(one)
    with pytest.raises(UserError):
        keeper.release(one)
    with keeper.database.reader() as reader:
        (found,) = holds.every(reader)
        assert found.state is RulingState.ENDED
        assert holds.standing(reader).keeps(Named("AUS")) is None


_ROW = fixed_dictionaries({"age": integers(0, 900), "subject": integers(1, 4)})
_HOLD = fixed_dictionaries(
    {
        "kind": sampled_from(HoldKind),
        "which": integers(0, 5),
        "released": booleans(),
    }
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=lists(_ROW, max_size=6), orders=lists(_HOLD, max_size=3), batches=integers(1, 3))
def test_nothing_held_goes_and_all_that_is_due_and_free_goes(
    tmp_path_factory: pytest.TempPathFactory,
    make: tuple[
        Callable[[Path], StoreFixture], Callable[[StoreFixture], Counterpart], Callable[..., Keeper]
    ],
    rows: list[dict[str, int]],
    orders: list[dict[str, Any]],
    batches: int,
) -> None:
    store_of, counter_of, keeper_of = make
    store = store_of(tmp_path_factory.mktemp("walk"))
    try:
        keeper = keeper_of(counter_of(store))
        keeper.put(*(insert(subjects).values(id=n, reference=f"P-{n}") for n in range(1, 5)))
        start = keeper.clock()
        for number, row in enumerate(rows):
            keeper.query(number + 1, f"AUS-{number:04}", row["subject"])
            made = milliseconds(start - timedelta(days=row["age"]))
            mine = transactions.c.number == f"AUS-{number:04}"
            keeper.put(update(transactions).where(mine).values(receive_ms=made))
        for number, one in enumerate(orders):
            names = {
                HoldKind.PERSON: f"P-{one['which'] % 4 + 1}",
                HoldKind.TRANSACTION: f"AUS/AUS-{one['which']:04}",
                HoldKind.PARTNER: ("AUS", "GBR")[one["which"] % 2],
                HoldKind.EVERYTHING: "",
            }
            placed = keeper.hold(one["kind"], names[one["kind"]], str(number))
            if one["released"]:
                keeper.release(placed)

        while keeper.run(batches):
            pass
        again = keeper.run()

        for number, row in enumerate(rows):
            name = f"AUS-{number:04}"
            held = any(_names(one, row["subject"], number) for one in orders if not one["released"])
            gone = keeper.counter.row(name) is None
            assert gone == (timedelta(days=row["age"]) >= TWO_YEARS and not held)
        assert again == {}
        assert keeper.whole() == []
    finally:
        store.close()


def _names(one: dict[str, Any], subject: int, number: int) -> bool:
    return {
        HoldKind.PERSON: one["which"] % 4 + 1 == subject,
        HoldKind.TRANSACTION: one["which"] == number,
        HoldKind.PARTNER: one["which"] % 2 == 0,
        HoldKind.EVERYTHING: True,
    }[one["kind"]]
