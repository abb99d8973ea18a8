"""`passerelle outbound`: our caseworkers ask partners, look at answers, and record what they used."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.admin_session import As
from gateway.cli.output import Code, Home, Json, PassphraseFile, example
from gateway.cli.partner.query import PURPOSES, named_records, samples_of
from gateway.cli.passphrase import passphrase_of
from gateway.cli.subjects import biometric_files
from gateway.cli.subjects.gallery import Extractor
from gateway.errors import UserError

app = typer.Typer(
    help="Ask partners, see what they answered, and record what was used.", no_args_is_help=True
)

STATUSES = ("CITIZEN", "PERMANENT_RESIDENT", "FOREIGN_NATIONAL", "CLAIMANT")
Number = Annotated[str, typer.Argument(metavar="TXN", help="Transaction number of our query.")]
Partner = Annotated[
    str, typer.Option(metavar="ID", help="The partner asked, where the number is not enough.")
]


@app.command(
    epilog=example(
        "passerelle outbound query can --to AUS --agreement au@1 --purpose VISA_PERMIT_BENEFIT --case C-17 --unit U-3"
        " --status FOREIGN_NATIONAL --nationality SYR --finger 2=index.fmr",
        "passerelle outbound query can --to AUS --agreement au@1 --purpose TRAVEL_ENTER_REMAIN --case C-18 --unit U-3"
        " --status CLAIMANT --nationality IRN --alleged-persecution AUS --finger 2=index.fmr   # blocked",
    )
)
def query(
    context: typer.Context,
    *,
    home: Home,
    to: Annotated[
        list[str], typer.Option("--to", metavar="ID", help="Partner to ask; may be repeated.")
    ],
    agreement: Annotated[
        list[str],
        typer.Option(metavar="ID@VERSION", help="The agreement with each partner, in that order."),
    ],
    purpose: Annotated[str, typer.Option(help=f"One of {', '.join(PURPOSES)}.")],
    case: Annotated[str, typer.Option(help="Pseudonym of the case; never a name.")],
    unit: Annotated[str, typer.Option(help="Pseudonym of the asking unit.")],
    status: Annotated[str, typer.Option(help=f"Of the person: {', '.join(STATUSES)}.")],
    nationality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="Of the person, as passports have them (GBR, GBN …); all of them. XXA: stateless.",
        ),
    ] = None,
    alleged_persecution: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="Country that the person says persecutes them, or NONE; must be said of a claimant.",
        ),
    ] = None,
    claimant: Annotated[
        bool, typer.Option("--claimant", help="The person has claimed refuge here.")
    ] = False,
    finger: Annotated[
        list[str] | None,
        typer.Option(metavar="POSITION=FILE", help="A record and its finger; may be repeated."),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(metavar="TXN", help="Instead of records: a query received from this partner."),
    ] = "",
    subject: Annotated[
        str, typer.Option(metavar="FILE-NUMBER", help="Our own client, where it is one.")
    ] = "",
    extractor: Extractor = biometric_files.UNSTATED,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Ask partners whether they know a person, as the case system states that person.

    What our law does not allow is stopped before anything leaves, and recorded under a number too. What came back, or
    why nothing did, is shown by `outbound show`. Stopped or refused by every partner: exit code 1.
    """
    del as_json
    if len(agreement) != len(to):
        raise typer.BadParameter("name one agreement for each partner", param_hint="--agreement")
    values: dict[str, object] = {
        "purpose": purpose,
        "case": case,
        "unit": unit,
        "status": status,
        "nationalities": ",".join(nationality or ()),
        "alleged_persecution_region_codes": ",".join(alleged_persecution or ()),
        "claimant": claimant,
        "prior": prior,
        "subject": subject,
        **_fingers(finger or [], extractor),
    }
    told = []
    with admin_session.at_desk(
        home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    ) as perform:
        for partner, under in zip(to, agreement, strict=True):
            told.append(_asked(perform, {**values, "partner": partner, "agreement": under}))
    if not any("number" in each for each in told):
        raise UserError(
            str(told[0]["stopped"])
        )  # it came before no law: something was said wrongly
    going = [each for each in told if each.get("state") not in {None, *_UNANSWERED}]
    lines = [line for each in told for line in _standing(each)]
    code = Code.DONE if going else Code.NO
    output.emit(context, {"ok": bool(going), "asked": told}, *lines, code=code)


_UNANSWERED = ("REFUSED", "EXPIRED", "STOPPED")
_ENDED = {
    "OUR_GATEWAY": "stopped here, nothing was sent",
    "PARTNER": "refused by the partner",
    "NOBODY": "not answered",
}


def _standing(each: Mapping[str, Any]) -> list[str]:
    number, state = each.get("number", ""), each.get("state") or each["stopped"]
    return [f"{each['partner']}  {number}  {state}", *_why(each)]


def _why(each: Mapping[str, Any]) -> list[str]:
    """Return the lines that say why no answer came, and what can be done."""
    if "ended_by" not in each:
        return []
    where = f" [{each['element']}]" if each["element"] else ""
    cited = f"  ({each['paragraph']})" if each["paragraph"] else ""
    reason = f"{each['reason']}{where}{cited}  " if each["reason"] else ""
    return [
        f"why      {reason}{_ENDED[each['ended_by']]}",
        f"         {each['meaning']}" if each["meaning"] else "",
        f"to do    {each['remedy']}",
    ]


def _asked(perform: admin_session.Perform, values: Mapping[str, object]) -> Mapping[str, Any]:
    """Ask one partner; what is stopped for one does not stop the next."""
    try:
        return perform("ask", values)
    except UserError as stopped:
        return {"partner": values["partner"], "stopped": str(stopped)}


def _fingers(stated: list[str], extractor: str) -> dict[str, object]:
    if not stated:
        return {}
    samples = samples_of(named_records([], stated, 0, None, extractor))
    return {
        "extractor": extractor,
        **{f"finger_{one.position}": base64.b64encode(one.data).decode() for one in samples},
    }


@app.command(
    name="list",
    epilog=example(
        "passerelle outbound list can", "passerelle outbound list can --case C-17 --json"
    ),
)
def list_(
    context: typer.Context,
    *,
    home: Home,
    case: Annotated[str, typer.Option(help="Of this case alone.")] = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List what we asked and where it stands, what our own law stopped too; outcomes are shown by `outbound show`."""
    del as_json
    from rich.table import Table

    found: Any = admin_session.perform_all(
        home,
        "asked.list",
        {"case": case},
        "asked",
        officer=officer,
        passphrase=passphrase_of(home, passphrase_file),
    )
    table = Table("query", "partner", "case", "state", "asked", "used in", "why", box=None)
    for each in found["asked"]:
        table.add_row(
            *(each["number"], each["partner"], each["case"], each["state"]),
            *(each["asked"][:16], each["used_in"], each.get("reason", "")),
        )
    shown = table if found["asked"] else "nothing was asked"
    output.emit(context, {"ok": True, **found}, shown)


@app.command(
    epilog=example(
        "passerelle outbound show can 20260301-0123456789abcdef0123",
        "passerelle outbound show can 20260301-0123456789abcdef0123 --all",
    )
)
def show(
    context: typer.Context,
    *,
    home: Home,
    number: Number,
    partner: Partner = "",
    page: Annotated[
        str, typer.Option(metavar="TOKEN", help="Go on where an earlier page ended.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All pages; by default the first.")
    ] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Show an answer, or why there is none; that it was shown is recorded. Whether it was used, say with `passerelle outbound use`.

    Photographs make an answer long: a page holds a few, and each page that is shown is recorded.
    """
    del as_json
    values = {"number": number, "partner": partner, "page_token": page}
    found: Any
    with admin_session.at_desk(
        home, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    ) as perform:
        if everything:
            found = admin_session.pages(perform, "asked.show", values, ("fields", "corrected"))
        else:
            found = perform("asked.show", values)
    lines = [f"state    {found['state']}", *_why(found)]
    if "outcome" in found:
        lines.append(f"outcome  {found['outcome']}")
        lines += [_line(each) for each in found["fields"]]
        for notice in found["corrected"]:
            lines.append(f"corrected: {notice['kind']} {', '.join(notice['fields'])}")
            lines += [_line(each) for each in notice["right"]]
    if found.get("next_page_token"):
        lines.append(f"more     --page {found['next_page_token']}, or --all")
    output.emit(context, {"ok": True, **found}, *lines)


def _line(each: Mapping[str, Any]) -> str:
    text = each["value"] if each["mime_type"] == "text/plain" else f"({each['mime_type']})"
    return f"{each['field']}  {text}  [{each['authority']}]"


@app.command(
    epilog=example(
        "passerelle outbound details can 20260301-0123456789abcdef0123 --field LAST_NAME --case C-17 --unit U-3"
    )
)
def details(
    context: typer.Context,
    *,
    home: Home,
    number: Number,
    field: Annotated[
        list[str], typer.Option(metavar="FIELD", help="May be repeated; only what the case needs.")
    ],
    case: Annotated[str, typer.Option(help="Pseudonym of the case; never a name.")],
    unit: Annotated[str, typer.Option(help="Pseudonym of the asking unit.")],
    partner: Partner = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Ask for fields of the person of a match; they are kept sealed with the answer, see `outbound show`."""
    del as_json
    values = {
        "number": number,
        "partner": partner,
        "fields": field,
        "case": case,
        "unit": unit,
    }
    found = _do(home, "asked.details", values, officer, passphrase_file)
    names = ", ".join(found["fields"]) or "none"
    code = Code.DONE if found["outcome"] == "DISCLOSED" else Code.NO
    output.emit(
        context, {"ok": code is Code.DONE, **found}, f"{found['outcome']}  {names}", code=code
    )


@app.command(
    epilog=example(
        "passerelle outbound irrelevant can 20260301-0123456789abcdef0123 --reason 'another case'"
    )
)
def irrelevant(
    context: typer.Context,
    *,
    home: Home,
    number: Number,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why it is not relevant; it goes into the ledger.")
    ],
    partner: Partner = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Destroy an answer that is not relevant and was not used, with its details, at once (IRPR 315.26).

    What was used is kept, and so is what a hold keeps. There is no way back.
    """
    del as_json
    output.confirm(f"{number}: {reason}", "Destroy the answer?", yes=yes)
    values = {"number": number, "partner": partner, "reason": reason}
    found = _do(home, "asked.irrelevant", values, officer, passphrase_file)
    output.emit(context, {"ok": True, **found}, f"{number}  {found['state']}")


@app.command(epilog=example("passerelle outbound use can 20260301-0123456789abcdef0123 --in R-17"))
def use(
    context: typer.Context,
    *,
    home: Home,
    number: Number,
    used_in: Annotated[
        str, typer.Option("--in", metavar="RECORD", help="The record whose decision used it.")
    ],
    partner: Partner = "",
    officer: As = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Record that an answer was used for an administrative purpose; it is then kept for two years at least."""
    del as_json
    values = {"number": number, "partner": partner, "used_in": used_in}
    found = _do(home, "use.record", values, officer, passphrase_file)
    output.emit(context, {"ok": True, **found}, f"used in  {found['used_in']}")


def _do(
    home: Path,
    act: str,
    values: Mapping[str, object],
    officer: Path | None,
    passphrase_file: Path | None,
) -> Any:  # noqa: ANN401 - what the act answers, as JSON has it
    return admin_session.perform(
        home, act, values, officer=officer, passphrase=passphrase_of(home, passphrase_file)
    )
