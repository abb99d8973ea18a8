"""The admin listener, for our own people alone: officer certificates of our own authority, one table of acts.

    certificate -> officer    on every call, by the staff table, never from the message
    act, arguments -> answer  through `Gateway.perform`, as a command does it while the gateway is closed

A partner's certificate fails the handshake: only our own authority is trusted here. Our own server's passes it
and is no officer certificate. While the listener is open its address is in a file of the folder, mode 0600.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import grpc

from gateway import telemetry
from gateway.admin.operation import NotAllowed, TwoPersons
from gateway.errors import (
    ActRefused,
    ElementInvalid,
    RoleRequired,
    SecondPersonRequired,
    UserError,
)
from gateway.server.listener import admission, file_descriptors, interceptor, listeners
from gateway.server.listener.tls_probe import demand_tls_1_3
from gateway.server.rpc.review import Perform, Review
from gateway.v1 import admin_pb2, admin_pb2_grpc, review_pb2_grpc
from gateway.wire import json_values
from gateway.wire.decoding import refuse_unknown
from keys import atomic_file

if TYPE_CHECKING:
    from gateway.server.application import Gateway

FILE: Final = (
    "door.json"  # in the party's folder while the gateway serves: {"admin": "host:port", …}
)
THREADS = (
    2  # that receive calls; acts are done in threads of their own, as many as officers have places
)
LIMITS = admission.Limits(calls=4, rate=50.0, burst=200, shortest=0.1, longest=60.0, refused=1)


class Admin(admin_pb2_grpc.AdminServiceServicer):
    """AdminService over the table of acts."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def Perform(  # noqa: N802 - the name of the RPC
        self, request: admin_pb2.PerformRequest, context: grpc.ServicerContext
    ) -> admin_pb2.PerformResponse:
        """Do one act for whoever's officer certificate it is."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with _told():
            values = json_values.read(request.arguments)
        answer = self._perform(request.act, values)
        with _told():
            return admin_pb2.PerformResponse(answer=json_values.write(answer))


class AdminService:
    """The listener of our own people; `ready` raises the Refusal that says why the gateway does not serve."""

    def __init__(self, gateway: Gateway, ready: Callable[[], None]) -> None:
        self._gateway = gateway
        self._ready = ready
        self._log = telemetry.logger("admin")

    def start(
        self,
        identity: listeners.Shown,
        *,
        connections: int = file_descriptors.ADMIN,
        identified: Callable[[str, str], None] = lambda _peer, _person: None,
        beside: Mapping[str, str] = MappingProxyType({}),
    ) -> int:
        """Open the listener and say where it is; return its port. Raises UserError when the address is taken.

        connections   to the listener in all
        identified    is called for each officer's call, as the interceptor's
        beside        what else is written beside the address: other listeners, by name
        """
        gateway, settings = self._gateway, self._gateway.settings
        self._interceptor = interceptor.AuthInterceptor(
            self._identify,
            LIMITS,
            ready=self._ready,
            refused=lambda who, reason: self._log.warning("refused", partner=who, reason=reason),
            leaves=lambda _name, _started, now: now,
            identified=identified,
            name="admin",
        )
        gateway.watchdog.also("admin-departures", self._interceptor.sign)
        self._server, port = listeners.guarded(
            settings.admin.listen,
            identity,
            lambda: gateway.keyset.badge_ca_pem,
            interceptor=self._interceptor,
            threads=THREADS,
            max_message=settings.limits.max_message_bytes,
            connections=connections,
            name="admin",
        )
        admin_pb2_grpc.add_AdminServiceServicer_to_server(Admin(self._perform), self._server)
        review_pb2_grpc.add_ReviewServiceServicer_to_server(Review(self._perform), self._server)
        self._server.start()
        demand_tls_1_3(listeners.near(settings.admin.listen), port)
        where = {"admin": f"{listeners.near(settings.admin.listen)}:{port}", **beside}
        atomic_file.replace(gateway.home / FILE, json.dumps(where).encode())
        return port

    def stop(self, grace: float) -> None:
        """Take the address away, finish the acts under way, refuse new ones."""
        with suppress(FileNotFoundError):
            (self._gateway.home / FILE).unlink()
        self._interceptor.close(self._server, grace)

    def _perform(self, act: str, values: Mapping[str, object]) -> Mapping[str, object]:
        """Do one act as whoever calls; raises a Refusal."""
        officer = self._gateway.staff.officer(interceptor.caller().certificate)
        with _told():
            return self._gateway.attend(officer, act, values)

    def _identify(self, certificate: bytes) -> str:
        return self._gateway.staff.officer(certificate).person


@contextmanager
def _told() -> Iterator[None]:
    """Say a remedy as the refusal that crosses the wire with its words."""
    try:
        yield
    except NotAllowed as fault:
        raise RoleRequired(str(fault)) from None
    except TwoPersons as fault:
        raise SecondPersonRequired(str(fault)) from None
    except UserError as fault:
        raise ActRefused(str(fault)) from None
