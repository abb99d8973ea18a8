"""Health for the orchestrator (grpc.health.v1): `Check`, and nothing that goes on.

Whoever reaches the port may ask, without a certificate. So a question is read completely, answered from one value in memory
and forgotten; `Watch`, which would have us write to whoever does not read, is UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

SERVICE = "grpc.health.v1.Health"


class Health:
    """Whether we serve, by service; "" is all of them."""

    def __init__(self) -> None:
        self._shown: Mapping[str, bool] = {"": False}

    def show(self, services: Iterable[str], *, serving: bool) -> None:
        """Say from now on whether these serve; waits for nobody, for readers take what is there."""
        self._shown = dict.fromkeys(services, serving)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401, N802 - untyped; the RPC's name
        """Answer SERVING or NOT_SERVING; NOT_FOUND for a service that is none of ours."""
        serving = self._shown.get(request.service)
        if serving is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        status = health_pb2.HealthCheckResponse
        return status(status=status.SERVING if serving else status.NOT_SERVING)

    def _check_answer(self, octets: bytes, context: grpc.ServicerContext) -> Any:  # noqa: ANN401
        # Parsed here: what the library cannot parse it writes to the log, with a traceback, each time.
        try:
            request = health_pb2.HealthCheckRequest.FromString(octets)
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a health check")
        return self.Check(request, context)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server is given; it has the one method."""
        check: grpc.RpcMethodHandler[bytes, Any] = grpc.unary_unary_rpc_method_handler(
            self._check_answer, response_serializer=health_pb2.HealthCheckResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})
