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
    from tests.gateway.store.retention.conftest import ErasingGateway


@pytest.fixture(scope="session")
def make(store_of: Any, counter_of: Any, erasing_of: Any) -> tuple[Any, Any, Any]:
    """Return the makers of a store, a counter and what erases."""
    return store_of, counter_of, erasing_of


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
    erasing: ErasingGateway, kind: HoldKind, reference: str
) -> None:
    """Privacy Regulations s. 4(1): kept until rights are exhausted."""
    erasing.put(insert(subjects).values(id=5, reference="P-5"))
    erasing.query(1, "AUS-0001", subject=5)
    erasing.put(erasing.disclosure_row("AUS-0001", milliseconds(erasing.clock()), 5, "AUS-0009"))
    erasing.detail(number="AUS-0001")
    erasing.detail(number="AUS-0009")  # the request for details, under its own number
    one = erasing.hold(kind, reference)
    erasing.clock.move(days=800)

    held = erasing.run()
    survey = {each.kept: each for each in erasing.store.survey()}

    assert held == {}
    assert survey[RetentionClass.TRANSACTION].held == {one.id: 1}
    assert survey[RetentionClass.EXCHANGE_DETAIL].held == {one.id: 2}
    assert erasing.store.late() == {}
    erasing.release(one)
    assert erasing.run() == {
        "REPLY": 1,
        "HIT_REFERENCE": 1,
        "EXCHANGE_DETAIL": 2,
        "DISCLOSURE": 1,
        "TRANSACTION": 1,
    }
    assert erasing.whole() == []


def test_a_hold_keeps_nothing_that_it_does_not_name(erasing: ErasingGateway) -> None:
    erasing.put(insert(subjects).values(id=5, reference="P-5"))
    erasing.query(1, "AUS-0001", subject=5)
    erasing.query(2, "AUS-0002", subject=6)
    erasing.hold(HoldKind.PERSON, "P-5")
    erasing.clock.move(days=800)

    assert erasing.run()["TRANSACTION"] == 1
    assert erasing.counter.row("AUS-0001") is not None
    assert erasing.counter.row("AUS-0002") is None


def test_a_hold_placed_between_look_and_commit_is_kept(erasing: ErasingGateway) -> None:
    """The commit itself demands that no hold came since."""
    erasing.query(1, "AUS-0001")
    erasing.clock.move(days=800)
    with erasing.database.reader() as reader:
        until = due_data.cutoffs(reader, RetentionClass.TRANSACTION, Schedule(), erasing.clock())
        items = due_data.due(reader, RetentionClass.TRANSACTION, until, most=10)
        serial = holds.standing(reader).serial
    erasing.hold(HoldKind.PARTNER, "AUS")

    with pytest.raises(due_data.Moved):
        erasing.sequencer.commit(
            [], due_data.erase(RetentionClass.TRANSACTION, items, until, serial)
        )

    assert erasing.counter.row() is not None


def test_the_rows_of_holds_keep_to_the_table_too(erasing: ErasingGateway) -> None:
    one = erasing.hold(HoldKind.PARTNER, "AUS")
    with pytest.raises(InternalError):
        erasing.hold(HoldKind.PARTNER, "AUS")
    erasing.release(one)
    with pytest.raises(UserError):
        erasing.release(one)
    with erasing.database.reader() as reader:
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
        Callable[[Path], StoreFixture],
        Callable[[StoreFixture], Counterpart],
        Callable[..., ErasingGateway],
    ],
    rows: list[dict[str, int]],
    orders: list[dict[str, Any]],
    batches: int,
) -> None:
    store_of, counter_of, erasing_of = make
    store = store_of(tmp_path_factory.mktemp("walk"))
    try:
        erasing = erasing_of(counter_of(store))
        erasing.put(*(insert(subjects).values(id=n, reference=f"P-{n}") for n in range(1, 5)))
        start = erasing.clock()
        for number, row in enumerate(rows):
            erasing.query(number + 1, f"AUS-{number:04}", row["subject"])
            made = milliseconds(start - timedelta(days=row["age"]))
            mine = transactions.c.number == f"AUS-{number:04}"
            erasing.put(update(transactions).where(mine).values(receive_ms=made))
        for number, one in enumerate(orders):
            names = {
                HoldKind.PERSON: f"P-{one['which'] % 4 + 1}",
                HoldKind.TRANSACTION: f"AUS/AUS-{one['which']:04}",
                HoldKind.PARTNER: ("AUS", "GBR")[one["which"] % 2],
                HoldKind.EVERYTHING: "",
            }
            placed = erasing.hold(one["kind"], names[one["kind"]], str(number))
            if one["released"]:
                erasing.release(placed)

        while erasing.run(batches):
            pass
        again = erasing.run()

        for number, row in enumerate(rows):
            name = f"AUS-{number:04}"
            held = any(_names(one, row["subject"], number) for one in orders if not one["released"])
            gone = erasing.counter.row(name) is None
            assert gone == (timedelta(days=row["age"]) >= TWO_YEARS and not held)
        assert again == {}
        assert erasing.whole() == []
    finally:
        store.close()


def _names(one: dict[str, Any], subject: int, number: int) -> bool:
    return {
        HoldKind.PERSON: one["which"] % 4 + 1 == subject,
        HoldKind.TRANSACTION: one["which"] == number,
        HoldKind.PARTNER: one["which"] % 2 == 0,
        HoldKind.EVERYTHING: True,
    }[one["kind"]]
