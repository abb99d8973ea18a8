"""The operations on the key above our keys: where it is, and its change."""

from __future__ import annotations

from gateway.operations.declaration import ALWAYS, Request, argument, operation
from gateway.operations.forms import reason, text
from gateway.operations.keys import OPERATORS, READERS


@operation(
    "custody.show",
    roles=READERS,
    command="keys custody",
    examples=("passerelle keys custody can",),
)
class Show(Request):
    """Say where the key above our keys is, how many seeds it wraps, and how old the last good copy is."""


@operation(
    "custody.rewrap",
    roles=OPERATORS,
    two_persons=ALWAYS,
    command="keys rewrap",
    examples=(
        "passerelle keys rewrap can --new-passphrase-file new.pass --reason 'yearly'",
        (
            "passerelle keys rewrap can --new-passphrase-file pin --reason 'into the token'"
            " --to 'pkcs11:token=passerelle;object=kek-1?module-path=/usr/lib/softhsm/libsofthsm2.so'"
        ),
    ),
)
class Rewrap(Request):
    """Bring all seeds under a new key: two persons. Stopped at any point, it is the old key or the new one.

    Once another operator approves, every seed is wrapped anew, unwrapped again and compared, and then the new key
    is in force: from there on the gateway starts with the new passphrase. Interrupted, propose it again. It may
    serve meanwhile; keys and data stay what they are. Take a backup afterwards: older ones need the old passphrase.
    """

    passphrase_file: str = argument(
        text(
            r"/[^\x00-\x1f]{1,1000}",
            "the whole path of a file that the gateway can read, e.g. /etc/passerelle/new.pass",
        )
    )
    reason: str = reason(help="Why; it goes into the ledger.")
    to: str = argument(
        text(
            r"[ -~]{1,1000}",  # as in the settings
            "file:PATH, or a token's URI, at most 1,000 characters of ASCII",
        ),
        default="",
        help="Where the new key is made: file:PATH, or"
        " pkcs11:token=LABEL;object=NAME?module-path=/path/to/module.so. Default: in the place of the"
        " present file.",
        metavar="URI",
    )
