"""The admin listener, for our own people alone: officer certificates of our own authority, one table of operations.

    certificate -> officer    on every call, by the staff table, never from the message
    act, arguments -> answer  through `Administration.attend`

A partner's certificate fails the handshake: only our own authority is trusted here. Our own server's passes it
and is no officer certificate. While the listener is open, a file of the folder, mode 0600, says where it is and by which
authorities a command knows it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from gateway import telemetry
from gateway.admin.administration import Administration
from gateway.admin.operation import NotAllowed, Officer, TwoPersons
from gateway.admin.staff import CUSTODY, Staff
from gateway.config import Settings
from gateway.errors import (
    ActRefused,
    ElementInvalid,
    OfficerRefused,
    RoleRequired,
    SecondPersonRequired,
    UserError,
)
from gateway.home_layout import ADMIN_ADDRESS
from gateway.operations.founding import CUSTODIAL
from gateway.server.listener import admission, interceptor, listeners
from gateway.server.listener.connection_guard import Guard
from gateway.server.listener.tls_probe import demand_tls_1_3
from gateway.server.readiness import Readiness
from gateway.server.rpc.review import Perform, Review
from gateway.v1 import admin_pb2, admin_pb2_grpc, review_pb2_grpc
from gateway.watchdog import Watchdog
from gateway.wire import json_values
from gateway.wire.decoding import refuse_unknown
from keys import atomic_file
from keys.certificates import pin
from keys.keyset import Keyset, KeysetInForce

_log = telemetry.logger("admin")

THREADS = (
    2  # that receive calls; acts are done in threads of their own, as many as officers have places
)
LIMITS = admission.Limits(calls=4, rate=50.0, burst=200, shortest=0.1, longest=60.0, refused=1)


class Admin(admin_pb2_grpc.AdminServiceServicer):
    """AdminService over the table of operations."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def Perform(  # noqa: N802 - the name of the RPC
        self, request: admin_pb2.PerformRequest, context: grpc.ServicerContext
    ) -> admin_pb2.PerformResponse:
        """Do one act for whoever's officer certificate it is."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        with _as_refusal():
            values = json_values.read(request.arguments)
        answer = self._perform(request.act, values)
        with _as_refusal():
            return admin_pb2.PerformResponse(answer=json_values.write(answer))


@dataclass(frozen=True, slots=True)
class PassphraseHolder:
    """By what a caller under maintenance is known to hold the keys' passphrase; both are made for one maintenance.

    authority   PEM of what issued the listener's certificate and the holder's
    pin         of the holder's certificate
    silent      whether what sends something to others is refused
    """

    authority: bytes
    pin: bytes
    silent: bool


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Officers whose certificate our own authority issued and the staff table still has (`interceptor.Access`)."""

    staff: Staff
    readiness: Readiness
    guard: Guard
    holder: PassphraseHolder | None

    def officer(self, certificate: bytes) -> Officer:
        """Return whose certificate it is; raises StaffUnknown."""
        if self.holder is not None and pin(certificate) == self.holder.pin:
            return CUSTODY
        return self.staff.officer(certificate)

    def identify(self, certificate: bytes) -> str:
        """Return the person whose certificate it is; raises StaffUnknown."""
        return self.officer(certificate).person

    def demand_ready(self) -> None:
        """Raise the Refusal that says why the process takes no calls."""
        self.readiness.demand()

    def identified(self, peer: str, caller: str) -> None:
        """Count a connection as an officer's."""
        self.guard.identified(peer, caller)

    def refused(self, caller: str, reason: str) -> None:
        """Log a refusal."""
        _log.warning("refused", partner=caller, reason=reason)

    def leaves(self, method: str, started: float, now: float) -> float:
        """Let every answer leave at once."""
        del method, started
        return now


class AdminListener:
    """The listener of our own people; it needs nothing of the exchange, and can be opened by itself."""

    def __init__(  # noqa: PLR0917 - the listener is made of these
        self,
        home: Path,
        settings: Settings,
        administration: Administration,
        keyset: KeysetInForce,
        watchdog: Watchdog,
        readiness: Readiness,
        guard: Guard,
        holder: PassphraseHolder | None = None,
    ) -> None:
        self._home, self._settings, self._administration = home, settings, administration
        self._keyset, self._watchdog = keyset, watchdog
        self._authority = b"" if holder is None else holder.authority
        self._silent = holder is not None and holder.silent
        self._access = AdminAccess(administration.staff, readiness, guard, holder)
        self._address = self._named = ""  # where it listens, and which authorities the file names
        self._beside: Mapping[str, str] | None = None
        self._where = threading.Lock()  # over the file: what is taken away is not written again

    def start(
        self, identity: listeners.Shown, connections: int, beside: Mapping[str, str] | None
    ) -> int:
        """Open the listener and say where it is; return its port. Raises UserError when the address is taken.

        connections   to the listener in all
        beside        what else is written beside the address: other listeners, by name; None where nobody is told
        """
        settings = self._settings
        self._interceptor = interceptor.AuthInterceptor(self._access, LIMITS, name="admin")
        self._watchdog.also("admin-departures", self._interceptor.sign)
        self._server, port = listeners.guarded(
            settings.admin.listen,
            identity,
            lambda: self._keyset.current.badge_ca_pem + self._authority,
            interceptor=self._interceptor,
            threads=THREADS,
            max_message=json_values.LARGEST_MESSAGE,
            connections=connections,
            name="admin",
        )
        admin_pb2_grpc.add_AdminServiceServicer_to_server(Admin(self._perform), self._server)
        review_pb2_grpc.add_ReviewServiceServicer_to_server(Review(self._perform), self._server)
        self._server.start()
        demand_tls_1_3(listeners.near(settings.admin.listen), port)
        if beside is not None:
            with self._where:
                self._address = f"{listeners.near(settings.admin.listen)}:{port}"
                self._beside = beside
            self._write_where()
        return port

    def follow(self, keyset: Keyset) -> None:
        """Name the authorities of a keyset that came into force, before a leaf of theirs is shown; never raises."""
        del keyset  # in force already
        self.round()

    def round(self) -> None:
        """Name the authorities that are in force in the file, unless it does; never raises."""
        try:
            self._write_where()
        except OSError as fault:  # the next round tries again
            _log.error("authorities_unnamed", reason=fault.strerror)

    def _write_where(self) -> None:
        """Write where the listener is, and what issues the certificate that it shows, unless that is written."""
        with self._where:
            authority = (self._authority or self._keyset.current.tls_ca_pem).decode("ascii")
            if self._beside is None or authority == self._named:
                return
            where = {"admin": self._address, "authority": authority, **self._beside}
            atomic_file.replace(self._home / ADMIN_ADDRESS, json.dumps(where).encode())
            self._named = authority

    def stop(self, grace: float) -> None:
        """Take the address away, finish the acts under way, refuse new ones."""
        self.withdraw()
        self._interceptor.close(self._server, grace)

    def _perform(self, act: str, values: Mapping[str, object]) -> Mapping[str, object]:
        """Do one act as whoever calls; raises a Refusal."""
        officer = self._access.officer(interceptor.caller().certificate)
        with _as_refusal():
            if officer.custodial and act not in CUSTODIAL:
                self._administration.staff.denied(officer, act, "ROLE_REQUIRED")
                raise NotAllowed(f"{act} is for an officer: give --as FOLDER")
            handler = self._administration.operations.handlers.get(act)
            if self._silent and handler is not None and handler.request.declaration.sends:
                raise UserError(
                    "the gateway is under maintenance and sends nothing: end that, then passerelle serve"
                )
            return self._administration.attend(officer, act, values)

    def withdraw(self) -> None:
        """Take the address away: of this process, or of one that was killed."""
        with self._where, suppress(FileNotFoundError):
            self._beside = None
            (self._home / ADMIN_ADDRESS).unlink()


# Why an officer may not do what another role may.
_OF_ROLES = frozenset({RoleRequired.reason, "APPROVER_ROLE"})


@contextmanager
def _as_refusal() -> Iterator[None]:
    """Say a remedy as the refusal that crosses the wire with its words."""
    try:
        yield
    except NotAllowed as fault:
        kind = RoleRequired if fault.why in _OF_ROLES else OfficerRefused
        raise kind(str(fault)) from None
    except TwoPersons as fault:
        raise SecondPersonRequired(str(fault)) from None
    except UserError as fault:
        raise ActRefused(str(fault)) from None
