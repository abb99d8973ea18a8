"""One partner at its limit, or an unidentified caller beyond it: what they hold is bounded, and the next caller is answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Outcome, Purpose
from gateway.errors import EngineUnavailable, RateLimited, Refusal, TooManyCalls
from gateway.law.quota_policy import poor_allowance
from gateway.ledger.entry import EntryType, decode
from gateway.server.listener import interceptor
from gateway.server.listener.admission import ADDRESSES, Admission, Limits, Unidentified
from gateway.server.listener.connection_limits import address_of
from gateway.server.rpc.exchange import ExchangeAccess
from gateway.store.ledger import stored_ledger
from gateway.trust.partners import own_bundle
from gateway.v1 import exchange_pb2
from gateway.wire import signed_envelope
from keys.certificates import TlsKey, issue_leaf, private_key_pem

GIVE_UP = 50.0  # seconds that something which must happen may take on a slow machine
LIMITS = Limits(calls=2, rate=1.0, burst=5, shortest=0.1, longest=60.0)
SUBMIT = "/gateway.v1.ExchangeService/SubmitQuery"


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + GIVE_UP
    while not true():
        if time.monotonic() > end:
            pytest.fail("it did not happen")
        time.sleep(0.01)


def configure(home: Any, text: str) -> None:
    settings = home / "passerelle.toml"
    old = settings.read_text()
    if "quantum_floor_ms" in text:
        old = old.replace("quantum_floor_ms = 50\n", "")
    settings.write_text(old.replace("[exchange]", f"[exchange]\n{text}"))


@contextmanager
def raw(pair: Any, *options: tuple[str, int]) -> Iterator[grpc.Channel]:
    """Yield a channel of the partner's own, with options of gRPC that an honest client does not set."""
    key, chain = pair.keyset.tls()
    credentials = grpc.ssl_channel_credentials(own_bundle(pair.home).tls_ca_pem, key, chain)
    with grpc.secure_channel(pair.address, credentials, options=options) as channel:
        yield channel


def octets(forger: Any) -> bytes:
    envelope = signed_envelope.envelope_of(forger.compose())
    return exchange_pb2.SubmitQueryRequest(envelope=envelope).SerializeToString()


def test_a_copy_is_answered_from_what_is_stored_until_its_share_is_used_up(
    homes: Any, serve: Any, people: Any
) -> None:
    configure(homes[0], "copies_per_second = 0.001\ncopies_burst = 3")
    with serve(*homes) as pair:
        forger = people.forger(pair)
        signed = forger.compose()
        answers = {forger.send(signed).SerializeToString()}
        size = pair.gateway.sequencer.size
        answers |= {forger.send(signed).SerializeToString() for _ in range(3)}
        assert len(answers) == 1

        with pytest.raises(grpc.RpcError) as caught:
            forger.send(signed)

        assert forger.verdict(caught.value) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
        assert (
            pair.gateway.sequencer.size == size
        )  # neither a copy nor its refusal is an entry of its own
        assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH


def test_a_copy_beyond_its_share_is_refused_before_its_signature_is_verified(
    homes: Any, serve: Any, people: Any, monkeypatch: Any
) -> None:
    configure(homes[0], "copies_per_second = 0.001\ncopies_burst = 1")
    with serve(*homes) as pair:
        pipeline, signed = pair.serving.pipeline, people.forger(pair).compose()
        for _ in range(2):
            pipeline.handle(people.call(signed))
        verified: list[object] = []
        monkeypatch.setattr(pipeline, "_authenticate", lambda *call: verified.append(call))

        with pytest.raises(RateLimited):
            pipeline.handle(people.call(signed))

        assert verified == []


def test_copies_of_a_refused_message_are_counted_too(
    homes: Any, serve: Any, people: Any, monkeypatch: Any
) -> None:
    """Else one envelope over its quota, sent on and on, has all its signatures verified and its seal opened."""
    configure(homes[0], "copies_per_second = 0.001\ncopies_burst = 1")
    with serve(*homes) as pair:
        pipeline = pair.serving.pipeline
        signed = people.forger(pair).compose(agreement_version=9)
        for _ in range(2):
            with pytest.raises(Refusal):
                pipeline.handle(people.call(signed))
        monkeypatch.setattr(pipeline, "_authenticate", pytest.fail)

        with pytest.raises(RateLimited):
            pipeline.handle(people.call(signed))


def test_a_copy_of_what_was_answered_before_a_restart_is_counted_once_it_is_known(
    homes: Any, serve: Any, people: Any
) -> None:
    configure(homes[0], "copies_per_second = 0.001\ncopies_burst = 1")
    with serve(*homes) as pair:
        signed = people.forger(pair).compose()
        pair.serving.pipeline.handle(people.call(signed))
    with serve(*homes) as pair:
        pipeline = pair.serving.pipeline
        pipeline.handle(people.call(signed))

        with pytest.raises(RateLimited):
            pipeline.handle(people.call(signed))


def test_who_sends_what_is_refused_is_soon_refused_before_it_is_read() -> None:
    """A refused message costs as much as twenty calls; what is owed is over in a second."""
    limits = Limits(calls=2, rate=40.0, burst=60, shortest=0.1, longest=60.0)
    admission = Admission(limits)
    for _ in range(
        8
    ):  # three use up all tokens; five more, under way at that moment, cost no more than a second
        admission.charge("AUS", 0.0)
    with pytest.raises(RateLimited):
        admission.spend("AUS", 0.5)

    admission.spend("NZL", 0.5)
    admission.spend("AUS", 1.1)


def test_what_we_lack_is_not_charged_to_who_asks(
    homes: Any, serve: Any, people: Any, monkeypatch: Any
) -> None:
    """Else an honest partner hears that it calls too often, and not that our engine is away."""
    configure(homes[0], "rate_per_second = 1\nrate_burst = 45")

    def away(*_: object) -> None:
        raise EngineUnavailable

    with serve(*homes) as pair:
        forger = people.forger(pair)
        monkeypatch.setattr(pair.serving.pipeline, "_authenticate", away)
        for _ in range(20):
            assert forger.refused(forger.compose())[1] == "ENGINE_UNAVAILABLE"


def test_other_bytes_under_a_seen_message_id_are_no_copy_and_still_a_conflict(
    homes: Any, serve: Any, people: Any
) -> None:
    configure(homes[0], "copies_per_second = 0.001\ncopies_burst = 1")
    with serve(*homes) as pair:
        forger, same = people.forger(pair), bytes(range(16))
        forger.send(forger.compose(message_id=same))
        for _ in range(3):
            other = forger.compose(message_id=same)
            assert forger.refused(other) == ("ALREADY_EXISTS", "REPLAY_CONFLICT")


def test_answers_that_wait_for_their_moment_hold_no_thread(
    homes: Any, serve: Any, people: Any, monkeypatch: Any
) -> None:
    configure(homes[0], "calls_per_partner = 12\nworker_threads = 1")
    with serve(*homes) as pair:
        interceptor, forger = pair.serving.exchange.interceptor, people.forger(pair)
        monkeypatch.setattr(
            ExchangeAccess, "leaves", lambda _self, _name, _started, now: now + 3600
        )
        with raw(pair) as channel:
            call = channel.unary_unary(SUBMIT)
            asked = [call.future(octets(forger), timeout=60) for _ in range(12)]

            until(
                lambda: (
                    len(interceptor._workers._departures) == 12 and interceptor._workers._busy == 0
                )
            )
            assert interceptor._admission.taken("AUS") == 12  # its place is kept all the same

            with interceptor._workers._changed:
                due = interceptor._workers._departures.due(float("inf"))
            for leave in due:
                interceptor._workers.do(leave)
            assert all(len(one.result(GIVE_UP)) for one in asked)
        until(lambda: interceptor._admission.taken("AUS") == 0)


def test_who_does_not_read_its_answers_keeps_its_own_places_and_no_more(
    homes: Any, serve: Any, people: Any
) -> None:
    """A place is free when the answer was taken or its stream ended, not when the handler returned."""
    configure(homes[0], "calls_per_partner = 3")
    # A window of a few bytes stands for an answer larger than a window: the server cannot send it all.
    windows = ("grpc.http2.lookahead_bytes", 16), ("grpc.http2.bdp_probe", 0)
    with serve(*homes) as pair:
        admission, forger = pair.serving.exchange.interceptor._admission, people.forger(pair)
        with raw(pair, *windows) as channel:
            call = channel.unary_stream(SUBMIT)
            unread = [call(octets(forger), timeout=50) for _ in range(3)]
            until(lambda: len(pair.serving.exchange.interceptor._awaited) == 3)
            kept = (
                len(pair.serving.exchange.interceptor._workers._departures),
                admission.taken("AUS"),
            )
            assert kept == (0, 3)

            assert forger.refused(forger.compose()) == ("RESOURCE_EXHAUSTED", "TOO_MANY_CALLS")
            assert admission.taken("AUS") == 3

            for one in unread:
                one.cancel()
            until(lambda: admission.taken("AUS") == 0)
            assert not pair.serving.exchange.interceptor._awaited
        answer = pair.partner().query(people.samples(1), **people.matter())
        assert answer.outcome is Outcome.MATCH


def test_who_does_not_read_does_not_keep_the_gateway_from_closing(
    homes: Any, serve: Any, people: Any
) -> None:
    windows = ("grpc.http2.lookahead_bytes", 16), ("grpc.http2.bdp_probe", 0)
    closing = threading.Event()
    with serve(*homes) as pair:
        interceptor, forger = pair.serving.exchange.interceptor, people.forger(pair)
        with raw(pair, *windows) as channel:
            unread = [channel.unary_stream(SUBMIT)(octets(forger), timeout=50) for _ in range(2)]
            silent = channel.stream_unary(SUBMIT).future(_never(closing), timeout=50)
            until(lambda: len(interceptor._awaited) == 3)

            interceptor.close(pair.serving.exchange.server, 30.0)

            assert not interceptor._awaited
            assert interceptor._admission.taken("AUS") == 0
            closing.set()
            for one in (*unread, silent):
                one.cancel()


def _never(closing: threading.Event) -> Iterator[bytes]:
    closing.wait(GIVE_UP)
    yield b""


def test_bytes_that_are_no_message_leave_no_call_behind(
    homes: Any, serve: Any, people: Any
) -> None:
    """The library ends such a call itself; a second end would never complete, nor the closing of the gateway."""
    with serve(*homes) as pair:
        forger = people.forger(pair)
        for _ in range(20):
            with pytest.raises(grpc.RpcError):
                forger.post(b"\xff\xff\xff\xff\x01")
        until(lambda: not pair.serving.exchange.server._state.rpc_states)
        assert pair.serving.exchange.interceptor._admission.taken("AUS") == 0


def test_a_call_that_was_cancelled_keeps_its_place_until_its_work_is_over(
    homes: Any, serve: Any, people: Any
) -> None:
    """Else a partner would start more work than it has places, by calling and leaving."""
    reached, go_on = threading.Semaphore(0), threading.Event()

    def observe(stage: str) -> None:
        if stage == "record_request":
            reached.release()
            go_on.wait(GIVE_UP)

    with serve(*homes, observe) as pair:
        admission, forger = pair.serving.exchange.interceptor._admission, people.forger(pair)
        with raw(pair) as channel:
            one = channel.unary_unary(SUBMIT).future(octets(forger), timeout=30)
            assert reached.acquire(timeout=GIVE_UP)
            one.cancel()
            until(one.done)
            assert admission.taken("AUS") == 1

            go_on.set()
            until(lambda: admission.taken("AUS") == 0)


def test_a_caller_who_left_while_waiting_for_a_turn_leaves_no_entry(
    homes: Any, serve: Any, people: Any
) -> None:
    """Dropped before the first commit, as any call found dead there."""
    with serve(*homes) as pair:
        turns, forger = pair.serving._gate._turns, people.forger(pair)
        size = pair.gateway.sequencer.size
        with ExitStack() as busy, raw(pair) as channel:
            while turns._free:  # other partners' long searches
                assert busy.enter_context(pair.serving._gate.turn("NZL")).enter()
            one = channel.unary_unary(SUBMIT).future(octets(forger), timeout=30)
            until(lambda: "AUS" in turns._waiting)
            one.cancel()
            until(lambda: "AUS" not in turns._waiting)

        until(lambda: pair.serving.exchange.interceptor._admission.taken("AUS") == 0)
        assert pair.gateway.sequencer.size == size


def test_queries_too_poor_to_search_are_bounded_by_the_day_across_a_restart(
    homes: Any, serve: Any, people: Any, agree: Any
) -> None:
    """Three entries each: what a day can write is the quota, and the allowance beside it."""
    limits = "day = 2\nyear = 1000\n"
    text = (homes[0] / "agreements" / "au.toml").read_text().replace("version = 1", "version = 2")
    agree(
        homes[0],
        "au-2.toml",
        text.replace('preset = "hvdsp-400000"\nwarn_percent = 80\n', limits, 1),
    )
    sample = people.poor(people.samples(1)[0], 3)
    seen = Counter[str]()
    matter = {**people.matter(agreement=("au", 2)), "purpose": Purpose.TRAVEL_ENTER_REMAIN}
    most = 2 + poor_allowance(2)
    for _ in range(2):
        with serve(*homes) as pair:
            size = pair.gateway.sequencer.size
            partner = pair.partner()
            for _ in range(most // 2 + 2):
                try:
                    seen[partner.query([sample], **matter).outcome.name] += 1
                except people.refused as refused:
                    seen[refused.reason] += 1
            frames = [
                decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)
            ]
            begun = sum(frame.type is EntryType.REQUEST for frame in frames)
            assert len(frames) <= 3 * begun + (most // 2 + 2 - begun)
    assert seen == {"QUALITY_INSUFFICIENT": most, "QUOTA_EXCEEDED": 4}


def test_an_unidentified_caller_beyond_its_share_is_refused_cheaply_and_a_partner_at_its_address_is_answered(
    homes: Any, serve: Any, people: Any
) -> None:
    configure(homes[0], "unidentified_per_second = 0.001\nunidentified_burst = 3")
    with serve(*homes) as pair:
        key, chain = _unpinned(pair)
        forger = people.forger(pair)
        with _as(pair, key, chain) as channel:
            seen = Counter(_reason(forger, channel) for _ in range(8))
        assert seen == {"CERTIFICATE_NOT_PINNED": 3, "RATE_LIMITED": 5}

        assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        assert not pair.serving.exchange.interceptor._unidentified._open


def test_many_calls_without_a_deadline_are_charged_to_the_partner_who_makes_them(
    homes: Any, serve: Any, people: Any
) -> None:
    configure(homes[0], "rate_per_second = 0.001\nrate_burst = 4\nunidentified_burst = 1")
    with serve(*homes) as pair:
        forger = people.forger(pair)
        seen: Counter[str] = Counter()
        for _ in range(7):
            with pytest.raises(grpc.RpcError) as caught:
                forger.post(b"", timeout=None)
            seen[forger.verdict(caught.value)[1]] += 1
        assert seen == {"DEADLINE_REQUIRED": 4, "RATE_LIMITED": 3}


def test_who_calls_again_at_each_refusal_is_slowed_down_and_holds_no_thread(
    homes: Any, serve: Any, people: Any, monkeypatch: Any
) -> None:
    configure(homes[0], "rate_per_second = 0.001\nrate_burst = 1\nworker_threads = 1")
    monkeypatch.setattr(interceptor, "PACE", 3600.0)
    monkeypatch.setattr(interceptor, "MOST_PACED", 5)
    with serve(*homes) as pair:
        forger, workers = people.forger(pair), pair.serving.exchange.interceptor._workers
        assert pair.partner().query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
        with raw(pair) as channel:
            asked = [channel.unary_unary(SUBMIT).future(b"", timeout=60) for _ in range(5)]
            until(lambda: workers.waiting == 5 and workers._busy == 0)
            assert not any(one.done() for one in asked)

            # More than so many are not kept waiting, for each keeps a stream.
            assert forger.refused(forger.compose()) == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")

            with workers._changed:
                due = workers._departures.due(float("inf"))
            for leave in due:
                workers.do(leave)
            assert {_outcome(forger, one) for one in asked} == {"RATE_LIMITED"}


def test_a_burst_of_calls_beyond_the_places_is_refused_by_us_and_not_by_the_library(
    homes: Any, serve: Any, people: Any
) -> None:
    """gRPC's own RESOURCE_EXHAUSTED has no reason, and it falls on whoever comes next, not on who floods."""
    configure(homes[0], "calls_per_partner = 2\nquantum_floor_ms = 1000")
    with serve(*homes) as pair, ThreadPoolExecutor(8) as pool:
        forger = people.forger(pair)
        seen: Counter[str] = Counter()

        def flood(_: int) -> list[str]:
            with raw(pair, ("grpc.use_local_subchannel_pool", 1)) as channel:
                call = channel.unary_unary(SUBMIT)
                asked = [call.future(octets(forger), timeout=30) for _ in range(20)]
                return [_outcome(forger, one) for one in asked]

        for each in pool.map(flood, range(8)):
            seen.update(each)
        assert seen.keys() <= {"OK", "TOO_MANY_CALLS"}
        assert seen["OK"] >= 2
        until(lambda: pair.serving.exchange.interceptor._admission.taken("AUS") == 0)


def test_a_partner_has_its_places_and_its_rate_whatever_another_took() -> None:
    admission = Admission(LIMITS)
    for _ in range(2):
        admission.take_place("AUS")
    with pytest.raises(TooManyCalls):
        admission.take_place("AUS")
    admission.take_place("NZL")
    for _ in range(5):
        admission.spend("AUS", 0.0)
    with pytest.raises(RateLimited):
        admission.spend("AUS", 0.0)
    admission.spend("NZL", 0.0)

    admission.free_place("AUS")

    admission.take_place("AUS")
    assert admission.taken("AUS") == 2


def test_nothing_is_kept_of_partners_without_calls() -> None:
    admission = Admission(LIMITS)
    for number in range(100):
        name = str(number)
        admission.spend(name, float(number))
        admission.take_place(name)
        admission.free_place(name)
    assert not admission._taken
    assert len(admission._buckets) <= 2


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 0.2)), max_size=300))
def test_addresses_together_meet_a_limit_however_many_they_are(
    calls: list[tuple[int, float]],
) -> None:
    limits = Limits(2, 1.0, 5, 0.1, 60.0, unidentified_rate=1.0, unidentified_burst=2)
    unidentified, now, passed = Unidentified(limits, 0.0), 0.0, 0
    for address, pause in calls:
        now += pause
        with suppress(RateLimited):
            unidentified.spend(str(address), now)
            passed += 1
    assert passed <= ADDRESSES * (limits.unidentified_burst + now * limits.unidentified_rate) + 1e-6


def test_one_address_that_floods_leaves_the_others_their_share() -> None:
    limits = Limits(2, 1.0, 5, 0.1, 60.0, unidentified_rate=1.0, unidentified_burst=2)
    unidentified = Unidentified(limits, 0.0)
    for _ in range(1_000):
        with suppress(RateLimited):
            unidentified.spend("192.0.2.7", 0.0)

    unidentified.spend("192.0.2.8", 0.0)


def test_refusals_that_an_address_does_not_take_are_bounded() -> None:
    limits = Limits(2, 1.0, 5, 0.1, 60.0, unidentified_open=3)
    unidentified = Unidentified(limits, 0.0)
    assert [unidentified.begin("a") for _ in range(4)] == [True, True, True, False]
    assert unidentified.begin("b")
    for _ in range(3):
        unidentified.end("a")
    assert unidentified._open == {"b": 1}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:50123", "192.0.2.7"),
        ("ipv6:[2001:db8::7]:50123", "2001:db8::/64"),
        ("ipv6:%5B2001:db8:0:0:ffff::7%5D:50123", "2001:db8::/64"),
        ("ipv6:%5B::1%5D:4", "::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:50123", "192.0.2.7"),
        ("ipv6:[::ffff:c000:207]:50123", "192.0.2.7"),
        ("ipv6:%5Bfe80::7%25eth0%5D:4", "fe80::/64"),
        ("unix:/run/x", "unix:/run/x"),
        ("ipv4:rubbish", "ipv4:rubbish"),
    ],
)
def test_an_address_is_what_its_holder_cannot_multiply(peer: str, address: str) -> None:
    assert address_of(peer) == address


def _unpinned(pair: Any) -> tuple[bytes, bytes]:
    """Return a key and a leaf that the partner's own authority issued, and the directory does not pin."""
    key = TlsKey.generate()
    ca, ca_key = pair.keyset.tls_ca_pem, pair.keyset.tls_ca()
    leaf = issue_leaf("AUS", ca, ca_key, key, datetime.now(UTC), hosts=("127.0.0.1",), days=30)
    return private_key_pem(key), leaf + ca


@contextmanager
def _as(pair: Any, key: bytes, chain: bytes) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials(own_bundle(pair.home).tls_ca_pem, key, chain)
    with grpc.secure_channel(pair.address, credentials) as channel:
        yield channel


def _reason(forger: Any, channel: grpc.Channel) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(SUBMIT)(b"", timeout=10)
    return str(forger.verdict(caught.value)[1])


def _outcome(forger: Any, asked: Any) -> str:
    error = asked.exception(GIVE_UP)
    return "OK" if error is None else str(forger.verdict(error)[1] or error.details())
