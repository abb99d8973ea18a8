"""An examiner decides: a score in the review band waits for a person, and the partner asks again until then.

No agreement that travels with Passerelle has the review clause, so the demonstration signs one of its own:
Australia's, in which no machine says "match". Its threshold lies so high that no score reaches it, and its band
begins where Australia's own threshold is: every candidate of au@1 is an examiner's case under this one.
"""

from __future__ import annotations

from pathlib import Path

from gateway.client import Answer
from gateway.domain.messages import Outcome, QueryState, State
from gateway.exercises import subprocess_cli
from gateway.exercises.demo.attacks import Stage
from gateway.exercises.demo.check import Promise
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.queries import DEADLINE, AskedQuery, matter
from gateway.law.agreement_library import packaged

AGREEMENT = ("au-review", 1)
BEYOND = "1e-60"  # FPIR whose threshold no score of the matcher reaches
SAYS = "what lies in the review band waits for an examiner; the partner polls, and gets what they decided"
_CLAUSE = """\
[review]
floor_fpir = {floor}
persons = 1
paragraph = "IRPR 315.43(2)"   # the search completes with the verdict

"""


def agreement() -> str:
    """Return Australia's agreement under another name, with the review clause and a machine that never decides."""
    text = packaged()["au.toml"].decode()
    for stated, instead in (
        ('id = "au"', f'id = "{AGREEMENT[0]}"'),
        ('title = "', 'title = "For a demonstration: '),
        ("fpir = 1e-4", f"fpir = {BEYOND}"),
        ("[disclosure]\n", _CLAUSE.format(floor="1e-4") + "[disclosure]\n"),
    ):
        if text.count(stated) != 1:
            raise AssertionError(stated)
        text = text.replace(stated, instead)
    return text


def decided(
    stage: Stage, can: Party, examiner: Path, scratch: Path, one: AskedQuery
) -> tuple[Promise, dict[str, str]]:
    """Ask again what was a hit, have the case looked at and decided, and ask what became of it.

    Returns the promise, and the destruction receipt of the prints that the examiner saw by transaction number.
    """
    answer = stage.partner.query(
        stage.cast.samples(one.person.impressions[one.impression]),
        deadline=DEADLINE,
        **matter(one.person.pseudonym, agreement=AGREEMENT),
    )
    before = stage.partner.state(answer.transaction_number)
    cases = subprocess_cli.run("review", "list", can.home, officer=examiner, accept=(0, 1))["cases"]
    if len(cases) != 1:
        return Promise(SAYS, f"{answer.outcome.name}, {len(cases)} cases wait", kept=False), {}
    case = str(cases[0]["case"])
    seen = subprocess_cli.run(
        "review", "show", can.home, case, "--out", scratch / "overlay.svg", officer=examiner
    )
    pairs = sum(len(finger["pairs"]) for finger in seen["fingers"])
    reason = f"{pairs} minutiae agree in {len(seen['fingers'])} fingers"
    said = ("--verdict", "SAME", "--reason", reason)
    subprocess_cli.run("review", "decide", can.home, case, *said, officer=examiner)
    after = stage.partner.state(answer.transaction_number)
    promise = Promise(
        SAYS, f"{_told(answer, before, after)}; {reason}", _kept(answer, before, after)
    )
    if after.result is None:
        return promise, {}
    return promise, {answer.transaction_number: after.result.destruction_receipt_id}


def _kept(answer: Answer, before: QueryState, after: QueryState) -> bool:
    waited = (answer.outcome, before.state) == (Outcome.REVIEW_PENDING, State.REVIEWING)
    result = after.result
    matched = result is not None and result.outcome is Outcome.MATCH and bool(result.hit_reference)
    return waited and not answer.result.hit_reference and matched


def _told(answer: Answer, before: QueryState, after: QueryState) -> str:
    outcome = after.result.outcome.name if after.result else "no result"
    return f"{answer.outcome.name}, {before.state.name}, then {after.state.name}: {outcome}"
