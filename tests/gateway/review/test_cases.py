"""What examiners do: what is seen, who may say what, and what a query comes to."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from gateway.admin.operation import NotAllowed, Officer
from gateway.casework.review_disclosure import ReviewDisclosure
from gateway.domain.messages import Outcome, ServiceLevel, State
from gateway.domain.person import Ground, Scope, Withholding
from gateway.errors import AuditUnavailable, InternalError, RecordUnparseable, UserError
from gateway.law.query_policy import Settled
from gateway.ledger.entry import EntryType
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.casework import reviews
from gateway.store.casework.reviews import CaseState
from keys.errors import DamagedFile
from tests.pages import demand_pages


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("SAME", Outcome.MATCH),
        ("DIFFERENT", Outcome.NO_MATCH),
        ("INCONCLUSIVE", Outcome.QUALITY_INSUFFICIENT),
    ],
)
def test_a_verdict_decides_the_query_and_destroys_the_prints(
    bench: Any, verdict: str, outcome: Outcome
) -> None:
    """IRPR 315.43(2), read with the review clause: the search completes with the verdict."""
    case = bench.pending()
    assert bench.row(case).state is State.REVIEWING

    done = bench.decide(bench.first, case, verdict)

    assert done["closed"]
    assert bench.kinds()[-2:] == [EntryType.DESTRUCTION, EntryType.VERDICT]
    row, result, after = bench.row(case), bench.result(case), bench.case(case.case)
    assert (row.state, row.outcome, result.outcome) == (State.DECIDED, outcome, outcome)
    assert bool(result.hit_reference) is (outcome is Outcome.MATCH)
    assert result.destruction_receipt_id == done["destruction_receipt"]
    assert (after.state, after.sealed, after.sealed_key) == (CaseState.CLOSED, None, None)
    assert self_check.verify_ledger(bench.gateway.home).ok


def test_two_persons_decide_where_the_agreement_says_so(bench: Any) -> None:
    case = bench.pending(persons=2)

    assert not bench.decide(bench.first, case, "SAME")["closed"]
    assert bench.row(case).state is State.REVIEWING
    assert bench.case(case.case).sealed is not None
    assert bench.decide(bench.second, case, "SAME")["closed"]

    assert bench.result(case).outcome is Outcome.MATCH
    assert self_check.verify_ledger(bench.gateway.home).ok


def test_two_persons_who_disagree_reveal_nobody(bench: Any) -> None:
    case = bench.pending(persons=2)
    bench.decide(bench.first, case, "SAME")

    bench.decide(bench.second, case, "DIFFERENT")

    assert bench.result(case).outcome is Outcome.QUALITY_INSUFFICIENT


def test_whoever_the_law_hides_at_the_verdict_stays_hidden(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status may change between search and verdict; a citizen by then is masked (law.md 3.3)."""
    case = bench.pending()
    hidden = Settled(Outcome.NO_MATCH, Outcome.MATCH, "IRPR 315.36")
    monkeypatch.setattr(ReviewDisclosure, "settled", lambda *_: hidden)

    bench.decide(bench.first, case, "SAME")

    assert bench.result(case).outcome is Outcome.NO_MATCH
    assert bench.result(case).hit_reference == b""


def test_whom_an_official_refuses_as_a_whole_is_refused_at_the_verdict(bench: Any) -> None:
    """IRPR 315.41(3): what is decided between search and verdict holds at the verdict."""
    case, caseworker = bench.pending(), Officer("P-9", frozenset({Role.CASEWORKER}))
    values = {"person": "P-1", "scope": "ALL", "ground": "SOVEREIGNTY", "reason": "file 12"}
    bench.gateway.admin.perform(caseworker, "decision.refuse", values)

    bench.decide(bench.first, case, "SAME")

    assert bench.result(case).outcome is Outcome.REFUSED
    assert bench.result(case).withholding == Withholding(Scope.ALL, Ground.SOVEREIGNTY)
    assert bench.result(case).hit_reference == b""


def test_an_examiner_sees_minutiae_and_nothing_of_whose_they_are(bench: Any) -> None:
    case = bench.pending(seed=3)

    shown = bench.act(bench.first, "lease", case)

    assert [(each["position"], each["stated"]) for each in shown["fingers"]] == [(2, 2), (7, 7)]
    for finger in shown["fingers"]:
        assert len(finger["pairs"]) >= 8
        assert all(pair[0] < len(finger["probe"]) for pair in finger["pairs"])
        assert all(pair[1] < len(finger["record"]) for pair in finger["pairs"])
    text = json.dumps(shown)
    for hidden in ("P-3", "AUS", "C-1", "O-1", "VISA", str(bench.subject(3)), case.number):
        assert hidden not in text
    assert "score" not in text
    assert "ratio" not in text


def test_whose_prints_were_shown_and_for_which_case_is_sealed_before_they_are(
    bench: Any, readings: Any
) -> None:
    case = bench.pending(seed=3)

    bench.act(bench.first, "lease", case)

    (leaf,) = readings
    assert leaf.detail == {
        "actor": bench.first.person,
        "source": "prints",
        "subject": str(bench.subject(3)),
        "case": "C-1",
    }
    assert (leaf.frame.partner_id, leaf.frame.transaction_number) == ("AUS", case.number)
    assert str(bench.subject(3)) not in repr(leaf.frame)
    assert self_check.verify_ledger(bench.gateway.home).ok


def test_prints_are_not_shown_where_that_cannot_be_recorded(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = bench.pending(seed=3)

    def full(*_: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr(type(bench.gateway.sequencer), "commit", full)

    with pytest.raises(AuditUnavailable):
        bench.act(bench.first, "lease", case)
    assert bench.case(case.case).leased_by is None


def test_a_lease_is_for_one_and_ends(bench: Any) -> None:
    case = bench.pending()
    bench.act(bench.first, "lease", case)

    with pytest.raises(UserError, match="somebody else"):
        bench.act(bench.second, "lease", case)
    bench.clock.move(minutes=16)
    assert bench.act(bench.second, "lease", case)["held_by"] == "P-8"
    with pytest.raises(UserError, match="not this case in hand"):
        bench.act(bench.first, "decide", case, verdict="SAME", reason="late")


def test_a_case_laid_down_is_anybodys_again(bench: Any) -> None:
    case = bench.pending(persons=2)
    bench.act(bench.first, "lease", case)
    assert bench.act(bench.first, "release", case)["state"] == "OPEN"

    bench.decide(bench.first, case, "SAME")
    bench.act(bench.second, "lease", case)

    assert bench.act(bench.second, "release", case)["state"] == "FIRST_VERDICT"


def test_the_list_shows_the_most_urgent_first_and_nothing_of_the_query(bench: Any) -> None:
    slow = bench.pending()
    fast = bench.pending(level=ServiceLevel.URGENT)

    found = bench.gateway.admin.perform(bench.first, "review.list", {})

    assert [each["case"] for each in found["cases"]] == [fast.case, slow.case]
    assert found["cases"][0]["seconds_left"] <= 3600
    assert "AUS" not in json.dumps(found)


@pytest.mark.parametrize("level", ServiceLevel)
def test_a_case_out_of_time_is_abandoned_and_never_a_no_match(
    bench: Any, level: ServiceLevel
) -> None:
    case = bench.pending(level=level)
    assert bench.gateway.casework.reviews.expire() == 0

    bench.clock.move(hours=24 if level is ServiceLevel.ROUTINE else 1)

    assert bench.gateway.casework.reviews.expire() == 1
    assert bench.kinds()[-3:] == [EntryType.DESTRUCTION, EntryType.ABANDONED, EntryType.ALARM]
    row, after = bench.row(case), bench.case(case.case)
    assert (row.state, row.outcome) == (State.ABANDONED, None)
    assert (after.state, after.sealed, after.sealed_key) == (CaseState.EXPIRED, None, None)
    assert bench.gateway.casework.reviews.expire() == 0
    assert self_check.verify_ledger(bench.gateway.home).ok


@pytest.mark.parametrize(
    "fault",
    [
        None,
        InternalError("altered"),
        RecordUnparseable(element="x"),
        DamagedFile(Path("x"), "altered"),
        ValueError(),
    ],
)
def test_the_entry_of_an_expired_case_names_what_was_destroyed_where_that_can_be_read(
    bench: Any, monkeypatch: pytest.MonkeyPatch, fault: Exception | None
) -> None:
    """A case whose evidence was altered ends in time all the same, and claims nothing of it."""
    case = bench.pending()
    if fault is not None:
        monkeypatch.setattr(reviews, "unseal", Mock(side_effect=fault))
    committed: list[Any] = []
    commit = bench.gateway.sequencer.commit
    monkeypatch.setattr(
        bench.gateway.sequencer,
        "commit",
        lambda leaves, effects=(): (committed.extend(leaves), commit(leaves, effects))[1],
    )
    bench.clock.move(hours=24)

    assert bench.gateway.casework.reviews.expire() == 1

    (gone,) = [leaf for leaf in committed if leaf.frame.type is EntryType.DESTRUCTION]
    assert gone.detail["destroyed"] == "sealed query, and the key to it"
    assert gone.detail.get("modality") == ("FINGER" if fault is None else None)
    assert bench.case(case.case).state is CaseState.EXPIRED


# Attacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.EXAMINER}, key=lambda role: role.value))
@pytest.mark.parametrize("act", ["lease", "decide", "release"])
def test_no_other_role_touches_a_case(bench: Any, role: Role, act: str) -> None:
    case = bench.pending()
    more = {"verdict": "SAME", "reason": "x"} if act == "decide" else {}

    with pytest.raises(NotAllowed):
        bench.act(Officer("P-9", frozenset({role})), act, case, **more)

    assert bench.case(case.case).state is CaseState.OPEN


def test_one_person_never_gives_both_verdicts(bench: Any) -> None:
    """By person, not by officer certificate: another officer certificate of the same person is the same person."""
    case = bench.pending(persons=2)
    bench.decide(bench.first, case, "SAME")
    again = Officer("P-7", frozenset({Role.EXAMINER, Role.OPERATOR}))

    for act, more in (("lease", {}), ("decide", {"verdict": "SAME", "reason": "x"})):
        with pytest.raises(NotAllowed, match="another person"):
            bench.act(again, act, case, **more)


def test_a_verdict_without_a_look_is_refused(bench: Any) -> None:
    case = bench.pending()

    with pytest.raises(UserError, match="look at it again"):
        bench.act(bench.first, "decide", case, verdict="SAME", reason="x")


def test_a_verdict_after_the_lease_is_refused(bench: Any) -> None:
    case = bench.pending()
    bench.act(bench.first, "lease", case)
    bench.clock.move(minutes=15)

    with pytest.raises(UserError):
        bench.act(bench.first, "decide", case, verdict="SAME", reason="x")
    assert bench.row(case).state is State.REVIEWING


@pytest.mark.parametrize("swept", [False, True])
def test_a_verdict_after_the_deadline_is_refused(bench: Any, swept: bool) -> None:
    """Not a second longer, also where the periodic jobs has not come by yet."""
    case = bench.pending(level=ServiceLevel.URGENT)
    bench.clock.move(minutes=55)
    bench.act(bench.first, "lease", case)
    bench.clock.move(minutes=5)
    if swept:
        bench.gateway.casework.reviews.expire()

    with pytest.raises(UserError, match="no such case"):
        bench.act(bench.first, "decide", case, verdict="SAME", reason="x")


def test_a_case_is_decided_once(bench: Any) -> None:
    case = bench.pending()
    bench.decide(bench.first, case, "DIFFERENT")

    with pytest.raises(UserError, match="no such case"):
        bench.act(bench.first, "decide", case, verdict="SAME", reason="x")
    assert bench.result(case).outcome is Outcome.NO_MATCH


def test_of_two_verdicts_at_one_instant_one_counts(bench: Any) -> None:
    """All looked before any committed; the others find the row changed and change nothing."""
    case = bench.pending()
    bench.act(bench.first, "lease", case)

    def say(verdict: str) -> bool:
        try:
            return bool(bench.act(bench.first, "decide", case, verdict=verdict, reason="x"))
        except UserError:
            return False

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(say, ["SAME", "DIFFERENT", "SAME", "DIFFERENT"]))

    assert told.count(True) == 1
    assert bench.kinds().count(EntryType.VERDICT) == 1
    assert self_check.verify_ledger(bench.gateway.home).ok


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "MAYBE", "reason": "x"},
        {"verdict": "SAME"},
        {"verdict": "SAME", "reason": " "},
        {"verdict": "SAME", "reason": "x", "score": 1},
        {"verdict": "SAME", "reason": "x", "case": "R-0000000000000000"},
    ],
)
def test_a_malformed_verdict_decides_nothing(bench: Any, values: dict[str, object]) -> None:
    case = bench.pending()
    bench.act(bench.first, "lease", case)

    with pytest.raises(UserError):
        bench.gateway.admin.perform(bench.first, "review.decide", {"case": case.case, **values})
    assert bench.case(case.case).state is CaseState.LEASED


def test_a_case_survives_a_restart(bench: Any, secret: Any) -> None:
    case = bench.pending()
    bench.act(bench.first, "lease", case)
    bench.gateway.close()

    with Gateway.open(bench.gateway.home, secret) as again:
        bench.gateway = again
        bench.act(bench.first, "decide", case, verdict="SAME", reason="as seen")
        assert bench.result(case).outcome is Outcome.MATCH


def test_what_ran_out_of_time_while_the_gateway_was_closed_is_abandoned(
    bench: Any, secret: Any
) -> None:
    case = bench.pending()
    bench.gateway.close()
    bench.clock.move(hours=30)

    with Gateway.open(bench.gateway.home, secret) as again:
        bench.gateway = again
        assert again.casework.reviews.expire() == 1
        assert bench.row(case).state is State.ABANDONED


def test_evidence_of_one_case_does_not_open_as_another(bench: Any) -> None:
    one, other = bench.pending(), bench.pending(seed=2)

    with pytest.raises(InternalError):
        reviews.unseal(bench.gateway.keys.data_key, replace(one, sealed=other.sealed))
    with pytest.raises(InternalError):
        reviews.unseal(bench.gateway.keys.data_key, replace(one, case=other.case))


def test_no_byte_of_a_probe_is_left_after_the_verdict(bench: Any) -> None:
    """Neither the prints, which were never there in clear, nor what was sealed of them, nor its key."""
    case = bench.pending()
    sealed, key = bench.case(case.case).sealed, bench.case(case.case).sealed_key
    prints = [sample.data for sample in bench.people.samples(1)]
    assert _holds(bench, sealed[:64])
    assert not any(_holds(bench, each[30:80]) for each in prints)

    bench.decide(bench.first, case, "SAME")

    for trace in (sealed[:64], sealed[-64:], key[:32], key[-32:], *(p[30:80] for p in prints)):
        assert not _holds(bench, trace)


def _holds(bench: Any, trace: bytes) -> bool:
    folder = bench.gateway.settings.store.path.parent
    return any(trace in file.read_bytes() for file in folder.iterdir() if file.is_file())


def test_a_lease_never_outlives_the_case(bench: Any) -> None:
    case = bench.pending(level=ServiceLevel.URGENT)
    bench.clock.move(minutes=55)

    shown = bench.act(bench.first, "lease", case)

    assert shown["held_until"] == shown["due"]
    assert timedelta(seconds=shown["seconds_left"]) <= timedelta(minutes=5)


def test_cases_that_wait_are_listed_in_pages(bench: Any) -> None:
    for seed in (1, 2, 3, 1, 2):
        bench.pending(seed)

    demand_pages(bench.gateway, bench.first, "review.list", "cases")
