"""`passerelle details`: what a partner discloses of a person whom it matched, each datum beside its paragraph."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway import user_files
from gateway.cli import output
from gateway.cli.output import Code, Home, No, PassphraseFile
from gateway.cli.partner.query import PURPOSES, Deadline, To, agreement_of
from gateway.cli.passphrase import demand_no_law, partner_of
from gateway.cli.plain_command import plain_command
from gateway.cli.subjects.query_files import choice
from gateway.domain.messages import Purpose
from gateway.domain.person import TEXT, DetailsOutcome, Field, FieldCode

if TYPE_CHECKING:
    from gateway.client import Disclosed, Partner

app = typer.Typer()

_reference = re.compile(r"[0-9a-f]{32}")


@plain_command(
    app,
    "passerelle details aus 20260301-0123456789abcdef0123 --to CAN --field LAST_NAME --field PHOTOGRAPH"
    " --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-17 --unit U-3 --official P-9",
)
def details(
    context: typer.Context,
    *,
    home: Home,
    number: Annotated[str, typer.Argument(help="Transaction number of our query that matched.")],
    to: To,
    field: Annotated[
        list[str],
        typer.Option(
            metavar="CODE", help="E.g. LAST_NAME; may be repeated. Only what the case needs."
        ),
    ],
    agreement: Annotated[str, typer.Option(metavar="ID@VERSION", help="As the query had it.")],
    purpose: Annotated[str, typer.Option(help=f"As the query had it: {', '.join(PURPOSES)}.")],
    case: Annotated[str, typer.Option(help="Pseudonym of the case; never a name.")],
    unit: Annotated[str, typer.Option(help="Pseudonym of the asking unit.")],
    official: Annotated[
        str, typer.Option("--official", "--person", help="Pseudonym of the official who asks.")
    ],
    reference: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The hit reference; without it the partner is asked."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write photographs there.")
    ] = None,
    deadline: Deadline = 10.0,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Ask for fields of the person of a match; shown after signature, receipt and ledger hold.

    A reference is bound to the fields of its first use: the same again are told again, others are refused.
    Disclosed: exit code 0. Unavailable, or refused: 1. Nobody answered in time: 2.
    """
    wanted = tuple(choice(FieldCode, each, "--field") for each in field)
    meant = choice(Purpose, purpose, "--purpose")
    under = agreement_of(agreement)
    if reference is not None and not _reference.fullmatch(reference):
        raise typer.BadParameter(
            "32 hexadecimal digits, as the match had it", param_hint="--reference"
        )
    demand_no_law(home, "use `passerelle outbound details`")
    with partner_of(home, to, passphrase_file) as partner:
        told = partner.details(
            number,
            bytes.fromhex(reference) if reference else _asked_for(partner, number, deadline),
            wanted,
            purpose=meant,
            agreement=under,
            case=case,
            unit=unit,
            person=official,
            deadline=deadline,
        )
    _tell(context, to, told, _written(told, out))


def _asked_for(partner: Partner, number: str, deadline: float) -> bytes:
    result = partner.state(number, deadline=deadline).result
    if result is None or not result.hit_reference:
        raise No("that query is no match: there are no details to ask for")
    return result.hit_reference


def _written(told: Disclosed, folder: Path | None) -> dict[FieldCode, str]:
    """Write photographs where a folder is named, for their owner's eyes only; return where each is."""
    places: dict[FieldCode, str] = {}
    for each in told.details.fields:
        if folder is None or each.mime_type == TEXT:
            continue
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = each.mime_type.partition("/")[2]
        path = folder / f"{told.transaction_number}-{each.code.name}.{kind}"
        user_files.create(path, each.value)
        places[each.code] = str(path)
    return places


def _tell(context: typer.Context, to: str, told: Disclosed, places: dict[FieldCode, str]) -> None:
    ok = told.details.outcome is DetailsOutcome.DISCLOSED
    withheld = told.details.withholding
    lines = [f"outcome      {told.details.outcome.name}"]
    for each in told.details.fields:
        lines.append(f"{each.code.name:<24}{_shown(each, places)}   {each.authority}")
        lines += [f"{'':<24}  {caveat.code}: {caveat.text}" for caveat in each.caveats]
    if withheld is not None:
        lines.append(f"withheld     {withheld.scope.name}, {withheld.ground.name}")
    lines += [
        f"transaction  {told.transaction_number}",
        f"receipt      entry {told.receipt_index} of {told.checkpoint_size}  verified",
    ]
    document = {
        "ok": ok,
        "partner": to,
        "outcome": told.details.outcome.name,
        "fields": [_plain(each) for each in told.details.fields],
        "withheld": None if withheld is None else withheld.scope.name,
        "ground": None if withheld is None else withheld.ground.name,
        "transaction_number": told.transaction_number,
        "receipt_index": told.receipt_index,
        "checkpoint_size": told.checkpoint_size,
        "receipt_verified": True,  # an answer without one is an error
        "files": {code.name: place for code, place in places.items()},
    }
    output.emit(context, document, *lines, code=Code.DONE if ok else Code.NO)


def _shown(each: Field, places: dict[FieldCode, str]) -> str:
    if each.mime_type == TEXT:
        return each.value.decode().replace("\n", " / ")
    return places.get(each.code) or f"{each.mime_type}, {len(each.value)} bytes  → --out FOLDER"


def _plain(each: Field) -> dict[str, object]:
    text = each.mime_type == TEXT
    return {
        "field": each.code.name,
        "value": each.value.decode() if text else base64.b64encode(each.value).decode(),
        "mime_type": each.mime_type,
        "authority": each.authority,
        "caveats": [{"code": one.code, "text": one.text} for one in each.caveats],
        "source_record_version": each.source_version,
    }
