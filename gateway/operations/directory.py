"""The operations on our directory: how it stands, a draft for its root key holders, and their signed file."""

from __future__ import annotations

from gateway.operations.declaration import Request, argument, operation
from gateway.operations.forms import text
from gateway.operations.keys import OPERATORS, READERS


@operation("directory.status", roles=READERS, examples=("passerelle directory status can",))
class Status(Request):
    """Say how each role stands: its version, its end, and how many of its keys must sign."""


@operation("directory.draft", roles=OPERATORS, command="")
class Draft(Request):
    """Return the next file of a role, for its root key holders to sign."""

    role: str = argument(text(r"root|targets", "root or targets"))


@operation("directory.adopt", roles=OPERATORS, command="")
class Adopt(Request):
    """Publish a file that enough root key holders signed; a pair of ours that it names is promoted with it."""

    metadata: str = argument(
        text(
            r"[A-Za-z0-9+/=]{4,349528}",  # of the largest metadata file
            "a metadata file of the directory in base64",
        )
    )
