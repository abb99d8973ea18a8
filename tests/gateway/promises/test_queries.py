"""The main job: a sealed query, a real search, hit or no hit, and a receipt."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.client import DeadlineExceeded, Refused
from gateway.domain.messages import (
    Biometrics,
    Missing,
    Modality,
    Outcome,
    Presence,
    PriorTransaction,
    Purpose,
    RecordFormat,
    State,
)
from gateway.server import self_check
from keys import envelope
from tests.patience import CALL, PATIENCE

# Pair, Forger and their fixtures stand in tests/gateway/conftest.py.


@pytest.fixture(scope="module")
def ask(shared_pair: Any, people: Any) -> Any:
    partner = shared_pair.partner()
    return lambda seed, **other: partner.query(people.samples(seed), **people.matter(**other))


def test_a_known_person_is_a_hit_and_an_unknown_person_is_not(ask: Any, people: Any) -> None:
    known, unknown = ask(1), ask(people.unknown)

    assert known.outcome is Outcome.MATCH
    assert len(known.result.hit_reference) == 16
    assert unknown.outcome is Outcome.NO_MATCH
    assert unknown.result.hit_reference == b""


def test_a_hit_and_a_no_hit_are_of_one_size(ask: Any, people: Any) -> None:
    """Protocol 9: size must not whisper the outcome; neither must the receipt but by the tree's size."""
    known, unknown = ask(2), ask(people.unknown)

    assert known.envelope_size == unknown.envelope_size
    assert len(known.receipt.leaf) == len(unknown.receipt.leaf)


def test_every_answer_names_its_destruction_and_its_request(ask: Any) -> None:
    answer = ask(3)

    assert answer.result.destruction_receipt_id.startswith("D-")
    assert len(answer.result.request_leaf_hash) == 32


def test_references_are_never_given_twice(ask: Any) -> None:
    assert ask(1).result.hit_reference != ask(1).result.hit_reference


def test_the_recorded_state_repeats_the_answer(shared_pair: Any, people: Any) -> None:
    partner = shared_pair.partner()
    answer = partner.query(people.samples(1), **people.matter())

    state = partner.state(answer.transaction_number)

    assert state.state is State.DECIDED
    assert state.result == answer.result


def test_redelivery_is_the_same_answer_under_the_same_receipt(
    shared_pair: Any, people: Any
) -> None:
    partner = shared_pair.partner()
    answer = partner.query(people.samples(1), **people.matter())

    again = partner.redeliver(answer.transaction_number)

    assert again.result == answer.result
    assert again.receipt_index == answer.receipt_index


def test_capabilities_are_what_the_agreement_permits(shared_pair: Any) -> None:
    told = shared_pair.partner().capabilities()

    assert Purpose.CITIZENSHIP in told.purposes
    assert Purpose.DATA_ACCURACY not in told.purposes
    assert told.envelope_formats == told.suites == (1,)
    assert told.size_classes == envelope.SIZE_CLASSES
    assert Modality.FINGER in told.modalities
    assert RecordFormat.ISO_19794_2_2011 in told.record_formats


def test_the_same_bytes_get_the_same_answer_without_a_second_search(
    shared_pair: Any, people: Any
) -> None:
    """Protocol 8: a retry costs nothing and changes nothing."""
    partner = shared_pair.partner()
    outgoing = partner.compose(people.samples(1), **people.matter())
    first = partner.send(outgoing)
    size = shared_pair.gateway.sequencer.size

    second = partner.send(outgoing)

    assert second.result == first.result
    assert second.receipt == first.receipt
    assert shared_pair.gateway.sequencer.size == size


def test_two_identical_queries_at_one_instant_are_one_search(shared_pair: Any, people: Any) -> None:
    partner = shared_pair.partner()
    outgoing = partner.compose(people.samples(1), **people.matter())
    size = shared_pair.gateway.sequencer.size

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: partner.send(outgoing), range(4)))

    assert len({answer.receipt for answer in answers}) == 1
    assert shared_pair.gateway.sequencer.size == size + 3  # REQUEST, DESTRUCTION, RESPONSE


@pytest.mark.parametrize("count", [0, 3])
def test_a_probe_that_decides_nothing_is_never_a_no_match(
    shared_pair: Any, people: Any, count: int
) -> None:
    """Protocol 3: unsearched is QUALITY_INSUFFICIENT; and it costs no quota."""
    sample = people.samples(1)[0]
    partner = shared_pair.partner()

    answer = partner.query([people.poor(sample, count)], **people.matter())

    assert answer.outcome is Outcome.QUALITY_INSUFFICIENT
    assert [problem.position for problem in answer.result.problems] == [sample.position]
    assert all(problem.recapture for problem in answer.result.problems)


def test_one_good_finger_is_searched_and_the_poor_one_is_named(
    shared_pair: Any, people: Any
) -> None:
    good, poor = people.samples(people.unknown)

    answer = shared_pair.partner().query([good, people.poor(poor, 2)], **people.matter())

    assert answer.outcome is Outcome.NO_MATCH
    assert [problem.position for problem in answer.result.problems] == [poor.position]


def test_a_missing_finger_is_declared_and_the_other_decides(shared_pair: Any, people: Any) -> None:
    answer = shared_pair.partner().query(
        people.samples(1, positions=(2,)),
        **people.matter(missing=[Missing(7, Presence.AMPUTATED)]),
    )

    assert answer.outcome in {Outcome.MATCH, Outcome.NO_MATCH}


def test_a_query_by_a_number_that_we_never_issued_finds_nothing(
    shared_pair: Any, people: Any
) -> None:
    """IRPR 315.38: unknown and another partner's number are one answer."""
    with pytest.raises(Refused) as refused:
        shared_pair.partner().query(PriorTransaction("T-00000000"), **people.matter())

    assert (refused.value.code, refused.value.reason) == ("NOT_FOUND", "PRIOR_TRANSACTION_UNKNOWN")


def test_another_number_than_ones_own_is_unknown(shared_pair: Any) -> None:
    with pytest.raises(Refused) as refused:
        shared_pair.partner().state("T-NOT-THERE")

    assert refused.value.reason == "TRANSACTION_UNKNOWN"


def test_many_at_once_are_all_answered_and_the_ledger_is_whole(
    shared_pair: Any, people: Any
) -> None:
    partner = shared_pair.partner()
    seeds = [1, people.unknown] * 8

    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda seed: partner.query(people.samples(seed), **people.matter()), seeds)
        )

    wanted = [Outcome.MATCH if seed == 1 else Outcome.NO_MATCH for seed in seeds]
    assert [answer.outcome for answer in answers] == wanted
    assert len({answer.receipt_index for answer in answers}) == len(seeds)
    assert self_check.verify_ledger(shared_pair.home).ok


def test_a_deadline_that_passes_loses_nothing(homes: Any, people: Any, serve: Any) -> None:
    """Protocol 4: after the first commit a call is carried to its end; the answer waits."""
    slow, searching, release = (threading.Event() for _ in range(3))

    def observe(stage: str) -> None:
        if stage == "search" and slow.is_set():
            searching.set()
            release.wait(timeout=PATIENCE)

    with serve(*homes, observe) as pair:
        partner = pair.partner()
        partner.query(people.samples(1), **people.matter())
        slow.set()
        for deadline in (4.0, CALL):  # until one was begun in time: a slow machine needs the second
            with pytest.raises(DeadlineExceeded) as late:
                partner.query(people.samples(1), deadline=deadline, **people.matter())
            if searching.is_set():
                break
        number = late.value.transaction_number
        release.set()

        assert _decided(partner, number)
        assert partner.redeliver(number).outcome is Outcome.MATCH


def _decided(partner: Any, number: str) -> bool:
    """Ask until the query is decided; no machine needs that long."""
    for _ in range(int(PATIENCE)):
        if partner.state(number).state is State.DECIDED:
            return True
        time.sleep(1)
    return False


def test_a_query_of_the_law_that_contradicts_itself_is_refused(
    shared_pair: Any, people: Any
) -> None:
    """IRPR 315.41(1)(d): that purpose is for a refugee claim, which the query must declare."""
    with pytest.raises(Refused) as refused:
        shared_pair.partner().query(
            people.samples(1),
            **people.matter(purpose=Purpose.REFUGEE_CLAIM_BY_CANADIAN_PR),
        )

    assert refused.value.reason == "ELEMENTS_INCONSISTENT"


def test_a_purpose_that_the_agreement_does_not_name_is_refused(
    shared_pair: Any, people: Any
) -> None:
    with pytest.raises(Refused) as refused:
        shared_pair.partner().query(
            people.samples(1), **people.matter(purpose=Purpose.DATA_ACCURACY)
        )

    assert (refused.value.code, refused.value.reason) == (
        "PERMISSION_DENIED",
        "PURPOSE_NOT_PERMITTED",
    )


@pytest.mark.parametrize("agreement", [("au", 2), ("nz", 1), ("xx", 1)])
def test_another_agreement_than_the_pairs_own_is_not_in_force(
    shared_pair: Any, people: Any, agreement: tuple[str, int]
) -> None:
    with pytest.raises(Refused) as refused:
        shared_pair.partner().query(people.samples(1), **people.matter(agreement=agreement))

    assert refused.value.reason == "AGREEMENT_NOT_IN_FORCE"


def test_an_exhausted_quota_says_when_it_renews_and_survives_a_restart(
    homes: Any, people: Any, serve: Any, agree: Any
) -> None:
    file = homes[0] / "agreements" / "au.toml"
    text = file.read_text()
    ours = text.replace('preset = "hvdsp-400000"', "day = 2\nyear = 100", 1)
    ours = ours.replace("version = 1", "version = 2")
    agree(homes[0], "au-2.toml", ours)
    query = people.matter(agreement=("au", 2))
    with serve(*homes) as pair:
        pair.partner().query(people.samples(1), **query)
        pair.partner().query(people.samples(people.unknown), **query)
        with pytest.raises(Refused) as refused:
            pair.partner().query(people.samples(1), **query)
        assert (refused.value.code, refused.value.reason) == (
            "RESOURCE_EXHAUSTED",
            "QUOTA_EXCEEDED",
        )
        assert "reset_time" in refused.value.metadata

    with serve(*homes) as pair, pytest.raises(Refused) as refused:
        pair.partner().query(people.samples(1), **query)
    assert refused.value.reason == "QUOTA_EXCEEDED"


def test_no_byte_of_a_probe_stays_in_the_folder(homes: Any, people: Any, serve: Any) -> None:
    """IRPR 315.43(2): destroyed on completion; neither database nor WAL nor any other file has it."""
    probe = people.samples(people.unknown)
    with serve(*homes) as pair:
        pair.partner().query(probe, **people.matter())
        _demand_absent(homes[0], [sample.data[24:] for sample in probe])
    _demand_absent(homes[0], [sample.data[24:] for sample in probe])


def _demand_absent(folder: Any, needles: list[bytes]) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            octets = path.read_bytes()
            for needle in needles:
                for start in range(0, len(needle) - 24, 24):
                    assert needle[start : start + 24] not in octets, path.name


def test_an_empty_biometric_probe_is_an_error_not_an_outcome(shared_forger: Any) -> None:
    envelope = shared_forger.compose(shared_forger.payload(Biometrics(())))

    assert shared_forger.refused(envelope)[0] in {"INVALID_ARGUMENT", "PERMISSION_DENIED"}


@pytest.mark.usefixtures("asked_once")
def test_where_nobody_is_enrolled_no_query_is_answered(pair: Any, people: Any) -> None:
    """What was not searched is never NO_MATCH: a gallery that was not loaded yet must not look like good news."""
    pair.serving.engines.load(_Nobody())

    with pytest.raises(people.refused) as refused:
        pair.partner().query(people.samples(1), deadline=CALL, **people.matter())

    assert refused.value.reason == "ENGINE_UNAVAILABLE"
    assert "nobody is enrolled" in str(refused.value)


class _Nobody:
    """A gallery without people."""

    def batches(self, *_: object) -> Any:
        return iter(())
