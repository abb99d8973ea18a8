"""The command line: what a person types, what they are told, and the exit code.

Knows: options, tables, JSON, messages.
Must not know: decisions; a command calls the part that knows.
Start reading at: `main.py`.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

# gRPC reads both once, when it is first imported. Here the process is ours: what a command asks of, our own admin
# listener among them, is asked by TLS 1.3 alone (`gateway.server`), and what goes wrong is said by us, once.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

_tell, _tell_ignored = sys.excepthook, sys.unraisablehook


def _excepted(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """Say that it was Ctrl-C, where it came before there was a command, or after; never where in our code."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("passerelle: interrupted\n")
    else:
        _tell(kind, fault, trace)


def _ignored(said: sys.UnraisableHookArgs) -> None:
    if not issubclass(said.exc_type, KeyboardInterrupt):
        _tell_ignored(said)


sys.excepthook, sys.unraisablehook = _excepted, _ignored
