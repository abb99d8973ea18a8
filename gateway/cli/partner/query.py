"""`passerelle query` and `passerelle state`: ask a partner, and believe only what proved itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import output
from gateway.cli.output import Code, Home, PassphraseFile
from gateway.cli.passphrase import demand_no_law, partner_of
from gateway.cli.plain_command import plain_command
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
from gateway.domain.messages import (
    UNSTATED,
    Outcome,
    PriorTransaction,
    Purpose,
    QueryState,
    Result,
    ServiceLevel,
    State,
)

if TYPE_CHECKING:
    from gateway.client import Answer

app = typer.Typer()

PURPOSES = tuple(purpose.name for purpose in Purpose if purpose)
ANSWERED = frozenset({Outcome.MATCH, Outcome.NO_MATCH, Outcome.REVIEW_PENDING})

_agreement = re.compile(r"(?P<id>[a-z][a-z0-9-]{0,31})@(?P<version>[1-9][0-9]{0,8})")

To = Annotated[str, typer.Option("--to", metavar="ID", help="The partner to ask, e.g. CAN.")]
Service = Annotated[
    str,
    typer.Option(
        "--service-level",
        help="REAL_TIME, URGENT or ROUTINE: an examiner has an hour, or, of ROUTINE, a day.",
    ),
]
Deadline = Annotated[
    float,
    typer.Option(min=0.1, max=60.0, metavar="SECONDS", help="For everything, repeats included."),
]


@plain_command(
    app,
    "passerelle query aus --to CAN --agreement au@1 --purpose TRAVEL_ENTER_REMAIN"
    " --case C-17 --unit U-3 --official P-9 --finger 2=index.fmr",
    "passerelle query iom --to CAN --agreement iom@1 --purpose VISA_PERMIT_BENEFIT"
    " --case C-18 --unit U-3 --official P-9 --finger 2=index.fmr --face face.vec --iris 1=right.iri --iris 2=left.iri",
)
def query(
    context: typer.Context,
    *,
    home: Home,
    to: To,
    agreement: Annotated[
        str, typer.Option(metavar="ID@VERSION", help="The agreement invoked, e.g. au@1.")
    ],
    purpose: Annotated[str, typer.Option(help=f"One of {', '.join(PURPOSES)}.")],
    case: Annotated[str, typer.Option(help="Pseudonym of the case; never a name.")],
    unit: Annotated[str, typer.Option(help="Pseudonym of the asking unit.")],
    official: Annotated[
        str, typer.Option("--official", "--person", help="Pseudonym of the official who asks.")
    ],
    files: Files = None,
    finger: Finger = None,
    face: Face = None,
    iris: Iris = None,
    position: Position = 0,
    manifest: Manifest = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="Instead of records: the partner's own earlier query."),
    ] = None,
    extractor: Extractor = UNSTATED,
    ppi: Ppi = 0,
    missing: Absent = None,
    refugee_claimant: Annotated[
        bool, typer.Option("--refugee-claimant", help="The person claimed refuge in our country.")
    ] = False,
    service_level: Service = "REAL_TIME",
    transaction_number: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Ours, used once; made up where not given.")
    ] = None,
    deadline: Deadline = 10.0,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Ask a partner whether it knows a person; the answer is shown after signature, receipt and ledger hold.

    A match and a no-match are both answers: exit code 0. A refusal, poor samples or an answer that fails a
    check: 1. Nobody answered in time: 2.
    """
    samples = samples_of(files, finger, face, iris, manifest, position, extractor, ppi)
    demand_one_probe(samples, prior)
    under = agreement_of(agreement)
    demand_no_law(home, "use `passerelle outbound query`")
    with partner_of(home, to, passphrase_file) as partner:
        answer = partner.query(
            PriorTransaction(prior) if prior else samples,
            purpose=choice(Purpose, purpose, "--purpose"),
            agreement=under,
            case=case,
            unit=unit,
            person=official,
            refugee_claimant=refugee_claimant,
            missing=missing_of(missing),
            service_level=choice(ServiceLevel, service_level, "--service-level"),
            transaction_number=transaction_number,
            deadline=deadline,
        )
    _tell(context, to, answer)


@plain_command(app, "passerelle state aus 20260301-0123456789abcdef0123 --to CAN")
def state(
    context: typer.Context,
    *,
    home: Home,
    number: Annotated[str, typer.Argument(help="Transaction number of the earlier query.")],
    to: To,
    deadline: Deadline = 10.0,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Ask a partner what became of an earlier query, e.g. after a deadline passed.

    Decided with an answer: exit code 0. Given up, refused, or unknown to the partner: 1. Not decided yet, or
    nobody answered: 2.
    """
    with partner_of(home, to, passphrase_file) as partner:
        found = partner.state(number, deadline=deadline)
    told = _result(found.result) if found.result is not None else {}
    lines = _lines(found.result) if found.result is not None else []
    output.emit(
        context,
        {
            "ok": _standing(found) is Code.DONE,
            "transaction_number": number,
            "state": found.state.name,
            **told,
        },
        f"transaction  {number}  {found.state.name}",
        *lines,
        code=_standing(found),
    )


def _standing(found: QueryState) -> Code:
    if found.result is not None:
        return Code.DONE if found.result.outcome in ANSWERED else Code.NO
    return Code.NO if found.state is State.ABANDONED else Code.UNKNOWN


def agreement_of(text: str) -> tuple[str, int]:
    """Return id and version of `au@1`."""
    parts = _agreement.fullmatch(text)
    if parts is None:
        raise typer.BadParameter("write ID@VERSION, e.g. au@1", param_hint="--agreement")
    return parts["id"], int(parts["version"])


def _result(result: Result) -> dict[str, object]:
    expire = result.details_expire_time
    return {
        "outcome": result.outcome.name,
        "hit_reference": result.hit_reference.hex(),
        "problems": [
            {
                "modality": one.modality.name,
                "position": one.position,
                "code": one.code.name,
                "recapture": one.recapture,
            }
            for one in result.problems
        ],
        "decide_time": result.decide_time.isoformat(timespec="milliseconds"),
        "details_expire_time": expire.isoformat(timespec="seconds") if expire else None,
        "withheld": None if result.withholding is None else result.withholding.scope.name,
        "ground": None if result.withholding is None else result.withholding.ground.name,
        "destruction_receipt": result.destruction_receipt_id,
        "request_leaf_hash": result.request_leaf_hash.hex(),
    }


def _lines(result: Result) -> list[str]:
    lines = [f"outcome      {result.outcome.name}"]
    if result.withholding is not None:
        lines.append(
            f"withheld     {result.withholding.scope.name}, {result.withholding.ground.name}"
        )
    if result.hit_reference:
        lines.append(f"hit          {result.hit_reference.hex()}")
    return [
        *lines,
        *(
            problem_line(one.modality.name, one.position, one.code.name, again=one.recapture)
            for one in result.problems
        ),
    ]


def problem_line(modality: str, position: int, code: str, *, again: bool) -> str:
    """Return what is said of a sample that was too poor to search."""
    place = f"{modality.lower()} {position or ''}"
    advice = "  → capture it again" if again else ""
    return f"{place:<12} {code}{advice}"


def _tell(context: typer.Context, to: str, answer: Answer) -> None:
    ok = answer.outcome in ANSWERED
    output.emit(
        context,
        {
            "ok": ok,
            "partner": to,
            "transaction_number": answer.transaction_number,
            **_result(answer.result),
            "receipt_index": answer.receipt_index,
            "checkpoint_size": answer.checkpoint_size,
            "receipt_verified": True,  # an answer without one is an error
            "attempts": answer.attempts,
            "seconds": round(answer.seconds, 6),
        },
        *_lines(answer.result),
        f"transaction  {answer.transaction_number}",
        f"receipt      entry {answer.receipt_index} of {answer.checkpoint_size}  verified",
        f"time         {answer.seconds * 1000:.0f} ms",
        code=Code.DONE if ok else Code.NO,
    )
