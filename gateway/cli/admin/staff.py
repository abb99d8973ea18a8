"""`passerelle staff`: an officer's own keys, who our officers are, who grants them access, and who revokes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.admin.arguments import PSEUDONYM
from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Home, Json, PassphraseFile, example
from gateway.cli.passphrase import passphrase_of
from gateway.errors import UserError

if TYPE_CHECKING:
    from keys.custody import Custody
    from keys.officer_keys import Request

app = typer.Typer(
    help="See who may act for us, grant a person access, revoke it.", no_args_is_help=True
)

Official = Annotated[
    str,
    typer.Option(
        "--official",
        "--person",
        metavar="ID",
        help="The official's pseudonym, e.g. P-7; never a name.",
    ),
]

Reason = Annotated[
    str, typer.Option(metavar="WORDS", help="Why, in a sentence; it goes into the ledger.")
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


Custodial = Annotated[
    bool,
    typer.Option(
        "--custody",
        help="At a stopped gateway: as whoever holds the keys' passphrase, not as an operator. It is how the first two"
        " operators come in; whatever it does after that is an ALARM.",
    ),
]


@app.command(
    epilog=example(
        "passerelle staff request me --official P-7   # on P-7's own machine",
        "passerelle staff request me --official P-7"
        " --token 'pkcs11:token=p7;object=officer?module-path=/usr/lib/softhsm/libsofthsm2.so'",
    )
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
    as_json: Json = False,
) -> None:
    """Make your own keys, on your own machine, and the request by which an operator adds you. It needs no gateway.

    Hand request.json to an operator and read its fingerprint out to whoever approves. The other files stay with you.
    """
    del as_json
    from gateway.trust.bundle import fingerprint
    from keys import officer_keys as officer

    _demand_own(folder)
    if not PSEUDONYM.fullmatch(official):
        raise UserError("a pseudonym has 1 to 64 of A-Z, a-z, 0-9, dot, underline and hyphen")
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


@app.command(
    epilog=example("passerelle staff install me certificate.json   # on P-7's own machine")
)
def install(
    context: typer.Context,
    *,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder that `staff request` made.")
    ],
    certificate: Annotated[
        Path, typer.Argument(metavar="FILE", help="The certificate that an operator gave you.")
    ],
    as_json: Json = False,
) -> None:
    """Put your certificate beside your keys, where it was issued for them. It needs no gateway and no passphrase."""
    del as_json
    from gateway.client import officer_credential

    said = officer_credential.install(folder, certificate, datetime.now(UTC))
    output.emit(
        context,
        {"ok": True, "person": said.person, "roles": list(said.roles), "folder": str(folder)},
        f"person   {said.person}",
        f"roles    {', '.join(said.roles)}",
        f"folder   {folder}  → passerelle … --as {folder}",
    )


@app.command(epilog=example("passerelle staff seal can/staff/me ~/me   # of an earlier version"))
def seal(
    context: typer.Context,
    *,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Folder with keys in clear.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of your own to make.")],
    token: Token = "",
    passphrase_file: Secret = None,
    as_json: Json = False,
) -> None:
    """Seal keys that an earlier version left in clear: the same keys and certificate, in a folder of your own."""
    del as_json
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


@app.command(
    epilog=example(
        "passerelle staff add can --request p7/request.json --role caseworker --as me",
        "passerelle staff add can --request p2/request.json --role operator --custody   # the second operator",
    )
)
def add(
    context: typer.Context,
    *,
    home: Home,
    request: RequestFile,
    role: Annotated[
        list[str],
        typer.Option(
            metavar="ROLE",
            help="operator, registrar, caseworker, examiner or auditor; may be repeated.",
        ),
    ],
    out: Out = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How long the certificate lives.")] = 90,
    custody: Custodial = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Grant access to a person who made the keys on their own machine: have our authority issue a certificate, of some roles.

    Have the person read out the fingerprint, and give them the certificate. Nobody adds or ends themselves. An operator or an examiner
    is granted access by two: this proposes it, and after another's approval `passerelle staff collect` writes the certificate.
    """
    del as_json
    done = enlist(
        home,
        read_request(request),
        role,
        _certificate(request, out),
        days=days,
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
        custody=custody,
    )
    if not admin_session.said(context, home, done):
        _tell(context, done)


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


def enlist(
    home: Path,
    request: Request,
    roles: list[str],
    out: Path,
    *,
    days: int = 90,
    officer: Path | None = None,
    passphrase: Callable[[], bytes] | None = None,
    custody: bool = False,
) -> dict[str, object]:
    """Have a certificate issued for a request, written to `out`; return what was granted, or the proposal of it."""
    from gateway.trust.bundle import fingerprint

    _demand_free(out)
    values = {**request.values(), "roles": roles, "days": days}
    printed = {"person": request.person, "fingerprint": fingerprint(request.content())}
    if custody:
        granted = admin_session.perform(
            home, "staff.add", values, passphrase=passphrase, custody=True
        )
    else:
        granted = admin_session.perform_or_propose(
            home, "staff.add", values, officer=officer, passphrase=passphrase
        )
    return {**printed, **(granted if "proposal" in granted else _written(granted, out))}


def _written(granted: dict[str, object], out: Path) -> dict[str, object]:
    from gateway.client import officer_credential
    from keys import atomic_file

    chain, authority = str(granted.pop("certificate")), str(granted.pop("authority"))
    atomic_file.replace(
        out, officer_credential.certificate_file(chain.encode(), authority.encode())
    )
    return {**granted, "certificate": str(out)}


def _tell(context: typer.Context, granted: dict[str, object]) -> None:
    roles = granted["roles"]
    output.emit(
        context,
        {"ok": True, **granted},
        f"person       {granted['person']}",
        f"roles        {', '.join(roles) if isinstance(roles, list) else ''}",
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
    if out.exists():
        raise UserError(f"{out} exists; name another file with -o, or move it away")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UserError(f"{out} cannot be written there; name another file with -o")


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


@app.command(epilog=example("passerelle staff end can --official P-7 --as me"))
def end(
    context: typer.Context,
    *,
    home: Home,
    official: Official,
    custody: Custodial = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Revoke a person's access: every certificate of theirs ends at once, also in the middle of a connection."""
    del as_json
    passphrase, values = passphrase_of(home, passphrase_file), {"person": official}
    if custody:
        done = admin_session.perform(home, "staff.end", values, passphrase=passphrase, custody=True)
    else:
        done = admin_session.perform_or_propose(
            home, "staff.end", values, officer=officer, passphrase=passphrase
        )
    if admin_session.said(context, home, done):
        return
    output.emit(
        context, {"ok": True, **done}, f"{official}  {done['ended']} officer certificates ended"
    )


@app.command(
    epilog=example(
        "passerelle staff collect can --request p8/request.json --as me   # after another operator approved it"
    )
)
def collect(
    context: typer.Context,
    *,
    home: Home,
    request: RequestFile,
    out: Out = None,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Write the certificate of a person to whom two granted access; give it to the person."""
    del as_json
    from gateway.trust.bundle import fingerprint

    wanted, file = read_request(request), _certificate(request, out)
    _demand_free(file)
    given = admin_session.perform(
        home,
        "staff.badge",
        {"public": wanted.public.hex()},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    _tell(context, {"fingerprint": fingerprint(wanted.content()), **_written(given, file)})


@app.command(
    epilog=example(
        "passerelle staff suspend can --official P-7 --reason 'certificate key lost on the train'"
    )
)
def suspend(
    context: typer.Context,
    *,
    home: Home,
    official: Official,
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Suspend a person's access at once, until two grant it again. One operator may; it is an ALARM."""
    del as_json
    done = admin_session.perform(
        home,
        "staff.suspend",
        {"person": official, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    output.emit(
        context,
        {"ok": True, **done},
        f"{official}  {done['suspended']} officer certificates suspended",
    )


@app.command(
    epilog=example(
        "passerelle staff resume can --official P-7 --reason 'found, never out of sight'"
    )
)
def resume(
    context: typer.Context,
    *,
    home: Home,
    official: Official,
    reason: Reason,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Grant a suspended person access again; two operators do it, and this proposes it."""
    del as_json
    done = admin_session.perform_or_propose(
        home,
        "staff.resume",
        {"person": official, "reason": reason},
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    if not admin_session.said(context, home, done):
        output.emit(
            context,
            {"ok": True, **done},
            f"{official}  {done['resumed']} officer certificates resumed",
        )


@app.command(name="list", epilog=example("passerelle staff list can"))
def list_(
    context: typer.Context,
    *,
    home: Home,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List who was granted access, with which roles, until when."""
    del as_json
    from rich.table import Table

    found = admin_session.perform_all(
        home,
        "staff.list",
        {},
        "staff",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    table = Table("person", "roles", "until", "", box=None)
    rows = found["staff"]
    for row in rows if isinstance(rows, list) else []:
        ended = f"ended {row['ended'][:16]}" if row["ended"] else "out of date"
        ended = f"suspended {row['suspended'][:16]}" if row["suspended"] else ended
        state = "in force" if row["in_force"] else ended
        table.add_row(row["person"], ", ".join(row["roles"]), row["expires"][:16], state)
    output.emit(context, {"ok": True, **found}, table)
