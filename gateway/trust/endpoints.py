"""Where our outgoing connections may go: the form of an endpoint, and which addresses are none of a partner's.

A partner's entry names where we connect to it, from our own network. Without a rule it could have us connect to
our own officers' listener, or to a service of this machine that trusts whoever is on it. What a name resolves to
is for the network to bound; the partner's TLS authority is asked for on every connection.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

MAX_PORT: Final = 65_535
_form = re.compile(r"(?:\[([0-9A-Fa-f:]{2,39})\]|([A-Za-z0-9.-]{1,253})):([1-9][0-9]{0,4})")
_label = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # RFC 1123 section 2.1
# A name that ends in a number is an address to some resolvers: 127.1, 0x7f000001, 2130706433 are all 127.0.0.1.
_number = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LOCAL: Final = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_EMBEDDING: Final = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))
_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122 section 3.2.1.3
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MalformedEndpoint(ValueError):
    """A text is no endpoint; the message says why and nothing of the text."""


def parse(text: str) -> tuple[str, int]:
    """Return host, in lower case and without brackets, and port of `host:port`; raises MalformedEndpoint."""
    found = _form.fullmatch(text)
    if found is None or int(found[3]) > MAX_PORT:
        raise MalformedEndpoint("not host:port with a port of 1 to 65535")
    if found[1] is not None:
        try:
            return str(ipaddress.IPv6Address(found[1])), int(found[3])
        except ValueError:
            raise MalformedEndpoint("not an IPv6 address in its brackets") from None
    host = found[2].lower()
    if address(host) is None:
        labels = host.split(".")
        if _number.fullmatch(labels[-1]) or not all(map(_label.fullmatch, labels)):
            raise MalformedEndpoint("neither a name nor an address")
    return host, int(found[3])


def address(host: str) -> Address | None:
    """Return the address that a host is written as, or None for a name; one inside another is unwrapped."""
    try:
        found: Address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        embedded = any(found in network for network in _EMBEDDING)
        if inner is None and embedded and int(found) & 0xFFFFFFFF > 1:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return inner or found
    return found


def on_loopback(listen: str) -> bool:
    """Return whether a listener's host:port is reached from this machine alone."""
    host = listen.rpartition(":")[0].strip("[]").lower()
    found = address(host)
    return host in _LOCAL if found is None else found.is_loopback


@dataclass(frozen=True, slots=True)
class Rule:
    """Which endpoints of partners we connect to.

    inside    we are on loopback ourselves, as in a trial on one machine: then every endpoint will do
    own       hosts by which we are reached, in lower case
    allowed   endpoints that our operators allowed by name (`directory.allowed_endpoints`)
    """

    inside: bool = True
    own: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()

    @classmethod
    def made(cls, listeners: Iterable[str], hosts: Iterable[str], allowed: Iterable[str]) -> Self:
        """Return the rule for listeners, the exchange's first, the names in our TLS leaf, and what is allowed."""
        exchange, *others = listeners
        own = {each.rpartition(":")[0].strip("[]").lower() for each in (exchange, *others)}
        return cls(
            inside=on_loopback(exchange),
            own=frozenset({*own, *(host.lower() for host in hosts)}),
            allowed=frozenset(each.lower() for each in allowed),
        )

    def objection(self, endpoints: Iterable[str]) -> str:
        """Return why we connect to none of a party's endpoints, or nothing; the first that is wrong is named."""
        if self.inside:
            return ""
        for endpoint in endpoints:
            why = "" if endpoint.lower() in self.allowed else self._wrong(parse(endpoint)[0])
            if why:
                return (
                    f"its endpoint {endpoint} is {why}: ask its owner; where it is meant, name it in"
                    " directory.allowed_endpoints of passerelle.toml"
                )
        return ""

    def _wrong(self, host: str) -> str:
        found = address(host)
        if host in self.own or (found is not None and str(found) in self.own):
            return "our own"
        if found is None:
            local = host in _LOCAL or host.endswith(".localhost")
            return "a name of this machine" if local else ""
        if found.is_loopback or found.is_unspecified or found == _BROADCAST:
            return "an address of this machine or of no one"
        if found.is_link_local or found.is_multicast:
            return "an address of the local link"
        if isinstance(found, ipaddress.IPv4Address) and found in _THIS_NETWORK:
            return "an address of this machine or of no one"
        return ""
