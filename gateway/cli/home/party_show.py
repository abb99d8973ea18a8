"""`passerelle party show`: what a folder holds of a partner, or of itself, key by key. It opens no key of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.output import Home
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.home_layout import WITNESS

if TYPE_CHECKING:
    from gateway.trust.bundle import BundleKey, PartyBundle

app = typer.Typer()


@plain_command(app, "passerelle party show can AUS", "passerelle party show can   # our own entry")
def show(
    context: typer.Context,
    home: Home,
    party: Annotated[
        str, typer.Argument(metavar="[PARTY]", help="The partner; without it our own entry.")
    ] = "",
) -> None:
    """Show an entry: endpoints, every key with its id and end, what we refuse of it, and what is agreed.

    Ids are those that `passerelle keys compromised --partner` takes and that the partner's `keys list` shows.
    """
    from rich.table import Column, Table

    from gateway.trust.bundle import fingerprint

    entry, now = _entry(home, party), datetime.now(UTC)
    keys = list(_keys(home, entry, now))
    agreed = _agreed(home, entry.party, now)
    facts: dict[str, object] = {
        "party": entry.party,
        "legal_name": entry.legal_name,
        "version": entry.version,
        "issued": entry.issue_time.isoformat(timespec="seconds"),
        "fingerprint": fingerprint(entry.to_bytes()),
        "endpoints": list(entry.endpoints),
        "ledger": entry.log.origin,
        "ledger_seen": _seen(home, entry),
        "directory": None if entry.root is None else f"begins at root version {entry.root.version}",
        "witness": bool(entry.witness),
        "agreements": agreed,
        "waiting": _waiting(home, entry.party),
    }
    table = Table("key", Column("id or pin", overflow="fold"), "serial", "until", "", box=None)
    for one in keys:
        table.add_row(
            *(str(one[name] or "") for name in ("kind", "id", "serial", "until", "state"))
        )
    lines = [f"{name:<12} {_plain(value)}" for name, value in facts.items()]
    output.emit(context, {"ok": True, **facts, "keys": keys}, *lines, table)


def _entry(home: Path, party: str) -> PartyBundle:
    from gateway import config
    from gateway.trust.configured import directory_of
    from gateway.trust.partners import own_bundle

    settings = config.load(home)
    if party in {"", settings.gateway.party}:
        return own_bundle(home)
    known = {one.party: one for one in directory_of(settings).stated()}
    if party not in known:
        names = ", ".join(sorted(known)) or "none yet"
        raise UserError(
            f"no partner {party} is known here; known: {names}  → passerelle party import"
        )
    return known[party]


def _keys(home: Path, entry: PartyBundle, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield each key of an entry; one that we stopped is refused whatever it says of itself."""
    from gateway import config
    from gateway.server import expiry_of_folder
    from keys import certificates
    from keys.envelope import SealingKey
    from keys.signatures import VerifyingKey

    refused = expiry_of_folder.refused(config.load(home))(entry.party)

    def row(kind: str, kid: bytes, until: datetime | None, state: str, serial: str = "") -> Any:  # noqa: ANN401
        return {
            "kind": kind,
            "id": kid.hex(),
            "serial": serial or None,
            "until": None if until is None else until.isoformat(timespec="seconds"),
            "state": "REFUSED" if kid in refused else state,
        }

    for signing in entry.signing:
        kid = VerifyingKey(signing.public).key_id
        yield row("SIGNING", kid, signing.not_after, _state(signing, now))
    for kem in entry.kem:
        yield row("KEM", SealingKey(kem.public).key_id, kem.not_after, _state(kem, now))
    for pem in certificates.authorities_in(entry.tls_ca_pem):
        until = certificates.validity(pem)[1]
        state = "valid" if until > now else "ended"
        serial = f"{certificates.parsed(pem).serial_number:x}"
        yield row("TLS_CA", certificates.pin(pem), until, state, serial)
    for pin in entry.tls_pins:
        yield row("TLS_LEAF", pin, None, "pinned")


def _state(key: BundleKey, now: datetime) -> str:
    if key.valid(now):
        return "valid"
    return "ended" if key.not_after <= now else "not yet valid"


def _agreed(home: Path, party: str, now: datetime) -> list[str]:
    """Return the agreements in force with a partner; with ourselves there are none."""
    from gateway.law.query_policy import in_force
    from gateway.server import expiry_of_folder

    found = expiry_of_folder.agreements(home, now).agreements
    every = (each for versions in found.values() for each in versions)
    return sorted(each.name for each in every if each.partner == party and in_force(each, now))


def _seen(home: Path, entry: PartyBundle) -> str | None:
    """Return how far we have seen the partner's ledger; None where we have not looked yet, or it does not verify."""
    from gateway.ledger.errors import AuditFault
    from gateway.ledger.signed_note import MAX_NOTE

    kept = home / WITNESS / f"{entry.party}.checkpoint"
    try:
        return f"{entry.log.open(user_files.read(kept, MAX_NOTE)).size} entries"
    except (user_files.FileRefused, AuditFault):
        return None


def _waiting(home: Path, party: str) -> str | None:
    """Return the file of an entry that waits for people to compare it; None for none."""
    from gateway import config
    from gateway.trust.partners import WAITING

    path = config.load(home).directory.folder / f"{party}{WAITING}"
    return str(path) if path.is_file() else None


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
