"""What the asker reads of its own home directory: three settings, its keyset, the peer's bundle.

The settings are read with the standard library, because a partner carries this away without the gateway
and its configuration machinery; names and precedence are those of `passerelle.toml`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway import bounded_toml, user_files
from gateway.bounded_toml import TomlRefused
from gateway.errors import UserError
from gateway.home_layout import SETTINGS, WITNESS
from gateway.settings_names import OldName, refuse_old_variables, with_new_names
from gateway.trust import endpoints
from gateway.trust.bundle import MAX_BUNDLE, PartyBundle
from gateway.trust.partners import Directory, without
from keys import strict_json
from keys.custody import open_custody
from keys.keyset import Keyset

LARGEST = 65_536  # bytes of it; what the gateway itself reads
CUSTODY = "file:keys/kek.json"  # default of [keys] custody; relative to the home directory
KEYSET = "keys/keyset.json"  # default of [keys] keyset
LISTEN = "127.0.0.1:7443"  # default of [exchange] listen
PARTIES = "parties"  # default of [directory] folder
NONE: frozenset[bytes] = frozenset()
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]{2,39}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}")
PARTY = re.compile(r"[A-Z0-9-]{2,32}")  # protocol 3, sender_id


@dataclass(frozen=True, slots=True, eq=False)
class HomeDirectory:
    """What a partner needs to ask one peer; `keep` makes a newer bundle of it durable."""

    party: str
    keyset: Keyset
    peer: PartyBundle
    witness: Path
    keep: Callable[[bytes], PartyBundle]
    proxy: str | None = None


def read_folder(
    home: Path, peer: str, passphrase: Callable[[], bytes], refused: frozenset[bytes] = NONE
) -> HomeDirectory:
    """Read a home directory that `passerelle init` made.

    refused   ids of the peer's keys, pins and authorities that a gateway here refuses; none of them is used

    Raises `UserError` where something is not there, `MalformedBundle`, and what opening the keyset raises.
    """
    settings = _settings(home / SETTINGS)
    party = _setting(settings, "gateway", "party", "")
    if not party:
        raise UserError(f"{home / SETTINGS}: [gateway] party is missing; it names this party")
    parties = home / _setting(settings, "directory", "folder", PARTIES)
    bundle = parties / f"{peer}.json"
    if not PARTY.fullmatch(peer) or not bundle.is_file():
        known = sorted(path.stem for path in parties.glob("*.json"))
        raise UserError(
            f"no party {peer} is known in {home}; known: {', '.join(known) or 'none'};"
            " import its bundle with `passerelle party import`"
        )
    custody = open_custody(
        _within(home, _setting(settings, "keys", "custody", CUSTODY)), passphrase
    )
    keyset = Keyset.load(home / _setting(settings, "keys", "keyset", KEYSET), custody)
    return HomeDirectory(
        party=party,
        keyset=keyset,
        peer=_believed(home, PartyBundle.parse(user_files.named(bundle, MAX_BUNDLE)), refused),
        witness=home / WITNESS / f"{peer}.checkpoint",
        keep=Directory(
            parties, party, blocked=lambda: {peer: refused}, rule=_rule(settings)
        ).update_bundle,
        proxy=_proxy(settings),
    )


def _believed(home: Path, stated: PartyBundle, refused: frozenset[bytes]) -> PartyBundle:
    """Return a bundle less what is refused; raises UserError where nothing is left of a kind."""
    left = without(stated, refused)
    if refused and not all((left.kem, left.signing, left.tls_pins, left.tls_ca_pem)):
        raise UserError(
            f"all keys of a kind that {stated.party} has are refused here, so it is neither asked nor believed:"
            f" passerelle party show {home} {stated.party} says which; import its new bundle, or passerelle keys unblock"
        )
    return left


def _proxy(settings: dict[str, object]) -> str | None:
    """Return the proxy by which peers are reached; None for none."""
    stated = _setting(settings, "exchange", "proxy", "")
    if stated and not _ADDRESS.fullmatch(stated):
        raise UserError(f"{SETTINGS}: [exchange] proxy is host:port, as proxy.example:3128")
    return stated or None


def _rule(settings: dict[str, object]) -> endpoints.Rule:
    """Return which endpoints of the peer's newer entries we connect to."""
    listen = _setting(settings, "exchange", "listen", LISTEN)
    hosts = _settings_list(settings, "exchange", "hosts")
    allowed = _settings_list(settings, "directory", "allowed_endpoints")
    return endpoints.Rule.made((listen,), hosts, allowed)


def _settings(path: Path) -> dict[str, object]:
    try:
        refuse_old_variables(os.environ)
        return with_new_names(bounded_toml.read(user_files.read(path, LARGEST), LARGEST))
    except user_files.FileMissing:
        raise UserError(
            f"{path} does not exist; make the home directory with `passerelle init`"
        ) from None
    except user_files.FileRefused as fault:
        raise UserError(f"{path} cannot be read: {fault}") from None
    except TomlRefused as fault:
        raise UserError(f"{path}: {fault}; correct it there") from None
    except OldName as fault:
        raise UserError(f"{path}: {fault}") from None


def _setting(settings: dict[str, object], section: str, name: str, default: str) -> str:
    """Return a setting: the environment before the file, the file before the default."""
    table = settings.get(section)
    stated = table.get(name, default) if isinstance(table, dict) else default
    value = os.environ.get(f"PASSERELLE_{section}__{name}".upper(), stated)
    if not isinstance(value, str):
        raise UserError(f"{SETTINGS}: [{section}] {name} must be a text")
    return value


def _settings_list(settings: dict[str, object], section: str, name: str) -> list[str]:
    """Return a setting that is a list of texts, in the environment as JSON; empty by default."""
    table = settings.get(section)
    stated = table.get(name, []) if isinstance(table, dict) else []
    variable = os.environ.get(f"PASSERELLE_{section}__{name}".upper())
    try:
        value = stated if variable is None else strict_json.read(variable.encode(), LARGEST)
    except ValueError:
        value = None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UserError(f"{SETTINGS}: [{section}] {name} must be a list of texts")
    return value


def _within(home: Path, uri: str) -> str:
    """Return a custody URI with its path, where relative, taken from the home directory."""
    scheme, _, path = uri.partition(":")
    return f"{scheme}:{home / path}" if scheme == "file" and path else uri
