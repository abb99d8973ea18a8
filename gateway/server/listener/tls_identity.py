"""The TLS identity that our listeners show: the leaf in use, followed while the gateway serves.

    (1) a new leaf is in force in the keyset
    (2) it is tried: a listener and a caller of our own on loopback, both with the new leaf, both trusting our
        own authorities alone, TLS 1.3
    (3) only then it is handed out, to each connection that is made from now on

gRPC does not say when it cannot use what it was given: it goes on with what it had (keys.md section 9). So what
fails at step 2 is never given to it: the old leaf stays, with an alarm in the ledger and a line in the log until
one is in force that works. And in every round we look from outside which leaf is shown.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass
from errno import errorcode
from hashlib import sha256

import grpc

from gateway import telemetry
from gateway.errors import InternalError, PasserelleError
from gateway.monitoring.alarms import LatchedAlarms
from gateway.server.listener.tls_probe import demand_tls_1_3, leaf_shown
from keys import certificates
from keys.errors import KeysError
from keys.keyset import KeyKind, Keyset

TRIED = "TLS_IDENTITY"  # the alarm of a leaf that does not work
SHOWN = "TLS_SHOWN"  # the alarm of a listener that shows another leaf than it was given
LOOPBACK = "127.0.0.1"
TIMEOUT = 15.0  # seconds; both ends are ours, on a machine that may be busy

_METHOD = "/passerelle.Scratch/Try"


@dataclass(frozen=True, slots=True)
class Identity:
    """Our leaf and its key, PEM in memory only."""

    key_pem: bytes
    chain_pem: bytes

    def __repr__(self) -> str:
        """Say nothing of the key."""
        return "Identity(…)"


class TlsIdentity:
    """Holds the identity that is handed out; follows the keyset."""

    def __init__(self, alarms: LatchedAlarms, progress: Callable[[], None] = lambda: None) -> None:
        """Prepare; `progress` is called between two handshakes, for who watches the threads."""
        self._alarms, self._progress = alarms, progress
        self._lock = threading.Lock()
        self._current: Identity | None = None
        self._leaf: tuple[bytes, bytes] | None = None  # key id and chain of what is handed out
        self._log = telemetry.logger("identity")

    def __call__(self) -> Identity:
        """Return what a listener shows to the next connection."""
        if self._current is None:
            raise InternalError("no TLS leaf was tried yet")
        return self._current

    def begin(self, keyset: Keyset) -> None:
        """Try the leaf in use and take it; raises InternalError or KeysError where it does not work."""
        self._take(keyset, _leaf(keyset))
        self._alarms.end(TRIED)

    def follow(self, keyset: Keyset) -> None:
        """Take the leaf in use where it is another and works; never raises."""
        with self._lock:
            try:
                leaf = _leaf(keyset)
                if leaf == self._leaf:
                    return
                self._take(keyset, leaf)
            except (PasserelleError, KeysError) as fault:
                self._log.error("tls_identity_kept", reason=str(fault))
                self._alarms.begin(TRIED, "HANDSHAKE_FAILED")
            else:
                self._log.info("tls_identity_taken", state=serial_of(leaf[1]))
                self._alarms.end(TRIED)

    def _take(self, keyset: Keyset, leaf: tuple[bytes, bytes]) -> None:
        identity = Identity(*keyset.tls())
        try_out(identity, keyset.tls_ca_pem, keyset.hosts[0])
        self._current, self._leaf = identity, leaf

    def look(
        self, listeners: Mapping[str, tuple[str, int]], serving: Callable[[], bool] = lambda: True
    ) -> bool:
        """Look from outside which leaf each listener shows, by name; return whether all show ours.

        serving   whether the listeners are to answer, asked after the look: a silent one of a gateway that stops is no alarm
        """
        with self._lock:  # not while another one is handed out
            expected = serial_of(self().chain_pem)
            seen = self._seen(listeners)
        if not serving():
            return False
        shown = {
            (name, serial_of(leaf)): certificates.validity(leaf)[1].timestamp()
            for name, leaf in seen.items()
            if leaf is not None
        }
        telemetry.show_leaves(shown)
        silent = [name for name, leaf in seen.items() if leaf is None]
        other = [name for name in seen if name not in silent and (name, expected) not in shown]
        if other:
            self._log.error("tls_leaf_differs", stage=",".join(other))
            self._alarms.begin(SHOWN, "ANOTHER_LEAF_SHOWN")
        elif silent:
            self._log.error("tls_leaf_unseen", stage=",".join(silent), reason="NO_ANSWER")
            self._alarms.begin(SHOWN, "NO_LEAF_SHOWN")
        elif len(seen) == len(listeners):
            self._alarms.end(SHOWN)
            return True
        return False

    def _seen(self, listeners: Mapping[str, tuple[str, int]]) -> dict[str, bytes | None]:
        """Return the leaf that each listener shows, None for one that does not answer; not what we could not look at."""
        seen = {}
        for name, where in listeners.items():
            self._progress()
            try:
                seen[name] = leaf_shown(*where)
            except OSError as want:  # it says nothing of the listener: no alarm begins or ends
                reason = errorcode.get(want.errno or 0, "")
                self._log.error("tls_leaf_unseen", stage=name, reason=reason)
        return seen


def serial_of(certificate: bytes) -> str:
    """Return the serial number of a certificate, in hexadecimal. Raises CertificateFault."""
    return f"{certificates.parsed(certificate).serial_number:x}"


def _leaf(keyset: Keyset) -> tuple[bytes, bytes]:
    record = keyset.primary(KeyKind.TLS_LEAF)
    return record.kid, record.certificate


def try_out(identity: Identity, authorities: bytes, host: str) -> None:
    """Shake hands with ourselves under an identity, as server and as caller; raises InternalError."""
    question, pair = secrets.token_bytes(16), (identity.key_pem, identity.chain_pem)
    pool = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="scratch")
    server = grpc.server(pool, handlers=[_Echo(certificates.pin(identity.chain_pem))])
    try:
        port = server.add_secure_port(
            f"{LOOPBACK}:0",
            grpc.ssl_server_credentials(
                [pair], root_certificates=authorities, require_client_auth=True
            ),
        )
        server.start()
        demand_tls_1_3(LOOPBACK, port)
        credentials = grpc.ssl_channel_credentials(authorities, *pair)
        options = (
            ("grpc.ssl_target_name_override", host),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),  # nothing is between us and ourselves
        )
        with grpc.secure_channel(f"{LOOPBACK}:{port}", credentials, options=options) as channel:
            ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                _METHOD, request_serializer=bytes, response_deserializer=bytes
            )
            answer = ask(question, timeout=TIMEOUT)
    except (grpc.RpcError, RuntimeError, OSError):
        raise InternalError("the TLS leaf does not shake hands with our own authorities") from None
    finally:
        server.stop(None).wait()
        pool.shutdown(wait=False)
    if answer != sha256(question).digest():
        raise InternalError("the TLS leaf that came through is not the one that was tried")


class _Echo(grpc.GenericRpcHandler):
    """Answers whoever shows the leaf that is expected."""

    def __init__(self, pin: bytes) -> None:
        self._pin = pin

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return the one method."""
        return grpc.unary_unary_rpc_method_handler(self._try) if details.method == _METHOD else None

    def _try(self, question: bytes, context: grpc.ServicerContext) -> bytes:
        shown = context.auth_context().get("x509_pem_cert", [b""])[0]
        known = isinstance(shown, bytes) and certificates.pin(shown) == self._pin
        return sha256(question).digest() if known else b""
