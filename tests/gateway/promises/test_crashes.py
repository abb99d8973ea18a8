"""kill -9 between any two steps, a disk that fills, then a restart: what was acknowledged is never lost."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Answer, Outgoing, Partner, PartnerError
from gateway.config import load
from gateway.domain.messages import Outcome
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.store.address import open_store
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.keyset import Keyset
from tests.patience import CALL, PATIENCE
from tests.programs import Program, Programs

# The stages of a query in their order; each name is told when its step is over.
STAGES = [
    "header",
    "verify",
    "replay",
    "policy",
    "open",
    "admit",
    "record_request",
    "prepare",
    "search",
    "destroy",
    "seal",
    "record_response",
]

_SERVER = """
import faulthandler, os, resource, signal, sys
faulthandler.enable()
limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from pathlib import Path
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving

def observe(stage):
    if stage == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with Gateway.open(Path(sys.argv[1]), lambda: b"a passphrase for tests") as gateway:
    Serving(gateway, observe=observe).run(lambda where: print(where.exchange, flush=True))
"""


@pytest.fixture
def server(programs: Programs) -> Any:
    """Return what serves in a process of its own."""

    @contextmanager
    def serve(home: Path, die_at: str = "never", limit: int = 0) -> Iterator[tuple[str, Program]]:
        """Serve; `limit` is the size in bytes beyond which no file may grow."""
        said = home.parent / "server.log"
        process = programs.start(_SERVER, home, die_at, limit, stderr=said)
        try:
            port = process.stdout.readline().strip()
            assert port, (process.wait(timeout=PATIENCE), said.read_text()[-4000:])
            yield f"127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)
            process.stdout.close()

    return serve


@pytest.fixture
def asker(homes: Any, secret: Any) -> Any:
    home, asking = homes
    keyset = Keyset.load(
        asking / "keys" / "keyset.json", open_custody(f"file:{asking}/keys/kek.json", secret)
    )
    return lambda address: Partner.connect("AUS", keyset, own_bundle(home), address=address)


def entries(home: Path, message_id: bytes) -> Counter[EntryType]:
    database = open_store(load(home).store.path)
    try:
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(database)]
    finally:
        database.close()
    return Counter(frame.type for frame in frames if frame.message_id == message_id)


def ask_until_it_dies(partner: Partner, outgoing: Outgoing, process: Any) -> None:
    """Send a query to a server that will not survive it."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(partner.send, outgoing, deadline=CALL)
        assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
        partner.close()  # else it would go on trying until its deadline
        assert isinstance(sent.exception(timeout=PATIENCE), PartnerError)


@pytest.mark.parametrize("stage", STAGES)
def test_killed_after_a_step_a_query_is_answered_once(
    homes: Any, server: Any, asker: Any, people: Any, stage: str
) -> None:
    home = homes[0]
    with server(home, die_at=stage) as (address, process), asker(address) as partner:
        outgoing = partner.compose(people.samples(1), **people.matter())
        ask_until_it_dies(partner, outgoing, process)
    before = entries(home, outgoing.question.message_id)

    with server(home) as (address, _), asker(address) as partner:
        first = partner.send(outgoing)
        again = partner.send(outgoing)

    assert first.outcome is Outcome.MATCH
    assert again.receipt == first.receipt
    after = entries(home, outgoing.question.message_id)
    assert (after[EntryType.REQUEST], after[EntryType.RESPONSE]) == (1, 1)
    if stage == "record_response":  # it was decided before the crash, and is not decided again
        assert after == before
    assert self_check.verify_ledger(home).ok


def test_an_orphan_whose_message_is_over_is_abandoned(
    homes: Any, server: Any, asker: Any, people: Any, monkeypatch: Any
) -> None:
    """Protocol 8: with no retry in the window, start-up writes ABANDONED and releases the quota."""
    from datetime import timedelta

    from gateway.server import application as rooms

    home = homes[0]
    with server(home, die_at="search") as (address, process), asker(address) as partner:
        outgoing = partner.compose(people.samples(1), **people.matter())
        ask_until_it_dies(partner, outgoing, process)

    now = rooms.utc_now
    monkeypatch.setattr(rooms, "utc_now", lambda: now() + timedelta(minutes=30))
    with rooms.Gateway.open(home, lambda: b"a passphrase for tests") as opened:
        from gateway.exchange.abandonment import sweep

        assert sweep(opened.database, opened.sequencer, rooms.utc_now()) == 1

    found = entries(home, outgoing.question.message_id)
    assert found == {EntryType.REQUEST: 1, EntryType.ABANDONED: 1}
    assert self_check.verify_ledger(home).ok


def test_a_full_disk_answers_nothing_and_loses_nothing(
    homes: Any, server: Any, asker: Any, people: Any
) -> None:
    """Protocol 8: no ledger write, no answer; after a failed write the process exits."""
    home = homes[0]
    store = load(home).store.path
    answered: list[Answer] = []
    with (
        server(home, limit=store.stat().st_size + 400_000) as (address, process),
        asker(address) as partner,
        ThreadPoolExecutor(1) as pool,
    ):
        failed = pool.submit(_ask_until_it_fails, partner, people, answered)
        assert process.wait(timeout=PATIENCE) != 0
        partner.close()  # else it would go on trying until its deadline
        assert isinstance(failed.exception(timeout=PATIENCE), PartnerError)

    with server(home) as (address, _), asker(address) as partner:
        for answer in answered:
            assert partner.state(answer.transaction_number).result == answer.result
    assert self_check.verify_ledger(home).ok


def _ask_until_it_fails(partner: Partner, people: Any, answered: list[Answer]) -> None:
    for _ in range(200):
        answered.append(partner.query(people.samples(1), deadline=CALL, **people.matter()))  # noqa: PERF401 - kept when it fails


def test_a_serving_gateway_leaves_no_core_image(homes: Any, server: Any) -> None:
    """keys.md 11: core limit 0; the process is not readable by others of its user."""
    with server(homes[0]) as (_, process):
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        core = next(line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
