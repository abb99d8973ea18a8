"""Which connections are cut: a crowd of unidentified callers is bounded by address and in all, and takes no partner with it."""

from __future__ import annotations

import pytest

from gateway.server.listener.connection_limits import (
    Connection,
    Limits,
    Peer,
    Why,
    address_of,
    origin,
    peer_named,
    peer_of,
    to_shed,
)

LIMITS = {"exchange": Limits(unidentified=6, by_address=3, age=20.0, by_partner=2)}


def unidentified(key: int, address: str = "192.0.2.1", since: float = 0.0) -> Connection:
    return Connection(key, "exchange", Peer(address, key), since, since)


def partner(key: int, who: str, heard: float) -> Connection:
    return Connection(key, "exchange", Peer("192.0.2.1", key), 0.0, heard, who)


def test_one_address_keeps_its_newest_connections_and_no_more() -> None:
    crowd = [unidentified(key, since=float(key)) for key in range(5)]

    assert to_shed(crowd, LIMITS, now=5.0) == {0: Why.ADDRESS, 1: Why.ADDRESS}


def test_a_crowd_of_many_addresses_is_bounded_in_all() -> None:
    crowd = [unidentified(key, f"192.0.2.{key}", since=float(key)) for key in range(9)]

    assert to_shed(crowd, LIMITS, now=9.0) == {0: Why.TOTAL, 1: Why.TOTAL, 2: Why.TOTAL}


def test_one_customer_of_ipv6_is_one_address() -> None:
    crowd = [unidentified(key, f"2001:db8::{key}", since=float(key)) for key in range(4)]
    others = [unidentified(10 + key, f"2001:db8:0:{key}::1") for key in range(1, 3)]

    assert to_shed([*crowd, *others], LIMITS, now=5.0) == {0: Why.ADDRESS}
    assert origin("2001:db8::1") == origin("2001:db8::ffff") != origin("2001:db8:0:1::1")


def test_whoever_does_not_say_who_they_are_is_cut_in_time_and_a_partner_is_not() -> None:
    quiet, known = unidentified(1), partner(2, "AUS", 0.0)

    assert to_shed([quiet, known], LIMITS, now=20.0) == {}
    assert to_shed([quiet, known], LIMITS, now=20.1) == {1: Why.AGE}


def test_a_partner_with_too_many_connections_loses_the_one_longest_silent_and_no_other_partner_one() -> (
    None
):
    many = [partner(key, "AUS", heard) for key, heard in ((1, 9.0), (2, 3.0), (3, 7.0))]

    assert to_shed([*many, partner(4, "NZL", 0.0)], LIMITS, now=9.0) == {2: Why.PARTNER}


def test_before_descriptors_end_unidentified_callers_are_cut_on_every_listener_the_oldest_first() -> (
    None
):
    limits = {**LIMITS, "health": LIMITS["exchange"], "metrics": LIMITS["exchange"]}
    here = [
        Connection(key, listener, Peer("127.0.0.1", key), since, since)
        for key, listener, since in ((1, "metrics", 1.0), (2, "exchange", 3.0), (3, "health", 2.0))
    ]
    known = partner(4, "AUS", 0.0)

    assert to_shed([*here, known], limits, now=4.0, excess=2) == dict.fromkeys(
        (1, 3), Why.DESCRIPTORS
    )
    assert set(to_shed([*here, known], limits, now=4.0, excess=99)) == {1, 2, 3}


def test_what_is_cut_anyway_counts_towards_the_descriptors_that_are_wanted() -> None:
    crowd = [unidentified(key, since=float(key)) for key in range(5)]

    assert set(to_shed(crowd, LIMITS, now=5.0, excess=2)) == {0, 1}


def test_a_listener_that_nobody_spoke_for_is_left_alone() -> None:
    other = Connection(1, "elsewhere", Peer("192.0.2.1", 1), 0.0, 0.0)

    assert to_shed([other], LIMITS, now=1e9, excess=5) == {}


@pytest.mark.parametrize(
    ("grpc_name", "system"),
    [
        ("ipv4:127.0.0.1:5", ("127.0.0.1", 5)),
        ("ipv6:%5B::1%5D:5", ("::1", 5)),
        ("ipv6:[::1]:5", ("::1", 5)),
        ("ipv4:10.0.0.7:443", ("::ffff:10.0.0.7", 443)),
        ("ipv6:%5Bfe80::1%25eth0%5D:5", ("fe80::1%eth0", 5)),
    ],
)
def test_the_library_and_the_system_name_the_same_peer(
    grpc_name: str, system: tuple[str, int]
) -> None:
    assert peer_named(grpc_name) == peer_of(*system)


def test_refusals_and_connections_are_counted_under_the_same_sender() -> None:
    for named, system in (
        ("ipv6:%5B::ffff:10.0.0.7%5D:443", "::ffff:10.0.0.7"),
        ("ipv4:10.0.0.7:443", "10.0.0.7"),
        ("ipv6:%5B2001:db8::1%5D:443", "2001:db8::9"),
    ):
        assert address_of(named) == origin(system) == origin(peer_of(system, 443).address)
    assert origin("::ffff:10.0.0.7") != origin("::ffff:10.0.0.8")


@pytest.mark.parametrize("text", ["", "unix:/tmp/x", "ipv4:127.0.0.1", "ipv4:127.0.0.1:x"])
def test_a_peer_without_address_and_port_is_none(text: str) -> None:
    assert peer_named(text) is None
