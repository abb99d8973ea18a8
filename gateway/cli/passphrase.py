"""What commands need to open a home directory: its passphrase, and its settings as they are in force."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import user_files
from gateway.cli import output
from gateway.errors import UserError
from gateway.home_layout import ADMIN_ADDRESS

if TYPE_CHECKING:
    from gateway.client import Partner
    from gateway.ledger.signed_note import LogIdentity


def passphrase_of(home: Path, file: Path | None) -> Callable[[], bytes]:
    """Return what fetches the passphrase of a home directory's keys.

    The file named on the command line wins over `keys.passphrase_file` of the settings, and both over
    asking a person. From here on the process leaves no core image: what follows opens keys. An open gateway is asked
    without its passphrase, so that the settings are then not read; of any other folder they are at once, before
    anybody is asked for anything.
    """
    from gateway.server.process_hardening import forbid_core

    forbid_core()

    def fetch() -> bytes:
        return _passphrase_of(home, file)()

    with suppress(OSError, ValueError):  # no such path: the settings say so, in their own words
        if (home / ADMIN_ADDRESS).exists():
            return fetch
    return _passphrase_of(home, file)


def _passphrase_of(home: Path, file: Path | None) -> Callable[[], bytes]:
    from gateway import config

    settings = config.load(home)
    return output.passphrase_from(
        file or settings.keys.passphrase_file, f"{settings.gateway.party}'s keys"
    )


def log_of(party: Path) -> LogIdentity:
    """Return the ledger keys in a party's bundle that a person named."""
    from gateway.trust.bundle import MAX_BUNDLE, PartyBundle

    return PartyBundle.parse(user_files.named(party, MAX_BUNDLE)).log


def effective(home: Path) -> dict[str, object]:
    """Return every setting by `section.key` as it is in force, in the types of JSON; none is a secret."""
    from gateway import config

    tree = config.load(home).model_dump(mode="json", exclude={"home"})
    return {
        f"{section}.{key}": value
        for section, table in sorted(tree.items())
        for key, value in table.items()
    }


def partner_of(home: Path, party: str, passphrase_file: Path | None) -> Partner:
    """Return a partner out of a home directory, less the keys that this gateway refuses; it is closed by whoever asked."""
    from gateway import config
    from gateway.client import Partner
    from gateway.server import expiry_of_folder

    refused = expiry_of_folder.refused(config.load(home))(party)
    return Partner.open(home, party, passphrase_of(home, passphrase_file), refused)


def demand_no_law(home: Path, instead: str) -> None:
    """Raise UserError for a gateway that has agreements of its own: its law is asked before a partner is.

    `instead` names the command that asks it. Who holds no agreement asks as a partner does, and the law of
    whoever answers decides.
    """
    from gateway import config

    if any(config.load(home).agreements.folder.glob("*.toml")):
        raise UserError(
            f"this gateway asks under agreements of its own, which are to be asked first: {instead}"
        )
