"""A query whose score lies in the band, from the partner's side: pending, polled, decided, or given up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.operation import Officer
from gateway.client import Partner, PartnerError
from gateway.domain.messages import Outcome, ServiceLevel, State
from gateway.domain.person import DetailsOutcome, FieldCode, SubjectKind
from gateway.errors import UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.casework import reviews
from gateway.store.ledger import stored_ledger
from gateway.store.people.person_records import write_record
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.keyset import Keyset
from tests.patience import CALL, PATIENCE
from tests.programs import Program, Programs

AGREEMENT = ("au", 2)
ONE_FINGER = (2,)  # of a mate scores some 12; two fingers some 21
FPIR = "1e-15"  # a score of some 13: one finger is in the band, two are beyond it
CITIZEN = 41
FIRST = Officer("P-7", frozenset({Role.EXAMINER}))
SECOND = Officer("P-8", frozenset({Role.EXAMINER}))


def clause(agree: Any, home: Path, persons: int) -> None:
    """Put the next version of the agreement into the folder, with a review clause, signed by the gateway."""
    text = (home / "agreements" / "au.toml").read_text()
    text = text.replace("version = 1", "version = 2").replace("fpir = 1e-4", f"fpir = {FPIR}")
    band = f'\n[review]\nfloor_fpir = 1e-4\npersons = {persons}\nparagraph = "IRPR 315.39"\n'
    agree(home, "au-2.toml", text + band)


@pytest.fixture
def reviewing(homes: Any, secret: Any, serve: Any, people: Any, agree: Any) -> Callable[..., Any]:
    """Serve a gateway whose agreement has the clause, and which knows a citizen."""

    @contextmanager
    def start(persons: int = 1) -> Iterator[Any]:
        clause(agree, homes[0], persons)
        with Gateway.open(homes[0], secret) as gateway:
            gateway.subjects.registry.enrol(
                people.rows(CITIZEN, people.status(SubjectKind.CITIZEN))
            )
        with serve(*homes) as pair:
            yield pair

    return start


def ask(
    pair: Any, people: Any, seed: int, positions: tuple[int, ...] = ONE_FINGER, **more: Any
) -> Any:
    partner = pair.partner()
    about = people.matter(agreement=AGREEMENT, **more)
    return partner, partner.query(people.samples(seed, positions=positions), **about)


def waiting(pair: Any) -> list[reviews.Case]:
    with pair.gateway.database.reader() as reader:
        return reviews.waiting(reader)


def decide(pair: Any, verdict: str, officer: Officer = FIRST) -> Any:
    name = waiting(pair)[0].case
    pair.gateway.admin.perform(officer, "review.lease", {"case": name})
    said = {"case": name, "verdict": verdict, "reason": "as seen"}
    return pair.gateway.admin.perform(officer, "review.decide", said)


def kinds(pair: Any) -> list[EntryType]:
    return [decode(leaf).type for leaf in stored_ledger.iter_leaves(pair.gateway.database)]


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("SAME", Outcome.MATCH),
        ("DIFFERENT", Outcome.NO_MATCH),
        ("INCONCLUSIVE", Outcome.QUALITY_INSUFFICIENT),
    ],
)
def test_a_score_in_the_band_waits_for_a_person(
    reviewing: Any, people: Any, verdict: str, outcome: Outcome
) -> None:
    with reviewing() as pair:
        partner, answer = ask(pair, people, 1)
        assert answer.outcome is Outcome.REVIEW_PENDING
        assert answer.result.hit_reference == b""
        assert answer.result.destruction_receipt_id == ""
        assert kinds(pair)[-2:] == [EntryType.REVIEW, EntryType.RESPONSE]
        assert partner.state(answer.transaction_number).state is State.REVIEWING

        decide(pair, verdict)

        state = partner.state(answer.transaction_number)
        assert (state.state, state.result.outcome) == (State.DECIDED, outcome)
        assert bool(state.result.hit_reference) is (outcome is Outcome.MATCH)
        assert state.result.destruction_receipt_id
        assert partner.redeliver(answer.transaction_number).outcome is Outcome.REVIEW_PENDING
        assert self_check.verify_ledger(pair.home).ok


def test_details_are_had_after_the_verdict_and_never_before(reviewing: Any, people: Any) -> None:
    with reviewing() as pair:
        partner, answer = ask(pair, people, 1)
        number = answer.transaction_number
        about = people.matter(agreement=AGREEMENT)

        def details(reference: bytes) -> DetailsOutcome:
            found = partner.details(number, reference, [FieldCode.LAST_NAME], **about)
            return found.details.outcome

        assert answer.result.hit_reference == b""
        assert details(bytes(16)) is DetailsOutcome.UNAVAILABLE
        decide(pair, "SAME")
        assert details(partner.state(number).result.hit_reference) is DetailsOutcome.DISCLOSED


def test_a_score_beyond_the_band_needs_no_examiner(reviewing: Any, people: Any) -> None:
    with reviewing() as pair:
        assert ask(pair, people, 1, (2, 7))[1].outcome is Outcome.MATCH
        assert ask(pair, people, people.unknown)[1].outcome is Outcome.NO_MATCH
        assert waiting(pair) == []


def test_a_masked_subject_never_shows_review_pending(reviewing: Any, people: Any) -> None:
    """Law.md 3.3: a citizen in the band is answered at once, as an unknown person is, and no examiner sees the case."""
    with reviewing() as pair:
        _, hidden = ask(pair, people, CITIZEN)
        _, absent = ask(pair, people, people.unknown)

        assert hidden.outcome is absent.outcome is Outcome.NO_MATCH
        assert hidden.result.destruction_receipt_id
        assert waiting(pair) == []
        assert EntryType.REVIEW not in kinds(pair)


def test_whoever_became_a_citizen_before_the_verdict_is_masked(reviewing: Any, people: Any) -> None:
    with reviewing() as pair:
        partner, answer = ask(pair, people, 1)
        gateway = pair.gateway
        with gateway.database.reader() as reader:
            case = reviews.case(reader, waiting(pair)[0].case)
        assert case is not None
        subject = reviews.unseal(gateway.keys.data_key, case).subject
        record = gateway.subjects.people.record(subject)
        citizen = replace(record, status=people.status(SubjectKind.CITIZEN))
        effect = write_record(
            subject,
            replace(citizen, version=record.version + 1),
            gateway.keys.data_key,
            gateway.clock(),
        )
        gateway.sequencer.commit((), (effect,))

        decide(pair, "SAME")

        result = partner.state(answer.transaction_number).result
        assert (result.outcome, result.hit_reference) == (Outcome.NO_MATCH, b"")


def test_two_persons_by_the_agreement(reviewing: Any, people: Any) -> None:
    with reviewing(persons=2) as pair:
        partner, answer = ask(pair, people, 1)
        assert decide(pair, "SAME")["closed"] is False
        assert partner.state(answer.transaction_number).state is State.REVIEWING
        with pytest.raises(UserError, match="another person"):
            decide(pair, "SAME")
        assert decide(pair, "SAME", SECOND)["closed"] is True
        assert partner.state(answer.transaction_number).result.outcome is Outcome.MATCH


@pytest.mark.parametrize("level", [ServiceLevel.URGENT, ServiceLevel.ROUTINE])
def test_what_nobody_decides_is_abandoned_and_costs_no_quota(
    reviewing: Any, people: Any, level: ServiceLevel, monkeypatch: Any
) -> None:
    with reviewing() as pair:
        partner, answer = ask(pair, people, 1, service_level=level)
        case, now = waiting(pair)[0], pair.gateway.clock
        assert case.due - case.opened == timedelta(hours=24 if level is ServiceLevel.ROUTINE else 1)

        pair.gateway.casework.reviews.clock = lambda: now() + timedelta(hours=24)
        assert pair.gateway.casework.reviews.expire() == 1

        state = partner.state(answer.transaction_number)
        assert (state.state, state.result) == (State.ABANDONED, None)
        assert self_check.verify_ledger(pair.home).ok


def test_the_same_message_again_gets_the_same_pending_answer(reviewing: Any, people: Any) -> None:
    with reviewing() as pair:
        partner = pair.partner()
        outgoing = partner.compose(
            people.samples(1, positions=ONE_FINGER), **people.matter(agreement=AGREEMENT)
        )
        first, again = partner.send(outgoing), partner.send(outgoing)

        assert again.receipt == first.receipt
        assert len(waiting(pair)) == 1


def test_a_pending_answer_that_cannot_be_recorded_destroys_the_prints(
    reviewing: Any, people: Any, monkeypatch: Any
) -> None:
    """The case was never stored, so nothing of the prints is kept, and the ledger says that they are gone."""
    with reviewing() as pair:
        monkeypatch.setattr(
            type(pair.serving.pipeline), "_write", lambda *_: (_ for _ in ()).throw(RuntimeError)
        )
        with pytest.raises(people.refused):
            ask(pair, people, 1)

        assert waiting(pair) == []
        assert kinds(pair)[-2:] == [EntryType.DESTRUCTION, EntryType.REFUSAL]
        assert self_check.verify_ledger(pair.home).ok


_SERVER = """
import os, signal, sys
from pathlib import Path
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving

def observe(stage):
    if stage == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

with Gateway.open(Path(sys.argv[1]), lambda: b"a passphrase for tests") as gateway:
    Serving(gateway, observe=observe).run(lambda where: print(where.exchange, flush=True))
"""


@pytest.fixture
def server(programs: Programs) -> Any:
    """Return what serves in a process of its own."""

    @contextmanager
    def serve(home: Path, die_at: str = "never") -> Iterator[tuple[str, Program]]:
        process = programs.start(_SERVER, home, die_at, stderr=home.parent / "server.log")
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}", process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)
            process.stdout.close()

    return serve


@pytest.mark.parametrize("stage", ["search", "destroy", "seal", "record_response"])
def test_killed_on_its_way_to_an_examiner_a_query_has_one_case(
    homes: Any, server: Any, secret: Any, people: Any, agree: Any, *, stage: str
) -> None:
    home, asking = homes
    clause(agree, home, 1)
    keyset = Keyset.load(
        asking / "keys" / "keyset.json", open_custody(f"file:{asking}/keys/kek.json", secret)
    )

    def asker(address: str) -> Partner:
        return Partner.connect("AUS", keyset, own_bundle(home), address=address)

    with server(home, stage) as (address, process), asker(address) as partner:
        outgoing = partner.compose(
            people.samples(1, positions=ONE_FINGER), **people.matter(agreement=AGREEMENT)
        )
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(partner.send, outgoing, deadline=CALL)
            assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
            partner.close()
            assert isinstance(sent.exception(timeout=PATIENCE), PartnerError)

    with server(home) as (address, _), asker(address) as partner:
        assert partner.send(outgoing).outcome is Outcome.REVIEW_PENDING
    with Gateway.open(home, secret) as gateway:
        with gateway.database.reader() as reader:
            assert len(reviews.waiting(reader)) == 1
        assert self_check.verify_ledger(home).ok
