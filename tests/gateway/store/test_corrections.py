"""Rows of corrections: what an older store holds moves as it is, and what was filed goes with its answer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, select, text

import gateway.store
from gateway.domain.correction import CorrectionKind
from gateway.domain.messages import Direction, Outcome, Purpose
from gateway.errors import InternalError
from gateway.law.retention_policy import RetentionClass
from gateway.store.address import open_store
from gateway.store.casework import corrections, outbound_queries
from gateway.store.correction_lifecycle import Correction, CorrectionPhase
from gateway.store.effects import Effect
from gateway.store.retention import due_data
from gateway.store.schema import asked, correction_papers, filed_notices
from gateway.store.schema import corrections as rows
from gateway.store.sqlite import SqliteEngine
from gateway.store.times import milliseconds

if TYPE_CHECKING:
    from tests.gateway.store.conftest import StoreFixture

NUMBER = "CAN-0001"


def one(store: StoreFixture, identifier: bytes = bytes(16)) -> Correction:
    return Correction(
        id=identifier,
        partner="AUS",
        direction=Direction.INBOUND,
        number=NUMBER,
        kind=CorrectionKind.WRONG_VALUE,
        state=CorrectionPhase.OPEN,
        opened_by="AUS",
        open=store.clock(),
        due=store.clock() + timedelta(hours=72),
    )


def of_revision(path: Path, revision: str) -> SqliteEngine:
    """Make a store as a release of that revision left it."""
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    database = SqliteEngine(path)
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.store.__path__[0]) / "migrations"))
    writer = database.take_writer()
    with writer.begin():
        config.attributes["connection"] = writer
        command.upgrade(config, revision)
    return database


def test_what_corrections_of_an_older_store_say_moves_out_of_their_rows(
    store: StoreFixture,
) -> None:
    """Nothing that was accepted is lost, and rounds and lists no longer read it."""
    correction = one(store)
    papers = corrections.Papers(b"a notice with a photograph", b"an envelope", 5)
    sealed = corrections.seal(store.data_key, correction, papers)
    database = of_revision(store.path, "0004")
    writer = database._writer
    assert writer is not None
    old = {
        "id": correction.id,
        "partner": "AUS",
        "direction": 1,
        "number": NUMBER,
        "kind": 2,
        "state": 1,
        "sealed": sealed,
        "opened_by": "AUS",
        "open_ms": milliseconds(correction.open),
        "due_ms": milliseconds(correction.due),
        "attempts": 0,
        "open_index": 0,
    }
    with writer.begin():
        writer.execute(insert(rows).values(**old))
        writer.execute(insert(rows).values(**{**old, "id": b"1" * 16, "state": 2, "sealed": None}))
        writer.execute(
            text(
                "INSERT INTO asked (partner, number, message_id, purpose, agreement, version, case_reference,"
                " state, ask_ms, asked_index) VALUES ('AUS', 'CAN-0001', x'00', 1, 'au', 1, 'C-1', 4, 1, 0)"
            )
        )
    database.close()

    with open_store(store.path).reader() as reader:
        found = corrections.find(reader, "AUS", correction.id, Direction.INBOUND)
        assert found is not None
        assert corrections.papers_of(reader, store.data_key, found) == papers
        assert reader.execute(select(rows.c.sealed)).scalars().all() == [None, None]
        assert len(reader.execute(select(correction_papers)).all()) == 1
        outbound_query = outbound_queries.find(reader, "AUS", NUMBER)
    assert outbound_query is not None
    assert outbound_query.received is None  # what came under it is read of its folder


def test_what_was_filed_beside_an_answer_is_erased_with_it(store: StoreFixture) -> None:
    sequencer, database = store.sequencer(), store.database()
    now, correction = store.clock(), one(store)
    sequencer.commit((), (_asked(store), corrections.filed(store.data_key, correction, b"n", now)))
    with database.reader() as reader:
        (identifier,) = corrections.notices_filed(reader, "AUS", NUMBER)
        until = {"": milliseconds(now) + 1}
        due = due_data.due(reader, RetentionClass.USED_RESULT, until, most=9)
        serial = retention_serial(reader)
    assert [each.key for each in due] == [("AUS", NUMBER)]

    sequencer.commit((), due_data.erase(RetentionClass.USED_RESULT, due, until, serial))

    with database.reader() as reader:
        assert reader.execute(select(filed_notices)).all() == []
        with pytest.raises(InternalError, match="does not open"):
            corrections.notice_filed(reader, store.data_key, "AUS", NUMBER, identifier)


def retention_serial(reader: object) -> int:
    from gateway.store.retention import holds

    return holds.standing(reader).serial  # type: ignore[arg-type]


def _asked(store: StoreFixture) -> Effect:
    now = milliseconds(store.clock())
    return Effect(
        insert(asked).values(
            partner="AUS",
            number=NUMBER,
            message_id=bytes(16),
            purpose=int(Purpose.VISA_PERMIT_BENEFIT),
            agreement="au",
            version=1,
            case_reference="C-1",
            state=5,
            outcome=int(Outcome.MATCH),
            sealed=b"sealed",
            ask_ms=now,
            answer_ms=now,
            used_ms=now,
            used_in="R-1",
            asked_index=0,
        )
    )
