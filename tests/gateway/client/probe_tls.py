"""Offer a partner a server of one TLS version after another; print which it shook hands with.

gRPC was in use before our SDK came, and speaks what it likes: nothing in the environment helps.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from gateway.client import Partner, PartnerError, TlsTooOld
from gateway.ledger.signed_note import LogIdentity
from gateway.trust.bundle import BundleKey, PartyBundle
from keys.custody import Argon2Cost, FileCustody
from keys.keyset import Keyset


def offer(
    leaf: Path, version: ssl.TLSVersion, found: dict[str, str | None]
) -> tuple[int, threading.Thread]:
    """Listen for one connection, of that version alone; return the port, and who listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(leaf)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))

    def shake() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                found[version.name] = secure.version()
        except (ssl.SSLError, OSError):
            found[version.name] = None
        listener.close()

    listening = threading.Thread(target=shake, daemon=True)
    listening.start()
    return int(listener.getsockname()[1]), listening


def main() -> None:
    """Print one JSON object: version offered, version spoken."""
    os.environ.pop("GRPC_SSL_CIPHER_SUITES", None)
    grpc.ssl_channel_credentials()
    with tempfile.TemporaryDirectory() as folder:
        json.dump(probe(Path(folder)), sys.stdout)


def parties(folder: Path) -> tuple[Keyset, PartyBundle, Path]:
    """Return the asker's keys, the bundle of whom it asks, and a file with that one's TLS key and chain."""
    custody = FileCustody.create(
        folder / "kek.json", b"a passphrase for tests", Argon2Cost(64, 1, 1)
    )
    born = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    theirs, ours = (Keyset.create(born, party, custody) for party in ("CAN", "AUS"))
    key = BundleKey(theirs.kem().public, born, born + timedelta(days=1))
    bundle = PartyBundle(
        party="CAN",
        legal_name="CAN",
        version=1,
        issue_time=born,
        endpoints=("127.0.0.1:1",),
        kem=(key,),
        signing=(replace(key, public=theirs.signing().public),),
        tls_ca_pem=theirs.tls_ca_pem,
        tls_pins=theirs.tls_pins,
        log=LogIdentity.from_log_key("can.example/exchange-log", theirs.log()),
    )
    leaf = folder / "leaf.pem"
    leaf.write_bytes(b"".join(theirs.tls()))
    return ours, bundle, leaf


def probe(folder: Path) -> dict[str, str | None]:
    """Return what was spoken, by version offered."""
    ours, bundle, leaf = parties(folder)
    found: dict[str, str | None] = {}
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        port, listening = offer(leaf, version, found)
        with Partner.connect("AUS", ours, bundle, address=f"127.0.0.1:{port}") as partner:
            try:
                partner.capabilities(deadline=2.0)
            except TlsTooOld:
                found["refused"] = version.name
            except PartnerError:
                continue
            else:
                sys.exit("a server that is none cannot have answered")
            finally:
                listening.join(10)
    return found


if __name__ == "__main__":
    main()
