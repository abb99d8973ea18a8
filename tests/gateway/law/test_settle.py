"""Who may be revealed: table 3.3 of law.md, typed out again as the oracle of what `settle` shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.messages import Outcome, Purpose
from gateway.domain.person import NOBODY, FieldCode, Ground, Scope, Status, SubjectKind, Withholding
from gateway.law.agreement import Band
from gateway.law.query_policy import Decided, Found, Permit, may_answer, settle

MATCH = Found(9.0, 4.0)
NEAR = Found(3.0, 4.0, 2.0)
AWAY = Found(1.0, 4.0, 2.0)

CITIZEN, RESIDENT, FOREIGN, CLAIMANT = (
    SubjectKind.CITIZEN,
    SubjectKind.PERMANENT_RESIDENT,
    SubjectKind.FOREIGN_NATIONAL,
    SubjectKind.CLAIMANT,
)
NATIONS = {"au": "AUS", "nz": "NZL", "uk": "GBR", "us-visa": "USA"}


def permit(bench: Any, name: str, *, claim: bool, review: bool = False) -> Permit:
    agreement = bench.agreements[name]
    purpose = Purpose.VISA_PERMIT_BENEFIT
    query = bench.query(claimant=claim)
    found: Permit = may_answer(bench.header(agreement, purpose), query, agreement, bench.now)
    if review:
        object.__setattr__(found, "review", Band(1e-2, 1, "IRPR 315.39"))
    return found


# (kind, nationalities; "*" is the asking country's) → revealed without, revealed with a declared claim
DIVISION_3 = [
    (FOREIGN, ("SYR",), True, True),
    (CLAIMANT, ("SYR",), True, True),
    (RESIDENT, ("SYR",), False, True),
    (CITIZEN, ("CAN",), False, False),
    (CITIZEN, ("CAN", "SYR"), False, False),
    (FOREIGN, ("CAN", "SYR"), False, False),
    (FOREIGN, ("*",), False, False),
    (FOREIGN, ("*", "SYR"), False, False),
    (CLAIMANT, ("*",), False, False),
    (RESIDENT, ("*",), False, True),
    (SubjectKind.UNKNOWN, ("SYR",), False, False),
    (FOREIGN, (), False, False),
]
DIVISION_1 = [
    (FOREIGN, ("SYR",), True, True),
    (CLAIMANT, ("SYR",), True, True),
    (RESIDENT, ("SYR",), True, True),
    (CITIZEN, ("CAN",), False, False),
    (CITIZEN, ("CAN", "SYR"), False, False),
    (FOREIGN, ("*",), False, False),
    (RESIDENT, ("*",), False, False),
    (CITIZEN, ("CAN", "*"), False, False),
    (SubjectKind.UNKNOWN, ("SYR",), False, False),
]
TABLE = [
    (name, *row) for name in NATIONS for row in (DIVISION_1 if name == "us-visa" else DIVISION_3)
]


@pytest.mark.parametrize(("name", "kind", "nations", "plain", "claiming"), TABLE)
@pytest.mark.parametrize("found", [MATCH, NEAR])
def test_irpr_315_21_and_315_36_who_may_be_revealed(  # noqa: PLR0917
    bench: Any,
    name: str,
    kind: SubjectKind,
    nations: tuple[str, ...],
    plain: bool,
    claiming: bool,
    found: Found,
) -> None:
    here = frozenset(NATIONS[name] if nation == "*" else nation for nation in nations)
    status = Status(kind=kind, nationalities=here, no_persecutor=True, confirmed=bench.now)
    true = Outcome.MATCH if found is MATCH else Outcome.REVIEW_PENDING
    for claim, revealed in ((False, plain), (True, claiming)):
        given = permit(bench, name, claim=claim, review=True)
        settled = settle(found, status, given, held=(FieldCode.APPLICATION_HISTORY,))

        assert settled.true is true
        assert settled.shown is (true if revealed else Outcome.NO_MATCH)
        assert settled.why.startswith(f"{name}@1:answer.reveal.")
        assert settled.why in settled.rules


def test_irpr_315_41_1_d_a_resident_is_revealed_under_it(bench: Any) -> None:
    settled = settle(MATCH, bench.person(RESIDENT), permit(bench, "au", claim=True))

    assert settled.shown is Outcome.MATCH
    assert settled.why == "au@1:answer.reveal.PERMANENT_RESIDENT.DECLARED"
    cell = bench.agreements["au"].answering.reveal
    assert {each.paragraph for each in cell.values() if each.rule == settled.why} == {
        "IRPR 315.41(1)(d)"
    }


@pytest.mark.parametrize("purpose", [Purpose.TRAVEL_ENTER_REMAIN, Purpose.CITIZENSHIP])
def test_a_claim_counts_only_where_a_claim_can_be_the_purpose(bench: Any, purpose: Purpose) -> None:
    agreement = bench.agreements["au"]
    asked = bench.header(agreement, purpose)
    found = may_answer(asked, bench.query(claimant=True), agreement, bench.now)

    assert not found.claim
    assert settle(MATCH, bench.person(RESIDENT), found).shown is Outcome.NO_MATCH


def test_a_status_that_nobody_confirmed_in_time_is_unknown_and_alarms(bench: Any) -> None:
    for days, shown in ((365, Outcome.MATCH), (366, Outcome.NO_MATCH), (-2, Outcome.NO_MATCH)):
        settled = settle(MATCH, bench.person(days=days), permit(bench, "au", claim=False))

        assert settled.shown is shown
        assert settled.alarm == (shown is Outcome.NO_MATCH)
    unknown = settle(MATCH, NOBODY, permit(bench, "au", claim=False))
    assert (unknown.shown, unknown.alarm) == (Outcome.NO_MATCH, True)


def test_without_the_review_clause_there_is_no_band(bench: Any) -> None:
    settled = settle(NEAR, bench.person(), permit(bench, "au", claim=False))

    assert settled.shown is settled.true is Outcome.NO_MATCH


def test_a_true_no_match_says_nothing_of_the_decoy(bench: Any) -> None:
    """Whose record was looked at where nobody was found is nobody's business, the auditor's neither."""
    told = {
        settle(AWAY, bench.person(kind), permit(bench, "au", claim=False, review=True))
        for kind in SubjectKind
    }

    assert len(told) == 1
    assert "answer.reveal" not in " ".join(told.pop().rules)


def test_what_was_not_compared_is_not_a_no_match(bench: Any) -> None:
    for found in (Found(float("nan"), 4.0), Found(9.0, float("nan"))):
        with pytest.raises(ValueError, match="no answer"):
            settle(found, bench.person(), permit(bench, "au", claim=False))


@given(
    name=st.sampled_from(sorted(NATIONS)),
    kind=st.sampled_from(SubjectKind),
    nations=st.frozensets(st.sampled_from(["CAN", "AUS", "NZL", "GBR", "USA", "SYR", "XXA"])),
    days=st.integers(-400, 800),
    claim=st.booleans(),
    score=st.floats(-5, 15),
    held=st.frozensets(st.sampled_from(FieldCode), max_size=3),
)
def test_nobody_is_revealed_whom_the_table_masks(  # noqa: PLR0917
    bench: Any,
    name: str,
    kind: SubjectKind,
    nations: frozenset[str],
    days: int,
    claim: bool,
    score: float,
    held: frozenset[FieldCode],
) -> None:
    status = bench.person(kind, days=days)
    object.__setattr__(status, "nationalities", nations)
    given = permit(bench, name, claim=claim, review=True)
    settled = settle(Found(score, 4.0, 2.0), status, given, held=held)
    if settled.shown is Outcome.NO_MATCH:
        return
    assert settled.shown is settled.true
    assert kind is not SubjectKind.CITIZEN
    assert "CAN" not in nations
    assert nations
    assert days <= 365
    if name == "us-visa":
        assert "USA" not in nations
        assert not claim or FieldCode.APPLICATION_HISTORY in held
    elif kind is SubjectKind.PERMANENT_RESIDENT:
        assert claim
    else:
        assert NATIONS[name] not in nations


SECURITY, POLICY = Ground.NATIONAL_SECURITY, Ground.PUBLIC_POLICY
WHOLE = Decided(Scope.ALL, frozenset(), SECURITY)


def foreigner(bench: Any) -> Status:
    return Status(kind=FOREIGN, nationalities=frozenset({"SYR"}), confirmed=bench.now)


@pytest.mark.parametrize("name", sorted(NATIONS))
def test_whom_an_official_refuses_as_a_whole_is_refused_with_the_ground(
    bench: Any, name: str
) -> None:
    """IRPR 315.25(4), 315.41(3): a match, said to be refused; what is no match stays one."""
    given = permit(bench, name, claim=False)

    refused = settle(MATCH, foreigner(bench), given, [WHOLE])
    away = settle(AWAY, foreigner(bench), given, [WHOLE])

    assert (refused.shown, refused.true) == (Outcome.REFUSED, Outcome.MATCH)
    assert refused.withholding == Withholding(Scope.ALL, SECURITY)
    assert refused.why.endswith(":answer.refusal")
    assert refused.rules[-1] == refused.why
    assert (away.shown, away.withholding) == (Outcome.NO_MATCH, None)


def test_a_refusal_reveals_nobody_whom_the_table_hides(bench: Any) -> None:
    citizen = Status(kind=CITIZEN, nationalities=frozenset({"CAN"}), confirmed=bench.now)
    given = permit(bench, "au", claim=False)

    assert settle(MATCH, citizen, given, [WHOLE]) == settle(MATCH, citizen, given)


@pytest.mark.parametrize(
    ("name", "decision", "shown"),
    [
        ("au", Decided(Scope.PART, frozenset({FieldCode.PHOTOGRAPH}), POLICY), Outcome.MATCH),
        ("us-visa", Decided(Scope.ALL, frozenset(), POLICY, "for this case"), Outcome.MATCH),
        ("au", Decided(Scope.ALL, frozenset(), POLICY, "for this case"), Outcome.REFUSED),
    ],
)
def test_a_part_or_terms_leave_the_match(
    bench: Any, name: str, decision: Decided, shown: Outcome
) -> None:
    """Terms exist under Division 1 alone; a part is a matter of the second step."""
    assert (
        settle(MATCH, foreigner(bench), permit(bench, name, claim=False), [decision]).shown is shown
    )


def test_an_agreement_that_knows_no_refusal_masks(bench: Any) -> None:
    """A partner that was never told that we may refuse learns nothing by it."""
    given = permit(bench, "au", claim=False)
    silent = replace(given.agreement, answering=replace(given.agreement.answering, refusing=None))

    found = settle(MATCH, foreigner(bench), replace(given, agreement=silent), [WHOLE])

    assert (found.shown, found.true, found.withholding) == (Outcome.NO_MATCH, Outcome.MATCH, None)


def test_what_waits_for_an_examiner_goes_on_waiting(bench: Any) -> None:
    """Before a verdict there is no match to refuse."""
    given = permit(bench, "au", claim=False, review=True)

    assert settle(NEAR, foreigner(bench), given, [WHOLE]).shown is Outcome.REVIEW_PENDING
