"""How commands of our own people reach the gateway: by its admin listener, which opens for one command where it is stopped.

An officer's certificate says who acts, and TLS that the officer's key is theirs. Only making and ending officers, and
looking, can be done without one, while the gateway is stopped, by whoever holds its keys' passphrase.

What takes two persons is proposed under the officer's signature, and done when another has approved it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import No, emit, passphrase_from
from gateway.cli.passphrase import passphrase_of
from gateway.errors import PasserelleError, UserError
from gateway.home_layout import ADMIN_ADDRESS
from gateway.settings_names import OFFICERS_PASSPHRASE

if TYPE_CHECKING:
    from gateway.client.officer_credential import Credential

KNOCK = 1.0  # seconds; the listener is on this machine

As = Annotated[
    Path | None,
    typer.Option(
        "--as",
        metavar="FOLDER",
        envvar="PASSERELLE_OFFICER",
        help="The acting officer's own folder, made by `passerelle staff request`. Its passphrase is asked for, or read"
        f" from the file that {OFFICERS_PASSPHRASE} names.",
    ),
]
_NOBODY = "say who acts: give --as FOLDER, made by `passerelle staff request`"


class TwoNeeded(No):
    """The operation takes two persons, and one came."""


Perform = Callable[[str, Mapping[str, object]], dict[str, object]]


def perform(
    home: Path,
    name: str,
    values: Mapping[str, object],
    *,
    officer: Path | None = None,
    passphrase: Callable[[], bytes] | None = None,
    custody: bool = False,
) -> dict[str, object]:
    """Have one operation done and return its answer; raises No, UserError or what the way to the gateway raises.

    custody   act as who holds the keys' passphrase, at a closed gateway, although an operator's credential is there
    """
    with open_session(home, officer=officer, passphrase=passphrase, custody=custody) as do:
        return do(name, values)


def pages(
    do: Perform, name: str, values: Mapping[str, object], lists: tuple[str, ...]
) -> dict[str, object]:
    """Return the answer of an operation with the rows of all its pages, for each of the named lists."""
    whole = do(name, values)
    while whole.get("next_page_token"):
        page = do(name, {**values, "page_token": whole["next_page_token"]})
        whole |= {each: [*_rows(whole, each), *_rows(page, each)] for each in lists}
        whole["next_page_token"] = page.get("next_page_token", "")
    return whole


def _rows(answer: Mapping[str, object], name: str) -> list[object]:
    found = answer.get(name)
    return found if isinstance(found, list) else []


def perform_or_propose(
    home: Path,
    name: str,
    values: Mapping[str, object],
    *,
    officer: Path | None = None,
    passphrase: Callable[[], bytes] | None = None,
    custody: bool = False,
) -> dict[str, object]:
    """Have one operation done, or, where it takes two persons, propose it; return its answer, or the proposal's.

    A proposal's answer has the names `proposal`, `plan` and `expires`; `tell_proposal` tells of it.
    """
    shown = None if custody else credential_of(officer)
    with open_session(home, officer=shown, passphrase=passphrase, custody=custody) as do:
        try:
            return do(name, values)
        except TwoNeeded:
            if shown is None:
                raise
        drafted = do("proposals.draft", {"action": name, "values": dict(values)})
        text = str(drafted["text"])
        signature = shown.proposes(text.encode("ascii")).hex()
        filed = do("proposals.submit", {"text": text, "signature": signature})
        return {"proposal": filed["id"], "plan": drafted["plan"], "expires": filed["expires"]}


def tell_proposal(context: typer.Context, home: Path, done: Mapping[str, object]) -> bool:
    """Tell of a proposal, where `done` is one, and return whether it was."""
    identifier = done.get("proposal")
    if not isinstance(identifier, str) or "expires" not in done:
        return False
    plan = done["plan"]
    emit(
        context,
        {"ok": True, **done},
        *(f"would do  {line}" for line in (plan if isinstance(plan, list) else ())),
        f"proposed  {identifier}, until {done['expires']}",
        f"next      another person: passerelle proposals approve {home} {identifier}",
    )
    return True


@contextmanager
def open_session(
    home: Path,
    *,
    officer: Path | Credential | None = None,
    passphrase: Callable[[], bytes] | None = None,
    custody: bool = False,
) -> Iterator[Perform]:
    """Yield what has several operations done at a gateway, one after the other.

    officer   folder of the credential, or the credential, opened; None for who holds the keys' passphrase
    """
    if custody:
        officer = None
    shown = credential_of(officer) if isinstance(officer, Path) else officer
    address = _address(home)
    if address is None:
        with _opened(home, shown, passphrase or passphrase_of(home, None), custody) as do:
            yield do
        return
    if shown is None:
        raise UserError("the gateway is open, and its listener asks who you are: give --as FOLDER")
    place, authority = address
    with _asking(place, shown.authority + authority, shown.chain, shown.key_pem) as do:
        yield do


def credential_of(officer: Path | None) -> Credential | None:
    """Return the credential of the officer who acts, opened with the officer's own passphrase; None for None."""
    from gateway.client.officer_credential import read

    return None if officer is None else read(officer, secret_of(officer))


def secret_of(folder: Path, *, new: bool = False) -> Callable[[], bytes]:
    """Return what fetches the passphrase of an officer's own folder, or the PIN of the token that keeps its keys."""
    named = os.environ.get(OFFICERS_PASSPHRASE)
    return passphrase_from(
        Path(named) if named else None,
        f"the officer's keys in {folder}",
        new=new,
        option=f"in {OFFICERS_PASSPHRASE} the name of a",
    )


@contextmanager
def _asking(address: str, authorities: bytes, chain: bytes, key_pem: bytes) -> Iterator[Perform]:
    """Have operations done by the admin listener at an address; all but it is PEM."""
    from gateway.client.admin import AdminClient
    from gateway.client.errors import Refused

    with AdminClient(address, authorities, chain=chain, key_pem=key_pem) as client:

        def do(name: str, values: Mapping[str, object]) -> dict[str, object]:
            try:
                return client.perform(name, values)
            except Refused as refused:
                raise _of_ours(refused) from None

        yield do


@contextmanager
def _opened(
    home: Path, shown: Credential | None, passphrase: Callable[[], bytes], custody: bool
) -> Iterator[Perform]:
    """Open a stopped gateway for maintenance, and have operations done there."""
    from gateway.cli import maintenance
    from gateway.operations.founding import CUSTODIAL, FOUNDING

    with maintenance.opened(home, passphrase) as found:
        if shown is not None:
            with _asking(found.address, found.authority, shown.chain, shown.key_pem) as do:
                yield do
            return
        with _asking(found.address, found.authority, found.chain, found.key_pem) as ask:

            def founding(name: str, values: Mapping[str, object]) -> dict[str, object]:
                if name not in CUSTODIAL:
                    raise UserError(_NOBODY)
                if not custody and name in FOUNDING:
                    raise UserError(f"{_NOBODY}; or --custody, as who holds the keys' passphrase")
                return ask(name, values)

            yield founding


_UNKNOWN = (
    "this credential opens nothing here: it has ended, or is of another gateway; ask an operator"
)


def _of_ours(refused: PasserelleError) -> PasserelleError:
    """Return what the same refusal is from inside; others stay what they are."""
    reason, told = getattr(refused, "reason", ""), str(refused).partition(": ")[2]
    if reason == "STAFF_UNKNOWN":
        return No(_UNKNOWN)
    if reason in {"ROLE_REQUIRED", "OFFICER_REFUSED"}:
        return No(told)
    if reason == "TWO_PERSONS":
        return TwoNeeded(told)
    if reason == "ACT_REFUSED":
        return UserError(told)
    return refused


def _address(home: Path) -> tuple[str, bytes] | None:
    """Return where the gateway's listener is, if anybody answers there; a crash leaves the file behind.

    With it the authorities of its certificate, PEM: it may be issued by another than the officer's.
    """
    try:
        written = json.loads((home / ADMIN_ADDRESS).read_text(encoding="utf-8"))
        address = str(written["admin"])
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()
        return address, str(written.get("authority", "")).encode("ascii")
    except (OSError, ValueError, KeyError, TypeError):
        return None
