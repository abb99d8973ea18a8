"""The operations on evidence of our ledger: cosignatures of witnesses, and time stamps."""

from __future__ import annotations

from typing import Final

from gateway.operations.declaration import Request, argument, operation
from gateway.operations.forms import text
from gateway.operations.keys import READERS

NOTE_BYTES: Final = 131_072  # of the largest cosigned checkpoint


@operation(
    "witness.add",
    roles=READERS,
    command="witness submit",
    examples=("passerelle witness submit can commissioner/passerelle-CAN.cosigned --as staff/p1",),
)
class AddCosignature(Request):
    """Bring an independent witness's cosignature to the gateway whose checkpoint it is."""

    note: str = argument(
        text(rf"(?:[0-9a-f]{{2}}){{1,{NOTE_BYTES}}}", "a cosigned checkpoint in hexadecimal")
    )


@operation(
    "witness.list",
    roles=READERS,
    examples=("passerelle witness list can", "passerelle witness list can --json"),
)
class ListWitnesses(Request):
    """Say who has cosigned the gateway's ledger, up to which entry and when, and whether that is enough."""


@operation(
    "ledger.stamp",
    roles=READERS,
    sends=True,
    examples=("passerelle ledger stamp can", "passerelle ledger stamp can --json"),
)
class Stamp(Request):
    """Have the newest checkpoint stamped by the time stamp authority now, not at the next hour."""
