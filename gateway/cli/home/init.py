"""`passerelle init`: a party's home directory, whole or not at all.

Everything is made in a folder beside the wanted one and renamed into place at the end, so that a crash,
a full disk or a mistyped passphrase leaves nothing behind that looks like a gateway.

    passerelle.toml        settings                     agreements/*.toml  what was agreed, as data
    keys/                  our keys, wrapped            store/             the ledger and the gallery
    party.json             our public bundle            witness/           partners' checkpoints
    parties/<ID>.json      partners' public bundles     auditor/           to be carried away
    directory/             what partners read of us     keepers/1 … 5      to be carried away
"""

from __future__ import annotations

import functools
import ipaddress
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.admin.staff import grant_first, requested
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.home_layout import AUDITOR, FOLDERS, KEEPERS, OWN_ENTRY
from keys import atomic_file

app = typer.Typer()

FOLDER_MODE = 0o700  # nobody but the gateway's own user
MAX_NAME = 200  # characters of a legal name, as in the settings and in bundles
MAX_PORT = 65_533  # the greatest that leaves two more for health and metrics
PARTY = re.compile(r"[A-Z0-9-]{2,32}")  # protocol 3, sender_id


_label = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class NewHome:
    """Who is founded, and where partners reach it.

    hosts  names and addresses in the TLS leaf; the first is the one that partners are told
    """

    party: str
    legal_name: str
    listen: str
    hosts: tuple[str, ...]

    @property
    def endpoint(self) -> str:
        """The address that partners are told: first host, port of the listener."""
        host = self.hosts[0]
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{self.listen.rpartition(':')[2]}"


@plain_command(
    app,
    "passerelle init can --party CAN --legal-name 'Immigration, Refugees and Citizenship Canada'",
    "passerelle init aus --party AUS --listen 0.0.0.0:7443 --host gateway.example.au",
)
def init(
    context: typer.Context,
    *,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Home directory to make; it must not exist, or be empty."
        ),
    ],
    party: Annotated[
        str, typer.Option(metavar="ID", help="Our name to partners, e.g. CAN: 2-32 of A-Z, 0-9, -.")
    ],
    legal_name: Annotated[
        str, typer.Option(help="The authority's full name, for people who compare bundles.")
    ] = "",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the exchange listens.")
    ] = "127.0.0.1:7443",
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name or address by which partners reach us; may be repeated, the first goes into our"
            " bundle. Default: the host of --listen.",
        ),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the passphrase of the keys; else a prompt."),
    ] = None,
    auditor_passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the auditor's passphrase; else a prompt."),
    ] = None,
    root_keys_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--root-keys-passphrase-file",
            "--keepers-passphrase-file",
            metavar="FILE",
            help="File with the passphrase that seals the root key holders' folders until each takes an own one; else a"
            " prompt.",
        ),
    ] = None,
    operator: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Request of an operator, made by `passerelle staff request` on the operator's own machine; name two, for"
            " what is dangerous takes two. Each one's certificate is written beside it, certificate.json.",
        ),
    ] = None,
) -> None:
    """Make the home directory of a party: keys, certificates, public bundle, agreements, auditor's keys."""
    from gateway.server.process_hardening import forbid_core

    forbid_core()
    charter = _charter(party, legal_name, listen, tuple(host or ()))
    operators = requested(operator or [])
    # Asked for once, though a first operator needs it a second time.
    passphrase = functools.cache(
        output.passphrase_from(passphrase_file, f"{party}'s keys", new=True)
    )
    auditor = output.passphrase_from(
        auditor_passphrase_file, "the auditor", new=True, option="--auditor-passphrase-file"
    )
    keepers = output.passphrase_from(
        root_keys_passphrase_file,
        "the directory's root key holders",
        new=True,
        option="--root-keys-passphrase-file",
    )
    now = datetime.now(UTC)

    def let_in(home: Path) -> None:
        for wanted, out in operators:
            grant_first(home, wanted, out, passphrase=passphrase)

    try:
        agreements, printed = found(
            folder,
            charter,
            passphrase=passphrase,
            auditor=auditor,
            keepers=keepers,
            now=now,
            let_in=let_in,
        )
    except BaseException as fault:
        if not (folder / OWN_ENTRY).exists():
            for _, out in operators:  # none lay there before: `requested` looked
                out.unlink(missing_ok=True)
        if not isinstance(fault, OSError):
            raise
        if user_files.is_full(fault):
            raise UserError(user_files.no_room(folder.absolute().parent)) from None
        raise UserError(
            f"{folder} cannot be made: {user_files.why(fault)}; take a folder below one that you may write to"
        ) from None
    note = f"agreements   {', '.join(agreements)}" if agreements else _NO_AGREEMENTS
    output.emit(
        context,
        {
            "ok": True,
            "home": str(folder),
            "party": party,
            "endpoint": charter.endpoint,
            "fingerprint": printed,
            "agreements": agreements,
            "auditor": str(folder / AUDITOR),
            "keepers": str(folder / KEEPERS),
            "operators": {wanted.person: str(out) for wanted, out in operators},
        },
        f"party        {party}  {charter.legal_name}",
        f"home         {folder}",
        f"endpoint     {charter.endpoint}",
        f"fingerprint  {printed}",
        note,
        f"auditor      {folder / AUDITOR}  → hand it to the auditor and delete it here",
        f"root keys    {folder / KEEPERS}/1 … 5  → hand each to its person and delete it here",
        *(f"operator     {wanted.person}  {out}" for wanted, out in operators),
        f"next         passerelle party export {folder} → to your partners",
    )


_NO_AGREEMENTS = (
    "agreements   none is packaged for this party; put files into agreements/ before others ask"
)


def found(
    folder: Path,
    charter: NewHome,
    *,
    passphrase: Callable[[], bytes],
    auditor: Callable[[], bytes],
    now: datetime,
    keepers: Callable[[], bytes] | None = None,
    let_in: Callable[[Path], object] = lambda _: None,
) -> tuple[list[str], str]:
    """Make `folder`; return the names of its agreement files and our bundle's fingerprint.

    (1) nothing is there: an existing folder must be empty
    (2) passphrases are asked for before anything is written; they differ
    (3) all of it is made in a sibling folder, and who is let in is let in there
    (4) one rename puts it in place

    let_in    takes the sibling folder; whatever stops it stops all
    keepers   the passphrase of the directory's root key holders; None for a party that publishes no directory

    Raises `UserError` or `KeysError`; nothing half-made stays.
    """
    _demand_free(folder)  # (1)
    ours, theirs = passphrase(), auditor()  # (2)
    third = None if keepers is None else keepers()
    if ours == theirs:
        raise UserError(
            "the auditor's passphrase must differ from the gateway's: what the gateway cannot open is the point"
        )
    if third in {ours, theirs}:
        raise UserError(
            "the root key holders' passphrase must differ from the gateway's and the auditor's: five more people know it"
        )
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=parent))  # mode 0700
    try:
        made = _furnish(draft, charter, ours, theirs, third, now)  # (3)
        let_in(draft)
        with suppress(FileNotFoundError):
            folder.rmdir()  # it is empty, or this fails
        draft.rename(folder)  # (4)
        atomic_file.flush_folder(parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return made


def _furnish(  # noqa: PLR0917 - what a folder is made of
    home: Path,
    charter: NewHome,
    ours: bytes,
    theirs: bytes,
    keepers: bytes | None,
    now: datetime,
) -> tuple[list[str], str]:
    from gateway import config
    from gateway.keymanagement.bundle_renewal import bundle_of
    from gateway.store.address import open_store
    from gateway.trust.bundle import fingerprint
    from keys.custody import FileCustody
    from keys.keyset import Keyset

    for name in FOLDERS:
        (home / name).mkdir(mode=FOLDER_MODE)
    config.write_default(
        home,
        charter.party,
        charter.listen,
        charter.hosts[0],
        legal_name=charter.legal_name,
        more_hosts=charter.hosts[1:],
    )
    auditor = Keyset.create_auditor(
        now, charter.party, FileCustody.create(home / AUDITOR / "kek.json", theirs)
    )
    auditor.save(home / AUDITOR / "keyset.json")
    settings = config.load(home)
    keyset = Keyset.create(
        now,
        charter.party,
        FileCustody.create(home / "keys" / "kek.json", ours),
        hosts=charter.hosts,
        audit_public=auditor.audit_opening().public,
    )
    keyset.save(settings.keys.keyset)
    open_store(settings.store.path, create=True).close()
    root = None
    if keepers is not None:
        from gateway.directory.root_holders import begin

        root = begin(home, keyset, charter.party, keepers, now)
    bundle = bundle_of(
        keyset,
        party=charter.party,
        legal_name=charter.legal_name,
        endpoints=(charter.endpoint,),
        origin=settings.gateway.origin,
        version=1,
        now=now,
        root=root,
    ).to_bytes()
    user_files.create(home / OWN_ENTRY, bundle)
    return _agreements(settings.agreements.folder, charter.party), fingerprint(bundle)


def _agreements(folder: Path, party: str) -> list[str]:
    """Write the packaged agreements whose home is this party; return their file names."""
    from gateway.law.agreement_library import packaged
    from gateway.law.agreement_parser import parse

    ours = {name: text for name, text in packaged().items() if parse(text, name).home == party}
    for name, text in ours.items():
        user_files.create(folder / name, text)
    return sorted(ours)


def _charter(party: str, legal_name: str, listen: str, hosts: tuple[str, ...]) -> NewHome:
    if not PARTY.fullmatch(party):
        raise typer.BadParameter("2 to 32 of A-Z, 0-9 and hyphen", param_hint="--party")
    if len(legal_name) > MAX_NAME or not legal_name.isprintable():
        raise typer.BadParameter(
            f"at most {MAX_NAME} characters, all of them printable", param_hint="--legal-name"
        )
    address = _address(listen)
    if not hosts and _anywhere(address):
        raise typer.BadParameter(
            "say by which name partners reach a listener on all addresses", param_hint="--host"
        )
    if not all(map(_is_host, hosts)):
        raise typer.BadParameter(
            "a name like gateway.example.ca or an IP address, without port and without brackets",
            param_hint="--host",
        )
    local = ("127.0.0.1", "localhost")  # a health check or an operator on this machine
    named = tuple(dict.fromkeys((*(hosts or (address,)), *local)))
    return NewHome(party, legal_name or party, listen, named)


def _address(listen: str) -> str:
    """Return the name or address of HOST:PORT."""
    host, _, port = listen.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    address = host[1:-1] if bracketed else host
    if not port.isascii() or not port.isdigit() or not _is_host(address):
        raise typer.BadParameter("write HOST:PORT, e.g. 0.0.0.0:7443", param_hint="--listen")
    if bracketed != (":" in address):
        raise typer.BadParameter("write an IPv6 address as [::1]:7443", param_hint="--listen")
    if not 0 < int(port) <= MAX_PORT:
        raise typer.BadParameter(
            f"a port of 1 to {MAX_PORT}; the next two are for health and metrics",
            param_hint="--listen",
        )
    return address


def _is_host(text: str) -> bool:
    """Tell whether a certificate can carry `text`: an IP address, or labels as RFC 1123 2.1 has them."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.split(".")
        # Four numbers that are no address are a slip, not a name.
        return len(text) <= 253 and all(map(_label.fullmatch, labels)) and not labels[-1].isdigit()
    return "%" not in text  # a zone means something on one machine only


def _anywhere(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _demand_free(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder} exists and is no folder; take another name")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} exists and is not empty; take another folder, or move it away")
