"""`passerelle staff`: an officer's own keys, who our officers are, who grants them access, and who revokes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import user_files
from gateway.cli import admin_session, output
from gateway.cli.operation_command import Call, command
from gateway.cli.plain_command import plain_command
from gateway.errors import UserError
from gateway.operations import staff
from gateway.operations.forms import PSEUDONYM

if TYPE_CHECKING:
    from keys.custody import Custody
    from keys.officer_keys import Request

app = typer.Typer()

Official = Annotated[
    str,
    typer.Option(
        "--official",
        "--person",
        metavar="ID",
        help="The official's pseudonym, e.g. P-7; never a name.",
    ),
]

Token = Annotated[
    str,
    typer.Option(
        metavar="URI",
        help="Seal the keys by a key in this token, pkcs11:…, instead of a passphrase; its PIN is asked for in the"
        " passphrase's place. No token holds the signature keys themselves yet.",
    ),
]
Secret = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar=admin_session.OFFICERS_PASSPHRASE,
        help="File with the officer's own passphrase; else a prompt, twice.",
    ),
]
RequestFile = Annotated[
    Path, typer.Option(metavar="FILE", help="What the person made by `passerelle staff request`.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Where the certificate goes; default: certificate.json beside the request.",
    ),
]


@plain_command(
    app,
    "passerelle staff request me --official P-7   # on P-7's own machine",
    "passerelle staff request me --official P-7"
    " --token 'pkcs11:token=p7;object=officer?module-path=/usr/lib/softhsm/libsofthsm2.so'",
)
def request(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of your own for the keys; new.")
    ],
    official: Official,
    token: Token = "",
    passphrase_file: Secret = None,
) -> None:
    """Make your own keys, on your own machine, and the request by which an operator adds you. It needs no gateway.

    Hand request.json to an operator and read its fingerprint out to whoever approves. The other files stay with you.
    """
    from gateway.trust.bundle import fingerprint
    from keys import officer_keys as officer

    _demand_own(folder)
    PSEUDONYM.read("--official", official)
    custody = _sealing(folder, token, passphrase_file)
    made = officer.make(folder, official, custody, token=token)
    printed, file = fingerprint(made.content()), folder / officer.REQUEST
    output.emit(
        context,
        {"ok": True, "person": official, "request": str(file), "fingerprint": printed},
        f"person       {official}",
        f"request      {file}  → give it to an operator",
        f"fingerprint  {printed}  → read it out to those who add you",
        f"next         passerelle staff install {folder} FILE   # with the certificate that comes back",
    )


@plain_command(app, "passerelle staff install me certificate.json   # on P-7's own machine")
def install(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder that `staff request` made.")
    ],
    certificate: Annotated[
        Path, typer.Argument(metavar="FILE", help="The certificate that an operator gave you.")
    ],
) -> None:
    """Put your certificate beside your keys, where it was issued for them. It needs no gateway and no passphrase."""
    from gateway.client import officer_credential

    said = officer_credential.install(folder, certificate, datetime.now(UTC))
    output.emit(
        context,
        {"ok": True, "person": said.person, "roles": list(said.roles), "folder": str(folder)},
        f"person   {said.person}",
        f"roles    {', '.join(said.roles)}",
        f"folder   {folder}  → passerelle … --as {folder}",
    )


@plain_command(app, "passerelle staff seal can/staff/me ~/me   # of an earlier version")
def seal(
    context: typer.Context,
    *,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Folder with keys in clear.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of your own to make.")],
    token: Token = "",
    passphrase_file: Secret = None,
) -> None:
    """Seal keys that an earlier version left in clear: the same keys and certificate, in a folder of your own."""
    from gateway.client import officer_credential

    _demand_own(folder)
    person = officer_credential.seal(
        old, folder, lambda: _sealing(folder, token, passphrase_file), token
    )
    output.emit(
        context,
        {"ok": True, "person": person, "folder": str(folder)},
        f"person   {person}",
        f"folder   {folder}  → delete {old}, and what backups have of it",
    )


@command(app, staff.Add)
def add(call: Call, *, request: RequestFile, out: Out = None) -> None:
    """Hand in the request in a file, and write the certificate where one person grants it."""
    wanted, file = read_request(request), _certificate(request, out)
    _demand_free(file)
    printed = {"person": wanted.person, "fingerprint": _fingerprint(wanted)}
    granted = call.perform(printed, **wanted.values())
    _tell(call, {**printed, **_written(granted, file)})


def read_request(file: Path) -> Request:
    """Return the request in a file; raises UserError where it is none, or was not signed by the keys in it."""
    from gateway import user_files as files
    from keys.errors import SignatureRefused
    from keys.officer_keys import MAX_REQUEST, Request

    try:
        return Request.parse(files.read(file, MAX_REQUEST))
    except files.FileRefused as fault:
        raise UserError(
            f"{file} is no request file ({fault}); each person makes their own: passerelle staff request FOLDER --official P-1"
        ) from None
    except SignatureRefused:
        raise UserError(
            f"{file} is no request as `passerelle staff request` writes it, or was altered; have the person send it again"
        ) from None


def requested(files: list[Path]) -> list[tuple[Request, Path]]:
    """Return requests, and where their certificates go, all of them looked at before anything is done.

    Raises UserError where one is none, two are one person's, or a certificate lies there already.
    """
    found = [(read_request(file), _certificate(file, None)) for file in files]
    if len({wanted.person for wanted, _ in found}) != len(found):
        raise UserError("two requests are of one person; two operators are two persons")
    for _, out in found:
        _demand_free(out)
    return found


def grant_first(
    home: Path, request: Request, out: Path, *, passphrase: Callable[[], bytes]
) -> None:
    """Have a first operator's certificate issued, by whoever holds the keys' passphrase, and written to `out`."""
    _demand_free(out)
    granted = admin_session.perform(
        home,
        staff.Add.declaration.name,
        {**request.values(), "roles": ["operator"]},
        passphrase=passphrase,
        custody=True,
    )
    _written(granted, out)


def _written(granted: dict[str, object], out: Path) -> dict[str, object]:
    from gateway.client import officer_credential

    chain, authority = str(granted.pop("certificate")), str(granted.pop("authority"))
    user_files.create(out, officer_credential.certificate_file(chain.encode(), authority.encode()))
    return {**granted, "certificate": str(out)}


def _fingerprint(request: Request) -> str:
    from gateway.trust.bundle import fingerprint

    return fingerprint(request.content())


def _tell(call: Call, granted: dict[str, Any]) -> None:
    call.emit(
        granted,
        f"person       {granted['person']}",
        f"roles        {', '.join(granted['roles'])}",
        f"until        {granted['expires']}",
        f"fingerprint  {granted['fingerprint']}  → the person's own; have them read it out",
        f"certificate  {granted['certificate']}  → give it to the person: passerelle staff install",
    )


def _certificate(request: Path, out: Path | None) -> Path:
    """Return where the certificate for a request goes: named as it, with the one word for the other."""
    if out is not None:
        return out
    named = request.name.replace("request", "certificate")
    return request.with_name(named if named != request.name else f"{request.stem}.certificate.json")


def _demand_free(out: Path) -> None:
    """Raise UserError where a certificate could not be written, before anybody is granted access by it."""
    user_files.demand_new(out)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UserError(
            f"{out} cannot be written there: make its folder, or name another file with -o where the command has it"
        )


def _demand_own(folder: Path) -> None:
    """Raise UserError for a folder that is not new, or lies in a party's: what is an officer's is not the gateway's."""
    from gateway.client import officer_credential
    from keys import officer_keys as officer

    officer_credential.demand_outside(folder)
    if (folder / officer.FILE).exists() or (folder / officer.KEK).exists():
        raise UserError(f"{folder} holds keys already; take another folder, or move it away")


def _sealing(folder: Path, token: str, file: Path | None) -> Custody:
    """Return what seals an officer's keys: a new passphrase, asked for twice, or the key in a token."""
    from gateway.server.process_hardening import forbid_core
    from keys import officer_keys as officer
    from keys.custody import FileCustody, create_custody
    from keys.custody_pkcs11 import SCHEME

    forbid_core()
    if token and not token.startswith(f"{SCHEME}:"):
        raise typer.BadParameter(
            "write pkcs11:token=…;object=…?module-path=…", param_hint="--token"
        )
    secret = output.passphrase_from(file, f"the officer's keys in {folder}", new=not token)
    if token:
        return create_custody(token, secret)
    return FileCustody.create(folder / officer.KEK, secret())


@command(app, staff.End)
def end(call: Call) -> None:
    """Revoke a person's access."""
    done = call.perform()
    call.emit(done, f"{done['person']}  {done['ended']} officer certificates ended")


@command(app, staff.Collect)
def collect(call: Call, *, request: RequestFile, out: Out = None) -> None:
    """Write the certificate that two granted."""
    wanted, file = read_request(request), _certificate(request, out)
    _demand_free(file)
    given = call.perform(public=wanted.public.hex())
    _tell(call, {"fingerprint": _fingerprint(wanted), **_written(given, file)})


@command(app, staff.Suspend)
def suspend(call: Call) -> None:
    """Suspend a person's access."""
    done = call.perform()
    call.emit(done, f"{done['person']}  {done['suspended']} officer certificates suspended")


@command(app, staff.Resume)
def resume(call: Call) -> None:
    """Propose a person's return."""
    done = call.perform()
    call.emit(done, f"{done['person']}  {done['resumed']} officer certificates resumed")


@command(app, staff.List)
def list_(call: Call) -> None:
    """Show our people."""
    from rich.table import Table

    found = call.perform_all("staff")
    table = Table("person", "roles", "until", "", box=None)
    for row in found["staff"]:
        ended = f"ended {row['ended'][:16]}" if row["ended"] else "out of date"
        ended = f"suspended {row['suspended'][:16]}" if row["suspended"] else ended
        state = "in force" if row["in_force"] else ended
        table.add_row(row["person"], ", ".join(row["roles"]), row["expires"][:16], state)
    call.emit(found, table)
