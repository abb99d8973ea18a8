"""What the settings name outside of themselves: each file is read and each authority asked, as the gateway would."""

from __future__ import annotations

import os
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway import user_files
from gateway.config import Settings
from gateway.errors import InternalError, UserError
from gateway.ledger import timestamp
from gateway.ledger_ops.timestamps import authority_of
from gateway.ledger_ops.witnesses import policy_of
from gateway.server.workers import timestamps
from gateway.trust.partners import own_bundle

PATIENCE: Final = 5.0  # seconds for a proxy to take a connection
MOST_PASSPHRASE: Final = 1_026  # bytes of a passphrase file: 1,024 and an end of line
PROBE: Final = b"passerelle check"  # what the authority is asked to stamp; nothing of the ledger


def try_files(settings: Settings) -> str:
    """Read what the settings name; raises UserError that names the setting and what is wrong with its file."""
    tried = []
    for name, folder in (
        ("directory.folder", settings.directory.folder),
        ("agreements.folder", settings.agreements.folder),
        ("evidence.tiles", settings.evidence.tiles),
    ):
        _folder(name, folder, writes=name == "evidence.tiles")
        tried.append(name)
    if settings.keys.passphrase_file is not None:
        _passphrase(settings.keys.passphrase_file)
        tried.append("keys.passphrase_file")
    if settings.evidence.policy is not None:
        policy_of(settings.evidence.policy, own_bundle(settings.home).log)
        tried.append("evidence.policy")
    if settings.evidence.authority_roots is not None:
        _roots(settings.evidence.authority_roots)
        tried.append("evidence.authority_roots")
    if settings.exchange.proxy is not None:
        _proxy(settings.exchange.proxy)
        tried.append("exchange.proxy")
    return ", ".join(tried)


def try_authority(settings: Settings) -> str:
    """Have the time stamp authority stamp a few bytes and check what it answers; raises UserError, StampRefused, OSError."""
    evidence = settings.evidence
    authority = authority_of(evidence.authority, evidence.authority_roots, evidence.stamped_s)
    if authority is None:
        return "no authority is set: nobody else says when the ledger was so long"
    asked = timestamp.ask(PROBE)
    answer = timestamps.post(authority.address, asked.octets)
    at = timestamp.check(answer, PROBE, [authority.roots], nonce=asked.nonce)
    apart = abs(at - datetime.now(UTC))
    if apart > timestamp.SKEW:
        raise InternalError(
            f"the authority's clock and ours are {apart.total_seconds():.0f} s apart: set ours"
        )
    return f"{authority.address} stamps, its certificate leads to the roots that are set"


def _folder(name: str, folder: Path, *, writes: bool) -> None:
    if not folder.exists() and writes:  # it is made with the first entry
        folder = next(each for each in folder.parents if each.exists())
    if not folder.is_dir():
        raise UserError(f"{name}: {folder} is no folder; make it, or correct the setting")
    if not os.access(folder, os.R_OK | os.X_OK | (os.W_OK if writes else 0)):
        raise UserError(f"{name}: {folder} is not ours to {'write in' if writes else 'read'}")


def _passphrase(file: Path) -> None:
    setting = "keys.passphrase_file"
    try:
        octets = user_files.read(file, MOST_PASSPHRASE)
        others = stat.S_IMODE(file.stat().st_mode) & 0o077
    except user_files.FileRefused as fault:
        raise UserError(f"{setting}: {file}: {fault}") from None
    if others:
        raise UserError(f"{setting}: others may read {file}; run: chmod 600 {file}")
    if not octets.strip(b"\r\n"):
        raise UserError(f"{setting}: {file} is empty; write the passphrase into it")


def _roots(file: Path) -> None:
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(user_files.read(file, timestamp.MOST_ROOTS))
    except user_files.FileRefused as fault:
        raise UserError(f"evidence.authority_roots: {file}: {fault}") from None
    except ValueError:
        raise UserError(
            f"evidence.authority_roots: {file} holds no certificates in PEM (-----BEGIN CERTIFICATE-----)"
        ) from None


def _proxy(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection(
            (host.removeprefix("[").removesuffix("]"), int(port)), timeout=PATIENCE
        ).close()
    except OSError as fault:
        why = fault.strerror or "no address"
        raise UserError(f"exchange.proxy: nobody answers at {address} ({why})") from None
