"""Two steps: a match gives a reference; what it leads to is disclosed by paragraph, or looks like nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import literal, select

from gateway.client import Disclosed, Refused
from gateway.client.details_request import compose_details
from gateway.domain.messages import Outcome, Purpose
from gateway.domain.person import Datum, DetailsOutcome, FieldCode, Record, SubjectKind
from gateway.exchange.hit_details import RequestHitDetails
from gateway.ledger.entry import EntryClass, EntryType, Frame, decode
from gateway.server import self_check
from gateway.store.exchange.replay import ReplayState, find_replay, orphans
from gateway.store.ledger import stored_ledger
from gateway.store.people import person_records as store
from gateway.store.people import subjects
from gateway.store.schema import disclosures, hit_references, transactions
from keys.envelope import LARGEST_BUT_QUERY

if TYPE_CHECKING:
    from gateway.client import Answer, Partner
    from tests.gateway.conftest import Pair, People

FAMILY = "Canary-Yellow"  # no log, leaf or database may hold it in the open
DATA = {
    FieldCode.LAST_NAME: Datum(FAMILY.encode()),
    FieldCode.FIRST_NAME: Datum(b"Zara"),
    FieldCode.DATE_OF_BIRTH: Datum(b"1990-01-02"),
    FieldCode.PHOTOGRAPH: Datum(b"\xff\xd8" + bytes(90_000), "image/jpeg"),
}
WANTED = (FieldCode.LAST_NAME, FieldCode.DATE_OF_BIRTH, FieldCode.PHOTOGRAPH)


def record(pair: Pair, seed: int, **status: Any) -> None:
    """Say what is held of an enrolled person from now on."""
    gateway = pair.gateway
    with gateway.database.reader() as reader:
        subject = subjects.find(reader, f"P-{seed}")
        assert subject is not None
        held = store.read_record(reader, gateway.keys.data_key, subject)
    changed = Record(status=replace(held.status, **status), data=DATA, version=held.version + 1)
    effect = store.write_record(subject, changed, gateway.keys.data_key, gateway.clock())
    gateway.sequencer.commit((), (effect,))


@pytest.fixture(scope="module")
def partner(shared_pair: Pair) -> Partner:
    for seed in range(1, 6):
        record(shared_pair, seed)
    return shared_pair.partner()


def ask(partner: Partner, people: People, seed: int = 1, **other: Any) -> Answer:
    return partner.query(people.samples(seed), **people.matter(**other))


def details(
    partner: Partner,
    people: People,
    answer: Answer,
    fields: tuple[FieldCode, ...] = WANTED,
    reference: bytes | None = None,
    **other: Any,
) -> Disclosed:
    return partner.details(
        answer.transaction_number,
        answer.result.hit_reference if reference is None else reference,
        fields,
        **people.matter(**other),
    )


def reason(partner: Partner, people: People, answer: Answer, **how: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        details(partner, people, answer, **how)
    return caught.value.reason, caught.value.metadata.get("element", "")


def test_a_match_is_disclosed_field_by_field_each_by_its_paragraph(
    partner: Partner, people: People, shared_pair: Pair
) -> None:
    answer = ask(partner, people)

    told = details(partner, people, answer)

    assert told.details.outcome is DetailsOutcome.DISCLOSED
    assert {each.code: each.value for each in told.details.fields} == {
        code: DATA[code].value for code in WANTED
    }
    for each in told.details.fields:
        assert each.authority.startswith("IRPR 315.41(2)(")
        assert each.source_version == "2"
        assert any("Australia" in caveat.text for caveat in each.caveats)
    assert rows(shared_pair, answer) == {int(code) for code in WANTED}


def rows(pair: Pair, answer: Answer) -> set[int]:
    """Return the fields that the database says went out under a query."""
    with pair.gateway.database.reader() as reader:
        found = reader.execute(
            disclosures.select().where(disclosures.c.number == answer.transaction_number)
        ).all()
    for row in found:
        with pair.gateway.database.reader() as reader:
            frame = decode(stored_ledger.leaf(reader, row.response_index))
        assert (frame.type, frame.transaction_number) == (EntryType.RESPONSE, row.details_number)
    return {row.field for row in found}


def test_the_same_fields_are_told_again_and_never_more(partner: Partner, people: People) -> None:
    answer = ask(partner, people)
    first = details(partner, people, answer)

    again = details(partner, people, answer)
    fewer = details(partner, people, answer, fields=WANTED[:1])
    widened = reason(partner, people, answer, fields=(*WANTED, FieldCode.GENDER))
    other = reason(partner, people, answer, fields=(FieldCode.FIRST_NAME,))

    assert again.details == first.details
    assert [each.code for each in fewer.details.fields] == [FieldCode.LAST_NAME]
    assert widened == other == ("HIT_REFERENCE_SPENT", "")


def test_a_spent_reference_is_denied_once_and_a_copy_hears_the_same(
    partner: Partner, people: People, shared_pair: Pair
) -> None:
    """It is known after the first commit alone; the message is closed by it, and not given up a quarter later."""
    answer = ask(partner, people)
    details(partner, people, answer, fields=WANTED[:1])
    outgoing = compose_details(
        partner._author,
        answer.transaction_number,
        answer.result.hit_reference,
        WANTED[1:],
        people.matter(),
        floor=0,
    )

    def reason_of_it() -> str:
        with pytest.raises(Refused) as caught:
            partner.carry(outgoing)
        return caught.value.reason

    before = frames(shared_pair, outgoing.question.message_id)
    first = reason_of_it()
    once = frames(shared_pair, outgoing.question.message_id)
    copies = {reason_of_it() for _ in range(2)}

    assert (before, first, copies) == ([], "HIT_REFERENCE_SPENT", {"HIT_REFERENCE_SPENT"})
    assert [(each.type, each.entry_class) for each in once] == [
        (EntryType.REQUEST, EntryClass.ACCEPTED),
        (EntryType.REFUSAL, EntryClass.DENIED),
    ]
    assert frames(shared_pair, outgoing.question.message_id) == once
    with shared_pair.gateway.database.reader() as reader:
        kept = find_replay(reader, "AUS", outgoing.question.message_id)
        open_ones = orphans(reader, shared_pair.gateway.clock() + timedelta(days=1))
    assert kept is not None
    assert kept.state is ReplayState.REFUSED
    assert outgoing.question.message_id not in {each.message_id for each in open_ones}
    assert self_check.verify_ledger(shared_pair.home).ok


def frames(pair: Pair, message_id: bytes) -> list[Frame]:
    every = map(decode, stored_ledger.iter_leaves(pair.gateway.database))
    return [each for each in every if each.message_id == message_id]


def test_two_requests_at_once_do_not_widen_a_reference(
    partner: Partner, people: People, shared_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second was let in before the first used the reference; it is asked again before anything is told."""
    answer = ask(partner, people)
    perform = RequestHitDetails.perform

    def overtaken(self: RequestHitDetails, *what: Any) -> Any:
        monkeypatch.undo()
        details(shared_pair.partner(), people, answer, fields=WANTED[:1])
        return perform(self, *what)

    monkeypatch.setattr(RequestHitDetails, "perform", overtaken)

    assert reason(partner, people, answer, fields=WANTED[1:])[0] == "HIT_REFERENCE_SPENT"
    assert rows(shared_pair, answer) == {int(FieldCode.LAST_NAME)}
    last = decode([*stored_ledger.iter_leaves(shared_pair.gateway.database)][-1])
    assert (last.type, last.entry_class) == (EntryType.REFUSAL, EntryClass.DENIED)


def test_a_field_that_is_not_agreed_is_refused_by_its_place(
    partner: Partner, people: People
) -> None:
    """It depends on the request alone: a reference that leads nowhere is refused just so."""
    answer = ask(partner, people)
    fields = (FieldCode.LAST_NAME, FieldCode.FINGERPRINTS)

    assert reason(partner, people, answer, fields=fields) == ("FIELD_NOT_PERMITTED", "fields[1]")
    guessed = reason(partner, people, answer, fields=fields, reference=bytes(16))
    assert guessed == ("FIELD_NOT_PERMITTED", "fields[1]")


def test_details_are_for_the_purpose_of_the_query(partner: Partner, people: People) -> None:
    answer = ask(partner, people)

    refused = reason(partner, people, answer, purpose=Purpose.CITIZENSHIP)

    assert refused == ("PURPOSE_NOT_PERMITTED", "header.purpose")


def test_a_number_serves_one_request(partner: Partner, people: People) -> None:
    answer = ask(partner, people)
    told = details(partner, people, answer)

    again = reason(partner, people, answer, transaction_number=told.transaction_number)
    query = reason(partner, people, answer, transaction_number=answer.transaction_number)

    assert again == query == ("TRANSACTION_REUSED", "")


def nothing(partner: Partner, people: People, shared_pair: Pair) -> Iterator[tuple[str, Disclosed]]:
    """Yield every way in which there is nothing to disclose, and what the asker saw."""
    answer = ask(partner, people, 1)
    other = ask(partner, people, 2)
    unknown = ask(partner, people, people.unknown)
    yield "guessed", details(partner, people, answer, reference=bytes(range(16)))
    yield "of another query", details(partner, people, other, reference=answer.result.hit_reference)
    yield "no match", details(partner, people, unknown, reference=bytes(range(16)))
    unknown = replace(answer, transaction_number="20260101-00000000")
    yield "unknown query", details(partner, people, unknown)
    over = ask(partner, people, 3)
    end = hit_references.update().where(hit_references.c.reference == over.result.hit_reference)
    shared_pair.gateway.sequencer.commit((), (_effect(end.values(expires_ms=1)),))
    yield "expired", details(partner, people, over)
    became = ask(partner, people, 4)
    record(shared_pair, 4, kind=SubjectKind.CITIZEN, nationalities=frozenset({"CAN"}))
    yield "a citizen since", details(partner, people, became)
    late = ask(partner, people, 5)
    assert details(partner, people, late).details.outcome is DetailsOutcome.DISCLOSED
    record(shared_pair, 5, kind=SubjectKind.CITIZEN)
    yield "a citizen after the first time", details(partner, people, late)
    stolen = ask(partner, people, 2)
    names = [column.name for column in transactions.c if column.name != "partner"]
    copied = select(literal("NZL"), *(transactions.c[name] for name in names)).where(
        transactions.c.number == stolen.transaction_number
    )
    theirs = transactions.insert().from_select(["partner", *names], copied)
    given = hit_references.update().where(hit_references.c.reference == stolen.result.hit_reference)
    effects = (_effect(theirs), _effect(given.values(partner="NZL")))
    shared_pair.gateway.sequencer.commit((), effects)
    yield "another partner's", details(partner, people, stolen)


def _effect(statement: Any) -> Any:
    from gateway.store.effects import Effect

    return Effect(statement, rows=1)


def test_whatever_is_in_the_way_has_one_face(
    partner: Partner, people: People, shared_pair: Pair
) -> None:
    """Protocol 7: unknown, expired, someone else's, no longer revealable: one answer, one size."""
    disclosed = details(partner, people, ask(partner, people, 1))

    told = dict(nothing(partner, people, shared_pair))

    for way, each in told.items():
        assert each.details.outcome is DetailsOutcome.UNAVAILABLE, way
        assert (each.details.fields, each.details.withholding) == ((), None), way
        assert each.envelope_size == disclosed.envelope_size, way
    assert LARGEST_BUT_QUERY < disclosed.envelope_size < LARGEST_BUT_QUERY + 6_000


def test_who_is_unavailable_cannot_be_told_by_asking_for_other_fields(
    pair: Pair, people: People
) -> None:
    """Were the reference spent by the first try, the second would tell that it leads to somebody."""
    partner = pair.partner()
    answer = ask(partner, people, 1)
    record(pair, 1, kind=SubjectKind.CITIZEN)

    details(partner, people, answer, fields=WANTED[:1])
    again = details(partner, people, answer, fields=(FieldCode.GENDER,))

    assert again.details.outcome is DetailsOutcome.UNAVAILABLE


def test_every_way_leaves_the_same_entries(pair: Pair, people: People) -> None:
    partner = pair.partner()
    record(pair, 1)
    answer = ask(partner, people, 1)
    seen = []
    for reference in (answer.result.hit_reference, bytes(16)):
        size = pair.gateway.sequencer.size
        details(partner, people, answer, reference=reference)
        frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)]
        seen.append([(frame.type, frame.entry_class, frame.subject_reference) for frame in frames])

    assert seen[0] == seen[1]
    assert [kind for kind, _, _ in seen[0]] == [EntryType.REQUEST, EntryType.RESPONSE]


def test_a_removed_person_is_unavailable(pair: Pair, people: People) -> None:
    partner = pair.partner()
    answer = ask(partner, people, 1)
    pair.gateway.sequencer.commit((), subjects.remove("P-1"))

    assert details(partner, people, answer).details.outcome is DetailsOutcome.UNAVAILABLE
    assert ask(partner, people, 1).outcome is Outcome.NO_MATCH


def test_no_value_is_in_a_leaf_a_detail_or_in_the_open_in_the_database(
    pair: Pair, people: People, capfd: Any
) -> None:
    """Protocol 9 and 10: what is disclosed is in the sealed answer and the sealed record, nowhere else."""
    partner = pair.partner()
    record(pair, 1)
    told = details(partner, people, ask(partner, people, 1))
    assert FAMILY.encode() in {each.value for each in told.details.fields}

    for path in pair.home.rglob("*"):
        if path.is_file():
            assert FAMILY.encode() not in path.read_bytes(), path.name
    assert FAMILY not in "".join(capfd.readouterr())
    assert FAMILY not in repr(told)


def test_a_request_that_a_crash_cut_off_is_answered_once(pair: Pair, people: People) -> None:
    """Between the commits: the identical retry is answered under the same REQUEST, by today's record."""
    partner = pair.partner()
    record(pair, 1)
    answer = ask(partner, people, 1)
    walk = pair.serving.pipeline._operations[_operation()]
    envelope = pair_envelope(pair, people, answer)
    perform = walk.perform
    calls = []

    def dies(*what: Any) -> Any:
        calls.append(what)
        raise KeyboardInterrupt

    object.__setattr__(walk, "perform", dies)
    with pytest.raises(KeyboardInterrupt):
        pair.serving.pipeline.handle(envelope())
    object.__setattr__(walk, "perform", perform)
    first = pair.serving.pipeline.handle(envelope())
    again = pair.serving.pipeline.handle(envelope())

    assert len(calls) == 1
    assert first == again
    assert rows(pair, answer) == {int(code) for code in WANTED}


def _operation() -> Any:
    from gateway.domain.messages import Operation

    return Operation.REQUEST_HIT_DETAILS


def pair_envelope(pair: Pair, people: People, answer: Answer) -> Any:
    """Return what makes the same call again and again, as the listeners would hand it over."""
    from gateway.domain.person import DetailsRequest
    from gateway.wire import disclosure_payload as wire
    from keys.envelope import OpeningKey

    payload = wire.details_request_bytes(
        DetailsRequest(
            reply_key=OpeningKey.generate().public,
            hit_reference=answer.result.hit_reference,
            fields=WANTED,
            case="C-1",
            unit="U-1",
            person="O-1",
        )
    )
    envelope = people.forger(pair).compose(
        payload,
        operation=_operation(),
        transaction_reference=answer.transaction_number,
    )
    return lambda: replace(people.call(envelope), operation=_operation())


def test_a_used_reference_tells_nothing_of_who_was_hidden_since(pair: Pair, people: People) -> None:
    """Same fields, other fields, more fields, another number: a hidden person is as unavailable as nobody.

    Were a used reference refused for other fields before the person is looked at, a person hidden since would be told
    apart from a reference that is over.
    """
    partner = pair.partner()
    record(pair, 1)
    record(pair, 2)
    hidden, over = ask(partner, people, 1), ask(partner, people, 2)
    for answer in (hidden, over):
        assert details(partner, people, answer).details.outcome is DetailsOutcome.DISCLOSED
    record(pair, 1, kind=SubjectKind.CITIZEN, nationalities=frozenset({"CAN"}))
    end = hit_references.update().where(hit_references.c.reference == over.result.hit_reference)
    pair.gateway.sequencer.commit((), (_effect(end.values(expires_ms=1)),))
    seen: dict[str, list[Any]] = {"hidden": [], "over": [], "guessed": []}

    for fields in (WANTED, (FieldCode.GENDER,), (*WANTED, FieldCode.FIRST_NAME), WANTED[:1]):
        for name, answer in (("hidden", hidden), ("over", over), ("guessed", hidden)):
            reference = bytes(range(16)) if name == "guessed" else None
            size = pair.gateway.sequencer.size
            told = details(partner, people, answer, tuple(sorted(fields)), reference)
            frames = [
                decode(leaf) for leaf in stored_ledger.iter_leaves(pair.gateway.database, size)
            ]
            kinds = [(frame.type, frame.entry_class, frame.subject_reference) for frame in frames]
            seen[name].append((told.details, told.envelope_size, kinds))

    assert seen["hidden"] == seen["over"] == seen["guessed"]
    assert {told.outcome for told, _, _ in seen["hidden"]} == {DetailsOutcome.UNAVAILABLE}


def test_a_number_answered_unavailable_stays_used(partner: Partner, people: People) -> None:
    answer = ask(partner, people, 2)
    told = details(partner, people, answer, reference=bytes(range(16)))
    assert told.details.outcome is DetailsOutcome.UNAVAILABLE

    again = reason(partner, people, answer, transaction_number=told.transaction_number)
    with pytest.raises(Refused) as query:
        ask(partner, people, transaction_number=told.transaction_number)

    assert again == ("TRANSACTION_REUSED", "")
    assert query.value.reason == "TRANSACTION_REUSED"


def test_two_requests_at_once_under_one_number_get_one_answer(
    partner: Partner, people: People, shared_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are admitted before either is recorded; the commit lets one of them in."""
    answer = ask(partner, people, 2)
    number = "20260301-0000000000000000a11c"
    both = threading.Barrier(2)
    admit = RequestHitDetails.admit

    def together(self: RequestHitDetails, *what: Any) -> Any:
        admitted = admit(self, *what)
        both.wait(timeout=30)
        return admitted

    monkeypatch.setattr(RequestHitDetails, "admit", together)

    def one(asker: Partner) -> str:
        try:
            told = details(asker, people, answer, WANTED[:1], transaction_number=number)
        except Refused as refused:
            return refused.reason
        return told.details.outcome.name

    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(one, [partner, shared_pair.partner()]))

    assert sorted(ends) == ["DISCLOSED", "TRANSACTION_REUSED"]
