"""`passerelle keys`: how long our keys last, and their successors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import console
from gateway.cli.console import Home, Json, PassphraseFile, example
from gateway.cli.opening import passphrase_of

if TYPE_CHECKING:
    from gateway.office.renewal import Renewal

SHOWN = 16  # digits of a key id that are enough to tell ours apart

app = typer.Typer(help="See how long our keys last, and renew them.", no_args_is_help=True)


@app.command(
    epilog=example(
        "passerelle keys renew can   # what has ended or ends soon",
        "passerelle keys renew can --kem --tls",
        "passerelle party export can -o CAN.json   # then: every partner imports it",
    )
)
def renew(
    context: typer.Context,
    *,
    home: Home,
    kem: Annotated[bool, typer.Option("--kem", help="Renew the sealing key.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Renew the TLS leaf.")] = False,
    signing: Annotated[bool, typer.Option("--signing", help="Renew the signing key.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Renew keys while the gateway is stopped: those named, else what has ended or ends soon.

    The old sealing key opens for 48 hours more. Until a partner has imported our new bundle it refuses our
    new signature and TLS certificate: agree on the hour with your partners. Interrupted, run it again.
    One person runs it: that a second one approves is not in this release, so let two be present.
    """
    del as_json
    from gateway import config
    from gateway.office import renewal
    from gateway.server.house import House
    from keys.lifecycle import KeyKind

    named = {KeyKind.KEM: kem, KeyKind.SIGNING: signing, KeyKind.TLS_LEAF: tls}
    asked = tuple(kind for kind, wanted in named.items() if wanted)
    file = config.load(home).keys.keyset
    with House.open(home, passphrase_of(home, passphrase_file)) as house:
        now = house.clock()
        kinds = asked or renewal.due(house.keyset, now)
        done = renewal.renew(
            home,
            file,
            house.keyset,
            kinds,
            database=house.database,
            sequencer=house.sequencer,
            now=now,
        )
    _tell(context, home, done)


@app.command(name="list", epilog=example("passerelle keys list can"))
def list_(
    context: typer.Context,
    home: Home,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List our keys: what each is for, where it stands, when it ends, and what comes next."""
    del as_json
    from rich.table import Table

    from gateway import config
    from gateway.office import renewal
    from keys.custody import open_custody
    from keys.keyset import Keyset

    settings, now = config.load(home), datetime.now(UTC)
    custody = open_custody(settings.keys.custody, passphrase_of(home, passphrase_file))
    keyset = Keyset.load(settings.keys.keyset, custody)
    table = Table("key", "kind", "state", "ends", "next", box=None)
    rows = []
    for record in sorted(keyset.records, key=lambda one: (one.kind.value, one.created)):
        end, following = renewal.ends(record), renewal.outlook(keyset, record, now)
        rows.append(
            {
                "kid": record.kid.hex(),
                "kind": record.kind.value,
                "state": record.state.value,
                "ends": end.isoformat(timespec="seconds"),
                "next": following,
            }
        )
        table.add_row(
            record.kid.hex()[:SHOWN],
            record.kind.value,
            record.state.value,
            f"{end:%Y-%m-%d %H:%M}",
            following,
        )
    console.emit(context, {"ok": True, "keys": rows}, table)


def _tell(context: typer.Context, home: Path, done: Renewal) -> None:
    from gateway.bundle import fingerprint

    printed = fingerprint(done.bundle.to_bytes())
    moves = [
        {
            "kid": event.kid.hex(),
            "kind": event.kind.value,
            "from": None if event.previous is None else event.previous.value,
            "to": event.state.value,
        }
        for event in done.events
    ]
    lines = [
        f"{event.kind.value:12} {event.kid.hex()[:SHOWN]}  → {event.state.value}"
        for event in done.events
    ]
    document = {
        "ok": True,
        "renewed": [event.kind.value for event in done.events if event.previous is None],
        "moves": moves,
        "published": done.published,
        "version": done.bundle.version,
        "fingerprint": printed,
    }
    told: tuple[str, ...] = (
        f"fingerprint  {printed}  → read it out to your partners over the telephone",
        (
            f"next         passerelle party export {home} → every partner imports version"
            f" {done.bundle.version}; then passerelle serve {home}"
        ),
    )
    if not done.published:
        told = (f"nothing new  version {done.bundle.version} says what is in use",)
    console.emit(context, document, *lines, *told)
