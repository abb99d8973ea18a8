"""A real exchange with one partner, step by step: the first step that fails is the one to put right.

    name          the endpoint of their entry is found
    connection    somebody listens there
    TLS           1.3, and a leaf of their authority for that name
    pin           their entry names that leaf
    certificate   they know ours
    clock         theirs and ours agree
    signature     they accept our signature, we theirs, and their receipt proves that they recorded it
    capabilities  what they accept from us
    entry         whether we hold their newest

Capabilities are asked for, sealed and signed as every question is, and about nobody; both sides record it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway import config
from gateway.client import Partner
from gateway.client.answer import read
from gateway.client.channel import connected
from gateway.client.errors import (
    AnswerRejected,
    DirectoryRefused,
    PartnerError,
    Refused,
    SplitView,
    Unreachable,
)
from gateway.domain.messages import About, Capabilities, Operation
from gateway.ledger.entry import decode
from gateway.server import expiry_of_folder
from gateway.server.self_check import Check
from gateway.trust.bundle import PartyBundle
from gateway.wire import query_payload
from keys import certificates

STEPS: Final = (
    "name",
    "connection",
    "TLS",
    "pin",
    "certificate",
    "clock",
    "signature",
    "capabilities",
    "entry",
)
PATIENCE: Final = 10.0  # seconds for a connection, and for the exchange
NEAR: Final = timedelta(
    seconds=30
)  # between two clocks; from 120 s on messages are refused (protocol 4)

# What a partner's refusal says of us: the step that failed, what was passed before it (protocol 4), and what to do.
_REFUSED: Final = {
    "CERTIFICATE_NOT_PINNED": ("certificate", (), "they do not know our TLS leaf: {bundle}"),
    "SENDER_MISMATCH": (
        "certificate",
        (),
        "they know our TLS leaf as another party's: {bundle}",
    ),
    "OUTSIDE_TIME_WINDOW": (
        "clock",
        ("certificate",),
        "the clocks differ by more than two minutes: {clock}",
    ),
    "ENVELOPE_REJECTED": (
        "signature",
        ("certificate", "clock"),
        "they do not accept our signature, or cannot open what we sealed: {bundle}",
    ),
    "KEY_STALE": (
        "entry",
        ("certificate", "clock"),
        "the key that we seal to no longer opens there: ask for their newest bundle, then passerelle party import",
    ),
}


class _Failed(Exception):
    """A step failed; the text says how, and what to do. `passed` are steps that it shows to have been passed."""

    def __init__(self, step: str, text: str, passed: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.step = step
        self.passed = passed


@dataclass(frozen=True, slots=True)
class _Answered:
    capabilities: Capabilities
    index: int
    size: int
    ahead: timedelta  # of their clock before ours


def reach(home: Path, party: str, passphrase: Callable[[], bytes]) -> list[Check]:
    """Return each step of which something is known, up to the first that failed.

    Raises UserError where no such partner is known, KeysError where our keys do not open.
    """
    settings = config.load(home)
    proxy = settings.exchange.proxy
    found: list[Check] = []
    with Partner.open(
        home, party, passphrase, expiry_of_folder.refused(settings)(party)
    ) as partner:
        try:
            found += (Check(name, True, text) for name, text in _line(partner.peer, proxy))
            found += (Check(name, True, text) for name, text in _exchange(home, partner))
        except _Failed as failed:
            found += (Check(name, True, "passed") for name in failed.passed)
            found.append(Check(failed.step, False, str(failed)))
    return found


def _line(peer: PartyBundle, proxy: str | None) -> Iterator[tuple[str, str]]:
    """Yield the steps to a connection whose other end is known."""
    host, _, port = peer.endpoints[0].rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    yield "name", _found(host, int(port), proxy)
    with _connected(host, int(port), proxy) as plain:
        yield (
            "connection",
            f"{peer.endpoints[0]}{f' by the proxy {proxy}' if proxy else ''} answers",
        )
        leaf, version = _shaken(plain, host, peer)
    ends = certificates.validity(leaf)[1]
    yield "TLS", f"{version}, a leaf of {peer.party}'s authority for {host}, until {ends:%Y-%m-%d}"
    pin = certificates.pin(leaf)
    if pin not in peer.tls_pins:
        raise _Failed(
            "pin",
            f"their entry, version {peer.version}, does not name the leaf {pin.hex()[:16]}: ask for their newest"
            " bundle and compare its fingerprint by telephone, then passerelle party import",
        )
    yield "pin", f"{pin.hex()[:16]}, as their entry says"


def _found(host: str, port: int, proxy: str | None) -> str:
    if proxy is not None:
        return f"{host}, which the proxy {proxy} finds"
    try:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as fault:
        raise _Failed(
            "name",
            f"{host} is not found ({fault.strerror or 'no address'}): look at the resolver, or ask the partner",
        ) from None
    return f"{host} is {', '.join(sorted({str(one[4][0]) for one in known}))}"


def _connected(host: str, port: int, proxy: str | None) -> socket.socket:
    try:
        return connected(host, port, proxy, PATIENCE)
    except OSError as fault:
        why = fault.strerror or str(fault) or type(fault).__name__
        raise _Failed(
            "connection",
            f"nobody answers at {host}:{port} ({why}): look at the firewall on both sides",
        ) from None


def _shaken(plain: socket.socket, host: str, peer: PartyBundle) -> tuple[bytes, str]:
    """Return the leaf that was shown, DER, and the version of TLS. Ours is shown by the exchange that follows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=peer.tls_ca_pem.decode("ascii"))
    try:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            return secure.getpeercert(binary_form=True) or b"", secure.version() or ""
    except ssl.SSLCertVerificationError as fault:
        raise _Failed(
            "TLS",
            f"the leaf is not theirs for {host} ({fault.verify_message}): ask for their newest bundle",
        ) from None
    except OSError as fault:  # an SSLError is one
        why = getattr(fault, "reason", None) or fault.strerror or type(fault).__name__
        raise _Failed(
            "TLS", f"no TLS 1.3 handshake ({why}): is it their gateway that listens there?"
        ) from None


def _exchange(home: Path, partner: Partner) -> Iterator[tuple[str, str]]:
    """Yield the steps of a question and its answer."""
    told = _capabilities(home, partner)
    yield "certificate", "they know our TLS leaf"
    yield "clock", _clock(told.ahead)
    yield (
        "signature",
        (
            f"ours is accepted, theirs holds; entry {told.index} of {told.size} of their ledger is the receipt"
        ),
    )
    known = told.capabilities
    purposes = ", ".join(each.name for each in known.purposes)
    yield "capabilities", f"purposes {purposes or 'none: no agreement with us is in force there'}"
    held = partner.peer.version
    if known.directory_version > held:
        raise _Failed(
            "entry",
            f"we hold version {held} of their entry, they are at {known.directory_version}: ask for their newest bundle",
        )
    yield "entry", f"version {held} of theirs, the newest"


def _capabilities(home: Path, partner: Partner) -> _Answered:
    operation, before = Operation.GET_CAPABILITIES, datetime.now(UTC)
    try:
        outgoing = partner.write(
            operation, lambda key: query_payload.reply_key_bytes(key, operation), About()
        )
        believed = partner.carry(outgoing, deadline=PATIENCE)
        after = datetime.now(UTC)
        capabilities = read(query_payload.read_capabilities, believed, "")
    except Refused as refused:
        other = ("capabilities", (), "they refuse: {refusal}")
        step, passed, text = _REFUSED.get(refused.reason, other)
        own = f"send them ours, passerelle party export {home}, and compare the fingerprint by telephone"
        clock = f"theirs says {refused.metadata.get('server_time', 'nothing')}, ours {before:%Y-%m-%dT%H:%M:%S}"
        raise _Failed(step, text.format(bundle=own, clock=clock, refusal=refused), passed) from None
    except SplitView as split:
        raise _Failed("signature", f"their ledger contradicts itself: {split}") from None
    except AnswerRejected as rejected:
        raise _Failed("signature", f"{rejected}: ask for their newest bundle") from None
    except Unreachable as fault:
        raise _Failed(
            "certificate",
            f"they end the connection once they see our TLS leaf: send them ours, passerelle party export {home} ({fault})",
        ) from None
    except DirectoryRefused as fault:
        raise _Failed("entry", str(fault)) from None
    except PartnerError as fault:
        raise _Failed("capabilities", str(fault)) from None
    at = decode(believed.receipt.leaf).time
    return _Answered(
        capabilities, believed.index, believed.checkpoint.size, at - (before + (after - before) / 2)
    )


def _clock(ahead: timedelta) -> str:
    seconds = ahead.total_seconds()
    if abs(ahead) > NEAR:
        raise _Failed(
            "clock",
            f"theirs is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours; from 120 s on messages are"
            " refused: compare both with a time server",
        )
    return f"theirs is {seconds:+.1f} s from ours"
