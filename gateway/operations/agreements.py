"""The operation on agreements: our signature under one."""

from __future__ import annotations

from gateway.law.toml_reader import MAX_BYTES
from gateway.operations.declaration import ALWAYS, Request, argument, operation
from gateway.operations.forms import reason, text
from gateway.operations.keys import OPERATORS


@operation(
    "agreements.sign",
    roles=OPERATORS,
    two_persons=ALWAYS,
    examples=(
        "passerelle agreements sign can au-2.toml --reason 'countersigned by both parties'",
        "passerelle proposals approve can P-0123456789abcdef --as p2   # another operator: then it is in the folder",
    ),
)
class Sign(Request):
    """Propose that the gateway signs an agreement file. Once another operator approves, the file is in its folder.

    The gateway then holds file and signature in its agreements folder, and takes them in its next round.
    """

    file: str = argument(
        text(
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.toml",
            "the name of an agreement file, without a folder, e.g. au-2.toml",
        )
    )
    text: str = argument(text(rf"(?s).{{1,{MAX_BYTES}}}", "the text as the file has it, unaltered"))
    reason: str = reason(help="Why it may come into force; for the ledger.", metavar="")
