"""A key of a partner that is refused in one process over a store is refused in every other at its next check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from gateway.errors import AuditUnavailable, UserError
from gateway.keymanagement.blocklist import Blocklist
from gateway.ledger.entry import EntryType, decode
from gateway.store import change_feed
from gateway.store.engine import StorageEngine
from gateway.store.keys import blocklist
from gateway.store.ledger import stored_ledger
from gateway.store.schema import changes

if TYPE_CHECKING:
    from gateway.store.ledger.sequencer import Sequencer
    from tests.gateway.store.conftest import StoreFixture

STOLEN, OTHER = bytes([7]) * 32, bytes([8]) * 32

# A process of its own over the same store: says at each line that it is sent what it refuses of Australia.
PROGRAM = """
import sys
from pathlib import Path
from gateway.keymanagement.blocklist import Blocklist
from gateway.store.address import open_store
beside = Blocklist(open_store(Path(sys.argv[1])), None)
for _ in sys.stdin:
    print(*sorted(kid.hex() for kid in beside.of("AUS")), flush=True)
"""


class Here:
    """The blocklist of a process that writes."""

    def __init__(self, store: StoreFixture, database: StorageEngine, sequencer: Sequencer) -> None:
        self.store, self.sequencer = store, sequencer
        self.blocklist = Blocklist(database, sequencer)

    def refuse(self, kid: bytes = STOLEN, party: str = "AUS") -> bool:
        leaf = self.store.leaf(EntryType.ALARM)
        return self.blocklist.refuse(party, kid, leaf, now=self.store.clock(), actor="P-1")

    def believe(self, kid: bytes = STOLEN) -> None:
        self.blocklist.believe("AUS", kid, self.store.leaf(EntryType.ALARM))


@pytest.fixture
def database(store: StoreFixture) -> StorageEngine:
    return store.database()


@pytest.fixture
def here(store: StoreFixture, database: StorageEngine) -> Here:
    return Here(store, database, store.sequencer(database))


@pytest.fixture
def beside(store: StoreFixture, here: Here) -> Blocklist:
    """Return the blocklist of another opening of the store, which has looked once."""
    other = Blocklist(store.database(), here.sequencer)
    assert other.of("AUS") == frozenset()
    return other


def test_what_one_opening_refuses_the_other_refuses_at_its_next_check(
    here: Here, beside: Blocklist
) -> None:
    assert here.refuse()

    assert beside.of("AUS") == here.blocklist.of("AUS") == {STOLEN}
    assert beside.of("NZL") == frozenset()


def test_what_one_opening_believes_again_the_other_does_too(here: Here, beside: Blocklist) -> None:
    here.refuse()
    here.refuse(OTHER)
    assert beside.of("AUS") == {STOLEN, OTHER}

    here.believe()

    assert beside.of("AUS") == here.blocklist.of("AUS") == {OTHER}


@pytest.fixture
def process(store: StoreFixture, here: Here) -> Iterator[subprocess.Popen[str]]:
    del here  # the store is there
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, store.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as beside:
        yield beside
        assert beside.stdin is not None
        beside.stdin.close()


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("look\n")
    process.stdin.flush()
    return process.stdout.readline().split()


def test_another_process_refuses_at_its_next_check_and_needs_no_restart(
    here: Here, process: subprocess.Popen[str]
) -> None:
    before = said(process)
    here.refuse()
    during = said(process)
    here.believe()
    after = said(process)

    assert (before, during, after) == ([], [STOLEN.hex()], [])


def test_two_that_refuse_the_same_key_record_it_once(here: Here, beside: Blocklist) -> None:
    leaf = here.store.leaf(EntryType.ALARM)
    assert beside.refuse("AUS", STOLEN, leaf, now=here.store.clock(), actor="P-2")

    assert not here.refuse()

    leaves = list(stored_ledger.iter_leaves(here.sequencer._database))
    assert [decode(each).type for each in leaves] == [EntryType.ALARM]


def test_what_was_never_refused_is_not_believed_again(here: Here) -> None:
    with pytest.raises(UserError, match="not refused"):
        here.believe()


def test_a_refusal_that_the_ledger_did_not_take_holds_here(here: Here, beside: Blocklist) -> None:
    """The other way round a stolen key would be believed for as long as the disk is full."""
    here.sequencer.close()

    with pytest.raises(AuditUnavailable):
        here.refuse()

    assert here.blocklist.of("AUS") == {STOLEN}
    assert beside.of("AUS") == frozenset()


def test_a_store_that_cannot_be_read_believes_no_key(
    here: Here, database: StorageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is not what holds now."""
    here.refuse()
    here.blocklist.of("AUS")

    def broken() -> None:
        raise DBAPIError("SELECT", None, OSError("disk I/O error"))

    monkeypatch.setattr(database, "reader", broken)

    with pytest.raises(DBAPIError):
        here.blocklist.of("AUS")


def test_the_keys_are_read_again_only_where_the_feed_moved(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.refuse()
    here.blocklist.of("AUS")
    monkeypatch.delattr(blocklist, "blocked_by_party")

    assert here.blocklist.of("AUS") == {STOLEN}


def test_changes_are_numbered_in_their_order_and_none_goes(
    here: Here, database: StorageEngine
) -> None:
    here.refuse()
    here.refuse(OTHER)
    assert not here.refuse()  # no change, no number
    here.believe()

    with database.reader() as reader:
        rows = [tuple(row) for row in reader.execute(select(changes).order_by(changes.c.number))]
        assert change_feed.newest(reader) == 3
    assert rows == [(number, "blocked_key") for number in (1, 2, 3)]
