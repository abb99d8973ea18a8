"""What a partner, or an unknown caller with a certificate, can do to the gateway as a whole."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from gateway.client import Refused
from gateway.client.channel import open_channel
from gateway.domain.messages import Modality, Outcome, SignedEnvelope
from gateway.errors import EngineUnavailable
from gateway.exchange.rate_limits import STANDING
from gateway.exchange.refusal_counter import RECORDED
from gateway.ledger.entry import EntryClass, EntryType, decode
from gateway.matching.finger import FingerProbe
from gateway.server import self_check
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from matcher.finger.template import Minutiae
from tests.patience import CALL, PATIENCE


def entries(pair: Any, start: int) -> list[tuple[EntryType, EntryClass]]:
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, start)]
    return [(frame.type, frame.entry_class) for frame in frames]


def test_headers_without_bodies_hold_no_thread(pair: Any, people: Any) -> None:
    """A unary handler would wait for each body in a worker thread; thirty of them would stop the gateway."""

    answered = threading.Event()

    def never() -> Iterator[bytes]:
        answered.wait(PATIENCE)
        yield b""

    partner = pair.partner()
    partner.query(people.samples(1), **people.matter())
    key, chain = pair.keyset.tls()
    roots = own_bundle(pair.home).tls_ca_pem
    with open_channel(pair.address, roots=roots, private_key=key, chain=chain) as channel:
        call = channel.stream_unary("/gateway.v1.ExchangeService/SubmitQuery")
        held = [call.future(never(), timeout=None) for _ in range(28)]
        time.sleep(0.5)

        answer = partner.query(people.samples(1), deadline=CALL, **people.matter())
        answered.set()

        assert answer.outcome is Outcome.MATCH
        assert all(one.code() is grpc.StatusCode.INVALID_ARGUMENT for one in held)


def test_two_messages_in_one_call(shared_forger: Any) -> None:
    pair = shared_forger.pair
    key, chain = pair.keyset.tls()
    roots = own_bundle(pair.home).tls_ca_pem
    with open_channel(pair.address, roots=roots, private_key=key, chain=chain) as channel:
        call = channel.stream_unary("/gateway.v1.ExchangeService/SubmitQuery")
        with pytest.raises(grpc.RpcError) as caught:
            call(iter([b"", b""]), timeout=CALL)
    assert shared_forger.verdict(caught.value) == ("INVALID_ARGUMENT", "HEADER_INVALID")


def test_an_engine_that_fails_once_leaves_a_whole_ledger(
    pair: Any, people: Any, monkeypatch: Any
) -> None:
    """Protocol 4: whatever ends a call after 14 still runs 18; the retry owes a destruction of its own."""
    engine = pair.serving.engines.by_modality[Modality.FINGER]
    search, failed = engine.search, []

    def once(*given: Any, **named: Any) -> Any:
        if not failed:
            failed.append(True)
            raise EngineUnavailable
        return search(*given, **named)

    monkeypatch.setattr(engine, "search", once)
    size = pair.gateway.sequencer.size

    answer = pair.partner().query(people.samples(1), **people.matter())

    assert (answer.outcome, answer.attempts) == (Outcome.MATCH, 2)
    assert entries(pair, size) == [
        (EntryType.REQUEST, EntryClass.ACCEPTED),
        (EntryType.DESTRUCTION, EntryClass.OTHER),
        (EntryType.REFUSAL, EntryClass.OTHER),
        (EntryType.DESTRUCTION, EntryClass.OTHER),
        (EntryType.RESPONSE, EntryClass.ANSWERED),
    ]
    assert self_check.verify_ledger(pair.home).ok


@pytest.mark.parametrize("place", ["prepare", "search"])
def test_an_exception_in_the_search_destroys_the_prints_and_is_recorded(
    pair: Any, people: Any, monkeypatch: Any, place: str
) -> None:
    seen: list[Minutiae] = []

    def broken(probe: FingerProbe, *_: object, **__: object) -> None:
        seen.extend(minutiae for _, minutiae in probe.minutiae)
        raise RuntimeError("canary")

    monkeypatch.setattr(pair.serving.engines.by_modality[Modality.FINGER], place, broken)
    size = pair.gateway.sequencer.size

    with pytest.raises(Refused) as refused:
        pair.partner().query(people.samples(1), **people.matter())

    assert (refused.value.code, "canary" in str(refused.value)) == ("INTERNAL", False)
    assert entries(pair, size) == [
        (EntryType.REQUEST, EntryClass.ACCEPTED),
        (EntryType.DESTRUCTION, EntryClass.OTHER),
        (EntryType.REFUSAL, EntryClass.OTHER),
    ]
    assert seen
    assert not any(minutiae.xy.any() for minutiae in seen)


def test_a_partner_removed_during_his_query_still_leaves_an_end(
    homes: Any, people: Any, serve: Any
) -> None:
    def observe(stage: str) -> None:
        if stage == "search":
            (homes[0] / "parties" / "AUS.json").unlink(missing_ok=True)

    with serve(*homes, observe) as pair:
        size = pair.gateway.sequencer.size
        answer = pair.partner().query(people.samples(1), **people.matter())
        kinds = [kind for kind, _ in entries(pair, size)]

    assert answer.outcome is Outcome.MATCH  # it was lawful when it was recorded
    assert kinds.count(EntryType.RESPONSE) == 1


def test_nothing_holds_the_records_once_their_destruction_is_written(
    homes: Any, people: Any, serve: Any
) -> None:
    """IRPR 315.43(2): what the ledger calls destroyed is referenced by nothing in the process."""
    probe = people.samples(1)
    needles = [sample.data for sample in probe]
    held: dict[str, int] = {}

    def observe(stage: str) -> None:
        if stage in {"destroy", "seal", "record_response"}:
            held[stage] = _in_frames(needles)

    with serve(*homes, observe) as pair:
        partner = pair.partner()
        outgoing = partner.compose(probe, **people.matter())
        del probe
        partner.send(outgoing)

    assert held == {"destroy": 0, "seal": 0, "record_response": 0}


def _in_frames(needles: list[bytes]) -> int:
    """Count locals of the pipeline's frames, and what they refer to, that hold a record."""
    found = 0
    frame = sys._getframe(1)
    while frame is not None:
        if "tests" not in Path(frame.f_code.co_filename).parts:
            found += sum(_holds(value, needles) for value in frame.f_locals.values())
        frame = frame.f_back
    return found


def _holds(value: object, needles: list[bytes], depth: int = 4) -> bool:
    if isinstance(value, bytes):
        return any(needle in value for needle in needles)
    if depth == 0 or isinstance(value, (str, int, float, type(None), type)):
        return False
    if isinstance(value, dict):
        return any(_holds(each, needles, depth - 1) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds(each, needles, depth - 1) for each in value)
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    names = [*slots, *getattr(value, "__dict__", {})]
    return any(_holds(getattr(value, name, None), needles, depth - 1) for name in names)


def test_signed_junk_beyond_the_allowance_is_counted_not_recorded(pair: Any, people: Any) -> None:
    """A flood of refusals must not fill the disk; what is left out is in a summary (ADR 12)."""
    forger = people.forger(pair)
    envelope = forger.compose()
    size = pair.gateway.sequencer.size

    for _ in range(RECORDED + 40):
        with pytest.raises(Exception, match="accepted"):
            pair.serving.pipeline.handle(
                people.call(SignedEnvelope(envelope.header, envelope.sealed, bytes(3373)))
            )

    written = pair.gateway.sequencer.size - size
    assert RECORDED <= written <= 2 * RECORDED + 2  # the minute may turn once meanwhile
    pair.serving.run_jobs()
    assert (EntryType.REFUSAL_SUMMARY, EntryClass.DENIED) in entries(pair, size)


def test_calls_without_a_legal_quota_have_an_allowance(pair: Any, people: Any) -> None:
    partner = pair.partner()
    number = partner.query(people.samples(1), **people.matter()).transaction_number

    with pytest.raises(Refused) as refused:
        _ask_often(partner, number)

    assert refused.value.reason == "RATE_LIMITED"


def _ask_often(partner: Any, number: str) -> None:
    for _ in range(2 * STANDING + 2):  # the minute may turn once meanwhile
        partner.state(number)
