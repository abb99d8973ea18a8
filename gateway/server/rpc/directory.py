"""DirectoryService: the files of our directory, byte for byte, to whoever is pinned.

What is served is signed by itself; a name that is none of ours is not looked for on the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import grpc

from gateway.errors import DirectoryFileUnknown, ElementInvalid
from gateway.v1 import directory_pb2, directory_pb2_grpc
from gateway.wire.decoding import refuse_unknown


class Files(Protocol):
    """The reading side of the directory's folder."""

    def metadata(self, name: str) -> bytes | None:
        """Return a metadata file, or None."""

    def target(self, path: str, sha256: bytes) -> bytes | None:
        """Return a target, or None."""


class DirectoryService(directory_pb2_grpc.DirectoryServiceServicer):
    """DirectoryService over the folder's files."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def GetMetadata(  # noqa: N802 - the name of the RPC
        self, request: directory_pb2.GetMetadataRequest, context: grpc.ServicerContext
    ) -> directory_pb2.GetMetadataResponse:
        """Return one metadata file."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        return directory_pb2.GetMetadataResponse(
            content=_found(lambda: self._files.metadata(request.name))
        )

    def GetTarget(  # noqa: N802
        self, request: directory_pb2.GetTargetRequest, context: grpc.ServicerContext
    ) -> directory_pb2.GetTargetResponse:
        """Return one target file."""
        del context
        refuse_unknown(request, "request", ElementInvalid)
        return directory_pb2.GetTargetResponse(
            content=_found(lambda: self._files.target(request.path, request.sha256))
        )


def install(server: grpc.Server, files: Files) -> None:
    """Add the service to a server."""
    directory_pb2_grpc.add_DirectoryServiceServicer_to_server(DirectoryService(files), server)


def _found(read: Callable[[], bytes | None]) -> bytes:
    content = read()
    if content is None:
        raise DirectoryFileUnknown
    return content
