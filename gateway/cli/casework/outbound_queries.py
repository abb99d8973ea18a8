"""`passerelle outbound`: our caseworkers ask partners, look at answers, and record what they used."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gateway.cli import admin_session, output
from gateway.cli.operation_command import Call, command
from gateway.cli.output import Code
from gateway.cli.partner.query import Service, problem_line
from gateway.cli.subjects.gallery import Extractor, Position, Ppi
from gateway.cli.subjects.query_files import (
    Absent,
    Face,
    Files,
    Finger,
    Iris,
    Manifest,
    choice,
    demand_one_probe,
    missing_of,
    samples_of,
)
from gateway.domain.messages import UNSTATED, Missing, Sample, ServiceLevel
from gateway.errors import UserError
from gateway.operations import outbound

app = typer.Typer()


@command(app, outbound.Ask)
def query(
    call: Call,
    *,
    files: Files = None,
    to: Annotated[
        list[str], typer.Option("--to", metavar="ID", help="Partner to ask; may be repeated.")
    ],
    agreement: Annotated[
        list[str],
        typer.Option(metavar="ID@VERSION", help="The agreement with each partner, in that order."),
    ],
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
    finger: Finger = None,
    face: Face = None,
    iris: Iris = None,
    position: Position = 0,
    manifest: Manifest = None,
    extractor: Extractor = UNSTATED,
    ppi: Ppi = 0,
    missing: Absent = None,
    service_level: Service = "REAL_TIME",
) -> None:
    """Ask each partner under its agreement."""
    if len(agreement) != len(to):
        raise typer.BadParameter("name one agreement for each partner", param_hint="--agreement")
    samples = samples_of(files, finger, face, iris, manifest, position, extractor, ppi)
    demand_one_probe(samples, call.values.get("prior"))
    values = {
        **call.values,
        "nationalities": ",".join(nationality or ()),
        "alleged_persecution_region_codes": ",".join(alleged_persecution or ()),
        "service_level": choice(ServiceLevel, service_level, "--service-level").name,
        **_given(samples, missing_of(missing)),
    }
    with call.session() as perform:
        answers = [
            _asked(perform, {**values, "partner": partner, "agreement": under})
            for partner, under in zip(to, agreement, strict=True)
        ]
    if not any("number" in each for each in answers):
        raise UserError(
            str(answers[0]["stopped"])
        )  # it came before no law: something was said wrongly
    going = [each for each in answers if each.get("state") not in {None, *_UNANSWERED}]
    lines = [line for each in answers for line in _standing(each)]
    lines += [f"next     passerelle outbound show {call.home} {each['number']}" for each in going]
    call.emit({"asked": answers}, *lines, code=Code.DONE if going else Code.NO)


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


def _given(samples: tuple[Sample, ...], missing: tuple[Missing, ...]) -> dict[str, object]:
    """Return samples and missing fingers as the gateway takes them."""
    given: dict[str, object] = {
        "samples": [
            {
                "modality": each.modality.name,
                "position": each.position,
                "data": base64.b64encode(each.data).decode(),
                "extractor": each.extractor,
                "ppi": each.ppi,
            }
            for each in samples
        ],
        "missing": [
            {"position": each.position, "presence": each.presence.name} for each in missing
        ],
    }
    return {name: each for name, each in given.items() if each}


@command(app, outbound.List)
def list_(call: Call) -> None:
    """Show our queries in a table."""
    from rich.table import Table

    found = call.perform_all("asked")
    table = Table("query", "partner", "case", "state", "asked", "used in", "why", box=None)
    for each in found["asked"]:
        table.add_row(
            *(each["number"], each["partner"], each["case"], each["state"]),
            *(each["asked"][:16], each["used_in"], each.get("reason", "")),
        )
    call.emit(found, table if found["asked"] else "nothing was asked")


@command(app, outbound.Show)
def show(
    call: Call,
    *,
    page: Annotated[
        str, typer.Option(metavar="TOKEN", help="Go on where an earlier page ended.")
    ] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All pages; by default the first.")
    ] = False,
) -> None:
    """Show a page of an answer, or all of it."""
    wanted = {"page_token": page}
    found = (
        call.perform_all("fields", "corrected", **wanted) if everything else call.perform(**wanted)
    )
    lines = [f"state    {found['state']}", *_why(found)]
    if "outcome" in found:
        lines.append(f"outcome  {found['outcome']}")
        if found["withheld"]:
            lines.append(f"withheld {found['withheld']}, {found['ground']}")
        lines += [
            problem_line(each["modality"], each["position"], each["code"], again=each["recapture"])
            for each in found["problems"]
        ]
        lines += [_line(each) for each in found["fields"]]
        for notice in found["corrected"]:
            lines.append(f"corrected: {notice['kind']} {', '.join(notice['fields'])}")
            lines += [_line(each) for each in notice["right"]]
    if found.get("outcome") == "MATCH" and not found["fields"]:
        asks = f"passerelle outbound details {call.home} {found['number']}"
        lines.append(f"next     {asks} --field FIELD --case {found['case']} --unit UNIT")
    if found.get("next_page_token"):
        lines.append(f"more     --page {found['next_page_token']}, or --all")
    call.emit(found, *lines)


def _line(each: Mapping[str, Any]) -> str:
    text = each["value"] if each["mime_type"] == "text/plain" else f"({each['mime_type']})"
    return f"{each['field']}  {text}  [{each['authority']}]"


@command(app, outbound.Details)
def details(call: Call) -> None:
    """Ask for details, and say which came."""
    found = call.perform()
    names = ", ".join(found["fields"]) or "none"
    code = Code.DONE if found["outcome"] == "DISCLOSED" else Code.NO
    call.emit(found, f"{found['outcome']}  {names}", code=code)


@command(app, outbound.Irrelevant)
def irrelevant(
    call: Call, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Destroy an answer, once that is meant."""
    said = f"{call.values.get('number', '')}: {call.values.get('reason', '')}"
    output.confirm(said, "Destroy the answer?", yes=yes)
    found = call.perform()
    call.emit(found, f"{found['number']}  {found['state']}")


@command(app, outbound.Use)
def use(call: Call) -> None:
    """Record a use."""
    found = call.perform()
    call.emit(found, f"used in  {found['used_in']}")
