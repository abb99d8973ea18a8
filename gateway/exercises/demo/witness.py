"""What others hold of the ledger: a partner's cosignature, a commissioner's witness, a bundle that needs no gateway."""

from __future__ import annotations

from pathlib import Path

from gateway import user_files
from gateway.client import Partner
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.ledger.signed_note import VerifierKey, line_of
from gateway.trust.partners import own_bundle

WITNESS = "privacy.example.ca/witness"  # a name of this demonstration alone
FLIPPED = 4096  # a byte within the first entries of a bundle


def cosigned(partner: Partner, asker: Party) -> Promise:
    """Have the partner cosign the ledger, and see its line under what the gateway now shows to everybody."""
    checkpoint = partner.cosign()
    key = VerifierKey.parse(own_bundle(asker.home).witness)
    shown = partner.cosigned()
    held = bool(shown) and line_of(shown, key) is not None
    return Promise(
        "AUS cosigns CAN's ledger as its witness, once it proved that it only grew",
        f"{checkpoint.size} entries under CAN's two signatures and {key.name}'s",
        held,
    )


def handed_over(can: Party, auditor: Path, scratch: Path) -> Promise:
    """Export the ledger, verify the file with nothing else, and see one flipped byte found."""
    bundle, spoilt = scratch / "can.bundle", scratch / "spoilt.bundle"
    subprocess_cli.run(
        *("ledger", "export", can.home, "-o", bundle, "--reason", "the demonstration's audit"),
        *("--passphrase-file", can.passphrase_file),
        officer=auditor,
    )
    party = can.home / "party.json"
    whole = subprocess_cli.run("ledger", "verify", bundle, "--party", party, accept=(0, 1))
    octets = bytearray(bundle.read_bytes())
    octets[len(octets) // 2 + FLIPPED] ^= 1
    user_files.create(spoilt, bytes(octets))
    found = subprocess_cli.run("ledger", "verify", spoilt, "--party", party, accept=(0, 1))
    return Promise(
        "the ledger leaves in one file that is verified without the gateway; a flipped byte is found",
        f"{whole['size']} entries, {bundle.stat().st_size / 2**20:.1f} MiB, whole;"
        f" spoilt: {len(found['findings'])} findings",
        bool(whole["ok"]) and not found["ok"],
    )


def watched(can: Party, scratch: Path) -> Promise:
    """Let somebody who is no partner look at the published files, and cosign what is there."""
    folder, secret = scratch / "commissioner", scratch / "commissioner.pass"
    user_files.create(secret, b"the demonstration's witness")
    words = ("--passphrase-file", secret)
    subprocess_cli.run("witness", "new", folder, "--name", WITNESS, *words)
    seen = subprocess_cli.run(
        *("witness", "run", folder, "--party", can.home / "party.json"),
        *("--from", can.home / "ledger", "--once", *words),
        accept=(0, 1, 2),
    )
    return Promise(
        "a witness who is no partner proves from the published files that the ledger only grew",
        f"{seen.get('size', 0)} entries; its line is in {Path(str(seen.get('cosigned', ''))).name}",
        bool(seen["ok"]),
    )
