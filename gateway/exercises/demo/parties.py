"""Two parties from nothing: folders, keys, and bundles exchanged with the fingerprint read out."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from gateway import config, user_files
from gateway.agreements.signatures import SUFFIX, signature
from gateway.errors import UserError
from gateway.exercises import subprocess_cli
from keys.custody import open_custody
from keys.keyset import Keyset

PORTS = range(20_000, 32_000)  # below what systems hand out to outgoing connections by themselves
LISTENERS = 3  # exchange, health, metrics: a party's ports follow each other
FIRST, SECOND = "O-1", "O-2"  # operators of a gateway that has two
TRIES = 200  # draws of a free place; a machine where so many fail has no room for us
PASSPHRASE_BYTES = 24  # random; typed by nobody


@dataclass(frozen=True, slots=True)
class Party:
    """A party that we founded: where its folder is, and the files with its passphrases."""

    id: str
    home: Path
    passphrase_file: Path
    auditor_file: Path
    keepers_file: Path = Path()

    def officer(self, person: str) -> Path:
        """Return the folder of a person's own keys, on what stands for that person's own machine."""
        return self.home.parent / f"{self.id.lower()}-{person}" / "keys"

    def passphrase(self) -> bytes:
        """Return the passphrase of its keys."""
        return self.passphrase_file.read_bytes().strip()

    def auditor_passphrase(self) -> bytes:
        """Return the passphrase of its auditor's keys."""
        return self.auditor_file.read_bytes().strip()

    def keepers_passphrase(self) -> bytes:
        """Return the passphrase of its directory's root key holders."""
        return self.keepers_file.read_bytes().strip()


def found(folder: Path, party: str, legal_name: str, *operators: str) -> Party:
    """Make a party's home below `folder`, on free ports of loopback, with random passphrases.

    operators   pseudonyms of its first operators, who then let others in; without one nobody is let in
    """
    made = Party(
        party,
        folder / party.lower(),
        _passphrase(folder / f"{party.lower()}.pass"),
        _passphrase(folder / f"{party.lower()}-auditor.pass"),
        _passphrase(folder / f"{party.lower()}-keepers.pass"),
    )
    first = [word for each in operators for word in ("--operator", _asks(made, each))]
    subprocess_cli.run(
        *("init", made.home, "--party", party, "--legal-name", legal_name),
        *("--listen", f"127.0.0.1:{free_port()}"),
        *("--passphrase-file", made.passphrase_file),
        *("--auditor-passphrase-file", made.auditor_file),
        *("--root-keys-passphrase-file", made.keepers_file),
        *first,
    )
    return made


def grant_access(party: Party, person: str, *roles: str) -> Path:
    """Have a person make keys, and an operator let them in, or two where it takes two; return the person's folder.

    Into a party without operators its custody lets them, at a stopped gateway, and each is an ALARM there.
    """
    first = party.officer(FIRST) if party.officer(FIRST).exists() else None
    request, own = _asks(party, person), party.officer(person)
    each = [word for role in roles for word in ("--role", role)]
    passphrase = "--passphrase-file", party.passphrase_file
    wanted = ("--request", request, *passphrase)
    how = ("--custody",) if first is None else ()
    done = subprocess_cli.run("staff", "add", party.home, *wanted, *how, *each, officer=first)
    if "proposal" in done:
        approve(party, SECOND, done)
        subprocess_cli.run("staff", "collect", party.home, *wanted, officer=first)
    subprocess_cli.run("staff", "install", own, request.with_name("certificate.json"))
    return own


def _asks(party: Party, person: str) -> Path:
    """Have a person make keys under a passphrase of their own; return the request, in the folder of those keys."""
    own = party.officer(person)
    own.parent.mkdir(mode=0o700)
    secret = _passphrase(subprocess_cli.secret_of(own))
    made = subprocess_cli.run(
        "staff", "request", own, "--official", person, "--passphrase-file", secret
    )
    return Path(str(made["request"]))


def approve(
    party: Party, person: str, proposed: subprocess_cli.Document
) -> subprocess_cli.Document:
    """Have another operator approve what a command proposed; return what came of it."""
    return subprocess_cli.run(
        *("proposals", "approve", party.home, str(proposed["proposal"]), "--yes"),
        *("--passphrase-file", party.passphrase_file),
        officer=party.officer(person),
    )


def introduce(one: Party, other: Party) -> str:
    """Give the bundle of `one` to `other`, and return the fingerprint that was read out and compared."""
    bundle = one.home.parent / f"{one.id}.json"
    bundle.unlink(missing_ok=True)  # of an earlier version
    read_out = str(subprocess_cli.run("party", "export", one.home, "-o", bundle)["fingerprint"])
    heard = subprocess_cli.run("party", "import", other.home, bundle, "--fingerprint", read_out)
    return str(heard["fingerprint"])


def agree(party: Party, name: str, text: str) -> None:
    """Put an agreement file, signed by the party's own key, into its folder."""
    settings = config.load(party.home)
    custody = open_custody(settings.keys.custody, party.passphrase)
    key = Keyset.load(settings.keys.keyset, custody).signing()
    file = settings.agreements.folder / name
    user_files.write(file.with_name(name + SUFFIX), signature(key, text.encode()).encode("ascii"))
    user_files.write(file, text.encode())


def adopt(party: Party, name: str, text: str) -> str:
    """Have one operator of a party propose an agreement, and another approve it; return its digest."""
    file = party.home.parent / f"{name}.toml"
    user_files.write(file, text.encode())
    done = subprocess_cli.run(
        *("agreements", "sign", party.home, file, "--reason", "a demonstration"),
        *("--passphrase-file", party.passphrase_file),
        officer=party.officer(FIRST),
    )
    return str(approve(party, SECOND, done)["answer"]["digest"])


_returned: set[int] = set()


def free_port() -> int:
    """Return the first of three free ports on loopback that follow each other; never one that was returned before.

    Nobody listens there yet: of two that another process chose as well, the second would not start. So all choose from
    the same windows, which do not overlap.
    """
    for _ in range(TRIES):
        first = PORTS.start + LISTENERS * secrets.randbelow(len(PORTS) // LISTENERS)
        free = first not in _returned and all(_is_free(first + at) for at in range(LISTENERS))
        if free:
            _returned.add(first)
            return first
    raise UserError("no free ports on 127.0.0.1; stop what listens there, then try again")


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _passphrase(file: Path) -> Path:
    user_files.create(file, secrets.token_urlsafe(PASSPHRASE_BYTES).encode("ascii") + b"\n")
    return file
