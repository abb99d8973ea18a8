"""Which connections are cut: those that nobody answers for and that are too many or too old. Pure; sockets are `guard`'s.

A connection counts as an unidentified caller's until a call on it passed identification. The library that listens has a limit in
all and one for handshakes, and none by address: one address could take every place. So we count from outside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from gateway.config import Limits as LimitSettings

# Seconds that a connection to these may last: nobody is identified there, and each answer is a moment's work.
OTHERS_AGE: Final = {"health": 40.0, "metrics": 10.0}
NETWORK: Final = 64  # bits of an IPv6 address that one customer has to themselves (RFC 6177)


class Why(StrEnum):
    """Why a connection was cut, as the log and the metrics name it."""

    AGE = "UNIDENTIFIED_TOO_LONG"
    ADDRESS = "UNIDENTIFIED_BY_ADDRESS"
    TOTAL = "UNIDENTIFIED_IN_ALL"
    PARTNER = "PARTNER_CONNECTIONS"
    DESCRIPTORS = "DESCRIPTORS"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection: an IP address, and a port."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to one of our listeners.

    key       what the system calls it; no other connection has it while this one is open
    since     monotonic seconds when it was first seen
    who       who passed identification on it, "" for nobody yet
    heard     monotonic seconds when they last did; `since` for nobody
    """

    key: int
    listener: str
    peer: Peer
    since: float
    heard: float
    who: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener bears.

    unidentified connections of nobody we know, in all
    by_address   of these from one IPv4 address, or one IPv6 network of 64 bits
    age          seconds that such a connection may last
    by_partner   connections of one of those we know
    """

    unidentified: int
    by_address: int
    age: float
    by_partner: int


def limits_of(listener: str, most: int, settings: LimitSettings) -> Limits:
    """Return what a listener bears, by name, of the `most` connections that it may have in all.

    Half for anybody, so that whoever comes next finds a place. Where only this machine comes, all addresses count alike.
    """
    half = most // 2
    if listener != "exchange":
        return Limits(half, half, OTHERS_AGE.get(listener, settings.identified_s), half)
    return Limits(
        min(settings.unidentified, half),
        min(settings.unidentified_per_address, half),
        settings.identified_s,
        min(settings.connections_per_partner, half),
    )


def to_shed(
    connections: Iterable[Connection],
    limits: Mapping[str, Limits],
    now: float,
    excess: int = 0,
) -> dict[int, Why]:
    """Return which connections to cut, by key, and why.

    excess   how many descriptors are in use beyond what may be; so many unidentified ones are cut on top, on whichever listener

    Among unidentified callers the oldest go first: whoever comes now has the longest time to say who they are. Of a partner's, those
    that were silent longest.
    """
    shed: dict[int, Why] = {}
    by_listener: defaultdict[str, list[Connection]] = defaultdict(list)
    for one in connections:
        if one.listener in limits:
            by_listener[one.listener].append(one)
    left: list[Connection] = []
    for listener, here in by_listener.items():
        limit = limits[listener]
        known = [one for one in here if one.who]
        unidentified = sorted((one for one in here if not one.who), key=lambda one: one.since)
        old = [one for one in unidentified if now - one.since > limit.age]
        shed |= dict.fromkeys((one.key for one in old), Why.AGE)
        _beyond(
            shed, unidentified, limit.by_address, Why.ADDRESS, lambda one: origin(one.peer.address)
        )
        _beyond(shed, unidentified, limit.unidentified, Why.TOTAL, lambda _: "")
        known.sort(key=lambda one: one.heard)
        _beyond(shed, known, limit.by_partner, Why.PARTNER, lambda one: one.who)
        left += [one for one in unidentified if one.key not in shed]
    more = max(0, excess - len(shed))
    left.sort(key=lambda one: one.since)
    return shed | dict.fromkeys((one.key for one in left[:more]), Why.DESCRIPTORS)


def _beyond(
    shed: dict[int, Why],
    ordered: Sequence[Connection],
    most: int,
    why: Why,
    group: Callable[[Connection], str],
) -> None:
    """Add to `shed` what a group has beyond `most`, the first of `ordered` first."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for one in ordered:
        if one.key not in shed:
            groups[group(one)].append(one.key)
    for keys in groups.values():
        shed |= dict.fromkeys(keys[: max(0, len(keys) - most)], why)


def origin(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or the network of an IPv6 one; other text as it is."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), NETWORK), strict=False))
    return str(parsed or address)


def address_of(peer: str) -> str:
    """Return whose limit a call meets, by what gRPC calls its connection's other end: its origin; other text as it is."""
    named = peer_named(peer)
    return peer if named is None else origin(named.address)


def peer_of(host: str, port: int) -> Peer:
    """Return a peer as the system names it: without a scope, and an IPv4 address that came in by IPv6 as what it is."""
    return Peer(str(_parsed(host) or host), port)


def peer_named(text: str) -> Peer | None:
    """Return a peer as gRPC names it ("ipv4:127.0.0.1:5", "ipv6:%5B::1%5D:5"); None for what is neither."""
    kind, _, rest = unquote(text).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return None
    return peer_of(host.removeprefix("[").removesuffix("]"), int(port))


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its scope; one of IPv4 that is written as IPv6 (RFC 4291 2.5.5.2) as what it is."""
    try:
        parsed = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
