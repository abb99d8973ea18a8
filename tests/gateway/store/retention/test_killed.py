"""kill -9 between any two statements of a run: nothing is half erased, and the next run ends it."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from gateway.law.retention_policy import RetentionClass
from gateway.ledger.crypto_shredding import Erased
from gateway.ledger.entry import EntryType
from gateway.store.retention.data_classes import DATA_CLASSES
from gateway.store.times import milliseconds

if TYPE_CHECKING:
    from tests.gateway.store.conftest import Counterpart
    from tests.gateway.store.retention.conftest import ErasingGateway
    from tests.programs import Programs

_RUN = """
import os, signal, sqlite3, sys
from datetime import datetime
from pathlib import Path
from gateway.ledger.signed_note import LogIdentity
from gateway.law.agreement import AgreementsInForce
from gateway.exercises.crashtest.fixed_keys import FixedKeys
from gateway.retention import erasure as retention
from gateway.store.sqlite import open_file
from gateway.store.ledger.sequencer import Sequencer
from gateway.watchdog import Watchdog
from keys.envelope import OpeningKey, SealingKey
from keys.signatures import LogKey

left = int(sys.argv[2])
now = datetime.fromisoformat(sys.argv[3])
armed = False

def count(statement):
    global left
    if armed and statement.startswith(("DELETE", "UPDATE", "INSERT", "COMMIT", "RELEASE")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

def connect(*args, **kwargs):
    connection = sqlite3.connect(*args, **kwargs)
    connection.set_trace_callback(count)
    return connection

retention.BATCH = 2
database = open_file(Path(sys.argv[1]), connect=connect)
key = LogKey.from_seed(bytes(range(64)))
log = LogIdentity.from_log_key("gateway.can.example/exchange-log", key)
auditor = SealingKey(OpeningKey.from_seed(bytes(32)).public)
sequencer = Sequencer(database, FixedKeys([key], auditor), log, lambda: now)
sequencer.start()
armed = True
erasing = retention.Retention(
    database, sequencer, None, AgreementsInForce({}), lambda: now, Watchdog(60.0)
)
erasing.run(batches=99)
print("done", flush=True)
sequencer.close()
database.close()
"""

CLASSES = (
    RetentionClass.REPLY,
    RetentionClass.TRANSACTION,
    RetentionClass.UNUSED_RESULT,
    RetentionClass.EXCHANGE_DETAIL,
)


def there(erasing: ErasingGateway) -> Counter[RetentionClass]:
    with erasing.database.reader() as reader:
        return Counter(
            {
                kept: reader.execute(
                    select(func.count()).select_from(data_class.table).where(data_class.ripe)
                ).scalar()
                for kept, data_class in DATA_CLASSES.items()
                if kept in CLASSES
            }
        )


def told(erasing: ErasingGateway) -> Counter[RetentionClass]:
    found: Counter[RetentionClass] = Counter()
    for reference in erasing.entries(EntryType.RETENTION):
        found[RetentionClass[reference.split("/")[0]]] += int(reference.rsplit("/", 1)[1])
    return found


@pytest.mark.parametrize("step", [1, 3, 6, 9, 15, 24])
def test_killed_anywhere_a_run_is_half_done_and_no_batch_is(
    counter: Counterpart, erasing_of: Any, programs: Programs, step: int
) -> None:
    erasing: ErasingGateway = erasing_of(counter)
    path: Path = counter.store.path
    for number in range(1, 5):
        erasing.query(number, f"AUS-000{number}")
        erasing.detail()
    now = milliseconds(erasing.clock())
    erasing.put(*(erasing.asked_row(f"A-0000000{n}", now) for n in range(3)))
    before = there(erasing)
    counter.store.close()
    erasing.clock.move(days=731)

    run = programs.run(_RUN, path, step, erasing.clock().isoformat())

    assert run.returncode == -signal.SIGKILL, run.stderr
    counter.sequencer = counter.store.sequencer()
    erasing = erasing_of(counter)
    assert before - there(erasing) == told(erasing)
    assert erasing.whole() == []
    erasing.run()
    assert not +there(erasing)
    assert told(erasing)[RetentionClass.EXCHANGE_DETAIL] == before[RetentionClass.EXCHANGE_DETAIL]
    assert erasing.whole() == []


def test_a_reference_is_written_one_way() -> None:
    assert Erased("EXCHANGE_DETAIL", 3, 5, 9).reference() == "EXCHANGE_DETAIL/5-9/3"
