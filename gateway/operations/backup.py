"""The operations on backups: for whom they are sealed, and that one is taken."""

from __future__ import annotations

from gateway.operations.declaration import ALWAYS, Request, argument, operation
from gateway.operations.forms import octets, reason
from gateway.operations.keys import OPERATORS, READERS, SEALING_KEY_BYTES


@operation("backup.show", roles=READERS, command="")
class Show(Request):
    """Return for which recovery key backups are sealed."""


@operation(
    "backup.begin",
    roles=OPERATORS,
    command="backup",
    examples=("passerelle backup can /mnt/backup/can-2026-03-01.backup",),
)
class Begin(Request):
    """Write the gateway into one file that only the recovery key opens; it may serve meanwhile.

    Settings, wrapped keys, ledger, gallery, agreements, partners and their checkpoints: as of one moment. FILE.keys
    beside it holds the keys to sealed details: keep it until the next backup and no longer.
    """


@operation(
    "backup.recipient",
    roles=OPERATORS,
    two_persons=ALWAYS,
    command="recovery use",
    examples=("passerelle recovery use can recipient.json --reason 'yearly'   # two operators",),
)
class Recipient(Request):
    """Propose that backups are sealed for a recovery key from now on; another operator approves it."""

    public: bytes = argument(octets(SEALING_KEY_BYTES))
    reason: str = reason(help="Why; it goes into the ledger.")
