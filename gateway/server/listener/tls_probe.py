"""A scratch handshake with our own listener: it must not speak TLS 1.2.

What gRPC speaks is settled by an environment variable that it reads when it is first imported (keys.md
section 9), and by nothing that a program could ask for later. So we connect as a client of TLS 1.2 would, and
look at the first byte of the answer: a handshake record is a welcome, an alert or silence is not.
"""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress

from gateway.errors import InternalError

HANDSHAKE = 22  # ContentType of RFC 8446 section 5.1
TIMEOUT = 15.0  # seconds; it is our own listener, on a machine that may be busy
LOOK_TIMEOUT = 5.0  # seconds; in every round, and the next round looks again
# What says that this process could not look: descriptors, ports, memory. It says nothing of the listener.
OWN_WANT = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})


def demand_tls_1_3(host: str, port: int) -> None:
    """Raise InternalError unless the listener refuses a client that offers TLS 1.2 at most."""
    if _first_byte(host, port, ssl.TLSVersion.TLSv1_3) != HANDSHAKE:
        raise InternalError("our own listener does not answer a TLS 1.3 handshake")
    if _first_byte(host, port, ssl.TLSVersion.TLSv1_2) == HANDSHAKE:
        raise InternalError(
            "the listener would speak TLS 1.2: gRPC was imported before gateway.server could settle its "
            "ciphers; start the gateway with `passerelle serve`"
        )


def leaf_shown(host: str, port: int) -> bytes | None:
    """Return the leaf, DER, that a listener shows to an unidentified caller on a new connection; None for none.

    Raises OSError where this process had no descriptor, or nothing else, to look with.
    """
    context = _unidentified_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        with (
            socket.create_connection((host, port), timeout=LOOK_TIMEOUT) as plain,
            context.wrap_socket(plain) as secure,
        ):
            return secure.getpeercert(binary_form=True)
    except OSError as fault:  # an SSLError is one
        if fault.errno in OWN_WANT:
            raise
        return None


def _unidentified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # we look and leave; nothing is trusted
    context.set_alpn_protocols(["h2"])
    return context


def _first_byte(host: str, port: int, version: ssl.TLSVersion) -> int:
    """Return the type of the first record that answers a ClientHello of `version`; -1 for none."""
    context = _unidentified_context()
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing)
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection((host, port), timeout=TIMEOUT) as plain:
        plain.sendall(outgoing.read())
        try:
            answer = plain.recv(1)
        except ConnectionError:
            return -1
    return answer[0] if answer else -1
