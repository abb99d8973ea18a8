"""A hold on a person keeps the queries that found the person, though only a sealed row says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from gateway.admin.operation import Officer
from gateway.law.retention_policy import RetentionClass
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.store.ledger import stored_ledger
from gateway.store.schema import detail_keys, transactions

OPERATOR = Officer("P-1", frozenset({Role.OPERATOR}))
TWO = Officer("P-1", frozenset({Role.OPERATOR}), second="P-9")


def test_a_hold_on_a_person_keeps_the_queries_that_found_the_person(pair: Any, people: Any) -> None:
    """Privacy Regulations s. 4(1), for an access request that comes when the hit references are gone."""
    gateway, ahead = pair.gateway, [timedelta(days=31)]
    gateway.retention.erasure._clock = lambda: datetime.now(UTC).replace(microsecond=0) + ahead[0]
    found = pair.partner().query(people.samples(1), **people.matter())
    other = pair.partner().query(people.samples(2), **people.matter())
    assert gateway.retention.erasure.run(batches=50).erased[RetentionClass.HIT_REFERENCE] == 2
    hold = {"kind": "person", "reference": "P-1", "reason": "access request 14"}
    placed = gateway.admin.perform(OPERATOR, "hold.place", hold)

    ahead[0] = timedelta(days=740)
    done = gateway.retention.erasure.run(batches=50).erased

    assert (done[RetentionClass.TRANSACTION], done[RetentionClass.EXCHANGE_DETAIL]) == (1, 3)
    with gateway.database.reader() as reader:
        left = set(reader.execute(select(transactions.c.number)).scalars())
        keys = set(reader.execute(select(detail_keys.c.idx)).scalars())
    assert left == {found.transaction_number}
    of = {
        index: decode(leaf).transaction_number
        for index, leaf in enumerate(stored_ledger.iter_leaves(gateway.database))
        if decode(leaf).type in {EntryType.REQUEST, EntryType.DESTRUCTION, EntryType.RESPONSE}
    }
    assert {of[index] for index in keys if index in of} == {found.transaction_number}
    assert other.transaction_number not in left

    gateway.admin.perform(TWO, "hold.release", {"hold": placed["hold"], "reason": "answered"})
    assert gateway.retention.erasure.run(batches=50).erased[RetentionClass.TRANSACTION] == 1
    assert self_check.verify_ledger(pair.home).ok
