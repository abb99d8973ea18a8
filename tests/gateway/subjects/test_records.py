"""The registry: rows taken one by one, versions that grow, who looked and why, and who is gone."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.operation import NotAllowed, Officer
from gateway.domain.messages import Outcome
from gateway.domain.person import Datum, FieldCode, SubjectKind
from gateway.errors import UserError
from gateway.ledger.entry import EntryType, decode
from gateway.operations.declaration import Role
from gateway.operations.forms import FILE_NUMBER
from gateway.server.application import Gateway
from gateway.store.ledger import stored_ledger
from gateway.store.people import subjects
from gateway.subjects import record_row
from gateway.subjects.record_row import BadRow, read_row

if TYPE_CHECKING:
    from tests.gateway.conftest import Pair, People

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ANN = Officer("P-1", frozenset({Role.REGISTRAR}))
CASEWORKER = Officer("P-2", frozenset({Role.CASEWORKER}))
CANARY = "Canary-Green"
PHOTOGRAPH = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(100)).decode()
ROW = {
    "reference": "F-100",
    "status": "FOREIGN_NATIONAL",
    "nationalities": "IND PAK",
    "persecutors": "PAK",
    "LAST_NAME": CANARY,
    "DATE_OF_BIRTH": "1990-02",
    "PHOTOGRAPH": PHOTOGRAPH,
}


@pytest.fixture
def gateway(homes: Any, secret: Any) -> Any:
    with Gateway.open(homes[0], secret) as opened:
        yield opened


def take(gateway: Gateway, *rows: dict[str, str]) -> Any:
    return gateway.admin.perform(ANN, "registry.import", {"rows": list(rows)})


def held(gateway: Gateway, reference: str = "F-100") -> Any:
    with gateway.database.reader() as reader:
        subject = subjects.find(reader, reference)
    assert subject is not None
    return gateway.subjects.people.record(subject)


def entries(gateway: Gateway, since: int) -> list[EntryType]:
    return [decode(leaf).type for leaf in stored_ledger.iter_leaves(gateway.database, since)]


def test_a_row_becomes_a_record_with_an_entry(gateway: Gateway) -> None:
    size = gateway.sequencer.size

    done = take(gateway, ROW)

    assert (done["imported"], done["unchanged"], done["bad"]) == (1, 0, [])
    record = held(gateway)
    assert record.version == 1
    assert record.status.kind is SubjectKind.FOREIGN_NATIONAL
    assert record.status.nationalities == {"IND", "PAK"}
    assert record.status.persecutors == {"PAK"}
    assert record.data[FieldCode.LAST_NAME] == Datum(CANARY.encode())
    assert record.data[FieldCode.PHOTOGRAPH].mime_type == "image/jpeg"
    assert entries(gateway, size) == [EntryType.UPDATED]


def test_the_same_again_changes_nothing_and_another_says_the_next_version(gateway: Gateway) -> None:
    take(gateway, ROW)
    size = gateway.sequencer.size

    again = take(gateway, ROW)
    assert (again["imported"], again["unchanged"]) == (0, 1)
    assert gateway.sequencer.size == size

    take(gateway, {**ROW, "LAST_NAME": "Other"}, {**ROW, "LAST_NAME": "Third"})
    assert held(gateway).version == 3
    assert held(gateway).data[FieldCode.LAST_NAME].value == b"Third"


def test_a_bad_row_is_named_and_the_others_are_taken(gateway: Gateway) -> None:
    bad = {**ROW, "reference": "F-2", "status": CANARY}

    done = take(gateway, {**ROW, "reference": "F-1"}, bad, {**ROW, "reference": "F-3"})

    assert done["imported"] == 2
    assert [each["row"] for each in done["bad"]] == [1]
    assert "status" in done["bad"][0]["reason"]
    assert CANARY not in done["bad"][0]["reason"]


def test_people_known_by_their_prints_get_the_record(gateway: Gateway) -> None:
    """Records and prints come in any order, under one file number."""
    take(gateway, {**ROW, "reference": "P-1"})

    shown = gateway.admin.perform(
        CASEWORKER, "registry.show", {"reference": "P-1", "reason": "access request"}
    )

    assert shown["positions"] == [2, 7]
    assert shown["version"] == 2
    assert shown["LAST_NAME"] == CANARY
    assert shown["PHOTOGRAPH"] == PHOTOGRAPH


def test_who_looks_is_in_the_ledger_before_anything_is_shown(gateway: Gateway) -> None:
    take(gateway, ROW)
    size = gateway.sequencer.size

    for values in ({"reference": "F-100"}, {"reference": "F-100", "reason": " "}):
        with pytest.raises(UserError, match="reason"):
            gateway.admin.perform(CASEWORKER, "registry.show", values)
    assert gateway.sequencer.size == size

    gateway.admin.perform(CASEWORKER, "registry.show", {"reference": "F-100", "reason": "case 7"})
    assert entries(gateway, size) == [EntryType.AUDIT_READ]


def test_an_update_changes_what_it_names_and_dates_a_new_status(gateway: Gateway) -> None:
    take(gateway, {**ROW, "confirmed": "2020-01-01T00:00:00+00:00"})

    renamed = gateway.admin.perform(
        ANN, "registry.update", {"reference": "F-100", "changes": [{"LAST_NAME": "New"}]}
    )
    assert (renamed["changed"], renamed["version"]) == (True, 2)
    assert held(gateway).status.confirmed == datetime(2020, 1, 1, tzinfo=UTC)

    gateway.admin.perform(
        ANN,
        "registry.update",
        {"reference": "F-100", "changes": [{"status": "CITIZEN", "PHOTOGRAPH": ""}]},
    )
    record = held(gateway)
    assert record.status.kind is SubjectKind.CITIZEN
    assert record.status.confirmed is not None
    assert record.status.confirmed.year > 2020
    assert record.status.nationalities == {"IND", "PAK"}
    assert set(record.data) == {FieldCode.LAST_NAME, FieldCode.DATE_OF_BIRTH}


def test_another_role_changes_nothing(gateway: Gateway) -> None:
    for act in ("registry.import", "registry.update", "registry.remove"):
        with pytest.raises(NotAllowed):
            gateway.admin.perform(CASEWORKER, act, {})


def test_who_is_removed_is_found_by_nobody_from_then_on(pair: Pair, people: People) -> None:
    """The gallery of a gateway that serves follows without a restart."""
    gateway, partner = pair.gateway, pair.partner()
    assert partner.query(people.samples(1), **people.matter()).outcome is Outcome.MATCH
    size, searched = gateway.sequencer.size, pair.serving.engines.size

    gateway.admin.perform(
        ANN, "registry.remove", {"reference": "P-1", "reason": "order of a court"}
    )

    assert entries(gateway, size) == [EntryType.REMOVED]
    assert pair.serving.engines.size == searched - 1
    assert partner.query(people.samples(1), **people.matter()).outcome is Outcome.NO_MATCH
    with pytest.raises(UserError, match="file number"):
        gateway.admin.perform(ANN, "registry.remove", {"reference": "P-1", "reason": "again"})


def test_people_are_counted_by_what_they_are(gateway: Gateway) -> None:
    take(gateway, ROW, {**ROW, "reference": "F-2", "status": "CITIZEN"})
    gateway.sequencer.commit(
        (), subjects.enrol(subjects.Placed(5, "F-9", (), False), gateway.keys.data_key)
    )

    counted = gateway.admin.perform(ANN, "registry.status", {})["people"]

    assert counted == {
        "CITIZEN": 1,
        "PERMANENT_RESIDENT": 0,
        "FOREIGN_NATIONAL": 6,
        "CLAIMANT": 0,
        "UNKNOWN": 1,
    }


def test_no_entry_and_no_row_holds_a_value_in_the_open(gateway: Gateway) -> None:
    take(gateway, ROW)
    gateway.admin.perform(CASEWORKER, "registry.show", {"reference": "F-100", "reason": "case 7"})

    for path in gateway.home.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reference", "a b"),
        ("reference", ""),
        ("status", "UNKNOWN"),
        ("status", "citizen"),
        ("nationalities", ""),
        ("nationalities", "India"),
        ("nationalities", "IND,PAK"),
        ("nationalities", "GRB"),
        ("nationalities", "ZZZ IND"),
        ("nationalities", "UNO"),
        ("nationalities", "YUG"),
        ("persecutors", "IN"),
        ("persecutors", "GRB"),
        ("persecutors", "GBN"),
        ("persecutors", "NONE PAK"),
        ("confirmed", "2026-11-22"),
        ("confirmed", "2027-01-01T00:00:00+00:00"),
        ("confirmed", "yesterday"),
        ("LAST_NAME", "a\x1b[31m"),
        ("LAST_NAME", "x" * 4097),
        ("LAST_NAME", "\ud800"),
        ("DATE_OF_BIRTH", "1990-13"),
        ("DATE_OF_BIRTH", "01/02/1990"),
        ("COUNTRY_OF_BIRTH", "India"),
        ("COUNTRY_OF_BIRTH", "GBN"),
        ("PASSPORT_ISSUING_COUNTRY", "GRB"),
        ("PHOTOGRAPH", "no base64!"),
        ("PHOTOGRAPH", base64.b64encode(b"GIF89a").decode()),
        ("PHOTOGRAPH", base64.b64encode(b"\xff\xd8\xff" + bytes(200_000)).decode()),
        ("FINGERPRINTS", "x"),
    ],
)
def test_a_column_that_breaks_its_rule_is_named(column: str, value: str) -> None:
    with pytest.raises(BadRow, match=f"^{column}") as told:
        read_row({**ROW, column: value}, NOW)

    assert not value or value not in str(told.value)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (
            "confirmed",
            "2026-11-22",
            "with its zone, e.g. 2026-03-01T12:00:00Z; left out, it counts",
        ),
        ("confirmed", "2026-03-01T12:00:00.000001Z", "to the millisecond at most"),
        ("confirmed", "2199-01-01T00:00:00Z", "in the future; write when the status was last"),
        (
            "DATE_OF_BIRTH",
            "01/02/1990",
            "a date, YYYY-MM-DD; what is unknown is left out at its end",
        ),
        ("COUNTRY_OF_BIRTH", "India", "write it as passports do, e.g. IND"),
        (
            "NATIONALITY",
            "IND",
            "known are reference, status, nationalities, persecutors, confirmed, LAST",
        ),
    ],
)
def test_a_bad_column_is_told_the_form_that_it_wants_with_an_example(
    column: str, value: str, said: str
) -> None:
    with pytest.raises(BadRow) as told:
        read_row({**ROW, column: value}, NOW)

    assert said in str(told.value)


def test_the_example_of_a_confirmation_is_one_that_is_taken() -> None:
    _, record = read_row({**ROW, "confirmed": "2026-03-01T12:00:00Z"}, NOW)

    assert record.status.confirmed == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_codes_of_passports_and_of_countries_that_are_no_more_are_taken() -> None:
    stated = {"COUNTRY_OF_BIRTH": "YUG", "PASSPORT_ISSUING_COUNTRY": "UNO"}
    _, record = read_row({**ROW, "nationalities": "GBN XXB", **stated}, NOW)

    assert record.status.nationalities == {"GBN", "XXB"}
    assert {record.data[FieldCode[name]].value.decode() for name in stated} == {"YUG", "UNO"}


def test_who_persecutes_a_claimant_is_said_and_not_left_out(gateway: Gateway) -> None:
    """IRPR 315.4(2) is a bar: an empty column is no answer, NONE is one, and it is kept as said."""
    claimant = {**ROW, "status": "CLAIMANT", "persecutors": ""}
    with pytest.raises(BadRow, match="persecutors: a claimant's must be said"):
        read_row(claimant, NOW)

    take(gateway, {**claimant, "persecutors": "NONE"})
    shown = gateway.admin.perform(
        CASEWORKER, "registry.show", {"reference": "F-100", "reason": "case 7"}
    )

    assert held(gateway).status.no_persecutor
    assert shown["persecutors"] == "NONE"
    gateway.admin.perform(
        ANN, "registry.update", {"reference": "F-100", "changes": [{"persecutors": "PAK"}]}
    )
    assert held(gateway).status.persecutors == {"PAK"}
    assert not held(gateway).status.no_persecutor


def test_a_column_that_nobody_knows_is_not_repeated() -> None:
    with pytest.raises(BadRow) as told:
        read_row({**ROW, CANARY: "x"}, NOW)

    assert CANARY not in str(told.value)


def test_more_data_than_one_answer_holds_is_refused() -> None:
    """Else the size of an answer would depend on whom it is about."""
    texts = {code.name: "x" * 4096 for code in FieldCode if 10 < code < 18 and code != 11}
    photograph = base64.b64encode(b"\xff\xd8\xff" + bytes(196_600)).decode()

    with pytest.raises(BadRow, match="smaller photograph"):
        read_row({**ROW, **texts, "PHOTOGRAPH": photograph}, NOW)


@given(
    st.dictionaries(
        st.sampled_from([*record_row.STATED, *FieldCode.__members__]) | st.text(max_size=8),
        st.text(max_size=40) | st.integers() | st.none() | st.lists(st.text(), max_size=2),
        max_size=8,
    )
)
def test_whatever_a_row_holds_it_is_read_or_refused(row: dict[str, object]) -> None:
    with contextlib.suppress(BadRow):
        reference, record = read_row({**ROW, **row}, NOW)
        assert FILE_NUMBER.take(reference) == reference
        assert record.status.kind is not SubjectKind.UNKNOWN
        assert record.status.nationalities
