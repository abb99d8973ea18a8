"""Proof that prints are gone: the destruction receipt of every answer, checked with nothing but the party's bundle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.check import Promise
from gateway.ledger import destruction_receipt
from gateway.ledger.errors import ReceiptRefused
from gateway.server import self_check
from gateway.trust.bundle import PartyBundle


def proved(
    home: Path, bundle: Path, named: Mapping[str, str], scratch: Path
) -> tuple[Promise, int]:
    """Have the gateway write the receipts that its answers named, and verify each without the gateway.

    named   receipt by transaction number, as the partner kept them

    The first goes by the commands that a partner and an auditor use; the others by the same functions.
    """
    log = PartyBundle.parse(bundle.read_bytes()).log
    held = 0
    for number, receipt in named.items():
        try:
            octets = self_check.destruction(home, receipt)
            found = destruction_receipt.verify(octets, log, datetime.now(UTC), receipt)
        except (UserError, ReceiptRefused):
            continue
        held += found.frame.transaction_number == number
    shown = _by_command(home, bundle, next(iter(named.values()), ""), scratch / "destroyed.json")
    promise = Promise(
        "the prints of every query are destroyed: its receipt holds, off-line, by CAN's public bundle alone",
        f"{held} of {len(named)}; {shown}",
        held == len(named) > 0,
    )
    return promise, held


def _by_command(home: Path, bundle: Path, receipt: str, file: Path) -> str:
    subprocess_cli.run("ledger", "destruction", home, receipt, "-o", file)
    held = subprocess_cli.run(
        "ledger", "verify-receipt", file, "--party", bundle, "--receipt", receipt, accept=(0, 1)
    )
    if not held["ok"]:
        raise UserError(f"passerelle ledger verify-receipt refused {receipt}")
    return f"{receipt[:10]}… is entry {held['index']} of {held['size']}"
