"""Who is asked about: what is on the data class decides, and nobody is asked with what was enrolled."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.exercises.demo import people
from gateway.exercises.demo.people import ENROLLED_IMPRESSION, POSITIONS
from matcher.finger import record_fmr


def test_records_are_found_beside_any_folder_above(tmp_path: Path) -> None:
    records = tmp_path / "shared" / "data" / "fingerprint"
    records.mkdir(parents=True)
    deep = tmp_path / "repository" / "docs"
    deep.mkdir(parents=True)

    assert people.find_records(deep) == records
    assert people.find_records(tmp_path) == records


def test_records_far_above_are_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "shared" / "data" / "fingerprint").mkdir(parents=True)
    far = tmp_path.joinpath(*"abc")
    far.mkdir(parents=True)

    assert people.find_records(far) is None


def test_without_records_nothing_is_found(tmp_path: Path) -> None:
    assert people.find_records(tmp_path) is None


def test_two_fingers_make_a_person_at_two_declared_positions(shelve: Any) -> None:
    """Records that say position 0, unknown, get the one that we declare (protocol 11)."""
    cast = people.from_folder(shelve("acme/DB1", fingers=10, impressions=3))

    assert len(cast.people) == 5
    for person in cast.people:
        assert [one.position for one in person.impressions[1]] == list(POSITIONS)
        assert person.asked_with == (2, 3)
    assert [one.origin for one in cast.people][:2] == ["DB1 101+102", "DB1 103+104"]
    assert cast.extractor == "acme"
    assert not cast.invented


def test_there_are_enrolled_people_and_others(shelve: Any) -> None:
    cast = people.from_folder(shelve("acme/DB1", fingers=10))

    assert [one.enrolled for one in cast.people] == [True, True, False, True, False]


def test_nobody_is_asked_with_the_enrolled_impression(shelve: Any) -> None:
    for cast in (people.from_folder(shelve("acme/DB1", fingers=10)), people.invented(range(5))):
        assert all(ENROLLED_IMPRESSION not in one.asked_with for one in cast.people)
        assert all(one.asked_with for one in cast.people)


def test_of_two_extractors_the_one_with_more_records_is_taken(shelve: Any) -> None:
    """Two extractors of one finger are not two people."""
    shelve("fewer/DB1", fingers=10, impressions=2)
    cast = people.from_folder(shelve("more/DB1", fingers=10, impressions=3))

    assert cast.extractor == "more"
    assert "30 records" in cast.source


def test_several_databases_are_all_represented(shelve: Any) -> None:
    for number in range(1, 5):
        folder = shelve(f"acme/DB{number}", fingers=14, first=100 * number)
    cast = people.from_folder(folder)

    assert len(cast.people) == people.MOST_PEOPLE
    assert {one.origin.split()[0] for one in cast.people} == {"DB1", "DB2", "DB3", "DB4"}


def test_records_that_say_their_finger_make_people_of_one_finger(shelve: Any) -> None:
    """Two records that both say "right index" cannot be of one person."""
    cast = people.from_folder(shelve("acme/DB1", fingers=6, position=3))

    assert len(cast.people) == 6
    assert all(
        [one.position for one in prints] == [3]
        for person in cast.people
        for prints in person.impressions.values()
    )


def test_an_impression_that_one_finger_lacks_is_not_asked_with(shelve: Any) -> None:
    folder = shelve("acme/DB1", fingers=10, impressions=4)
    (folder / "acme" / "DB1" / "102_3.fmr").unlink()

    assert people.from_folder(folder).people[0].asked_with == (2, 4)


def test_what_is_no_record_is_passed_over(shelve: Any) -> None:
    folder = shelve("acme/DB1", fingers=10)
    (folder / "acme" / "DB1" / "999_1.fmr").write_bytes(b"FMR\0 20\0 and then nothing")
    (folder / "acme" / "DB1" / "readme.txt").write_text("about these records")
    (folder / "acme" / "DB1" / "big_1.fmr").write_bytes(bytes(people.MAX_RECORD + 1))

    assert "20 records" in people.from_folder(folder).source


@pytest.mark.parametrize(("fingers", "impressions"), [(0, 1), (1, 8), (3, 8), (10, 1)])
def test_too_few_records_are_refused_with_what_is_wanted(
    shelve: Any, fingers: int, impressions: int
) -> None:
    folder = shelve("acme/DB1", fingers=fingers, impressions=impressions)

    with pytest.raises(UserError, match="<finger>_<impression>"):
        people.from_folder(folder)


def test_the_name_of_an_extractor_is_one_that_the_wire_allows(shelve: Any) -> None:
    """Protocol 3: a folder may be called anything, an extractor may not."""
    assert people.from_folder(shelve("größer/DB1", fingers=10)).extractor == "gr--er"


def test_invented_people_are_the_same_in_every_run() -> None:
    first, second = people.invented(range(3)), people.invented(range(3))

    assert [one.impressions for one in first.people] == [one.impressions for one in second.people]
    assert first.invented


def test_samples_say_of_a_record_what_it_is() -> None:
    cast = people.invented(range(1), impressions=(1,))

    (first, second) = cast.samples(cast.people[0].impressions[1])

    assert (first.position, second.position) == POSITIONS
    assert int(first.format) == record_fmr.detect(first.data)
    assert first.extractor == people.INVENTED_EXTRACTOR


def test_a_manifest_names_the_enrolled_impression_of_the_enrolled(
    shelve: Any, tmp_path: Path
) -> None:
    cast = people.from_folder(shelve("acme/DB1", fingers=10))

    manifest = people.write_manifest(cast, tmp_path / "made")

    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["subject"] for row in rows} == {"P-01", "P-02", "P-04"}
    assert all(Path(row["path"]).name.endswith("_1.fmr") for row in rows)
    assert {row["position"] for row in rows} == {"2", "7"}


def test_records_without_a_file_get_one(tmp_path: Path) -> None:
    cast = people.invented(range(1), impressions=(1,))

    manifest = people.write_manifest(cast, tmp_path / "made")

    with manifest.open(newline="") as file:
        paths = [manifest.parent / row["path"] for row in csv.DictReader(file)]
    assert [path.read_bytes() for path in paths] == [
        one.data for one in cast.people[0].impressions[1]
    ]


def test_the_fewest_fingers_make_a_citizen_two_who_are_known_and_one_unknown(shelve: Any) -> None:
    cast = people.with_citizen(people.from_folder(shelve("acme/DB1", fingers=4)))

    assert [(one.enrolled, one.citizen) for one in cast.people] == [
        (True, False),
        (True, False),
        (False, False),
        (True, True),
    ]
    assert [one.pseudonym for one in cast.known] == ["P-01", "P-02"]


def test_the_manifest_says_who_is_a_citizen(tmp_path: Path) -> None:
    cast = people.with_citizen(people.invented(range(5)))

    manifest = people.write_manifest(cast, tmp_path / "records")

    with manifest.open(encoding="utf-8", newline="") as file:
        said = {
            row["subject"]: (row["status"], row["nationalities"]) for row in csv.DictReader(file)
        }
    assert said == {
        "P-01": ("FOREIGN_NATIONAL", "IND"),
        "P-02": ("FOREIGN_NATIONAL", "IND"),
        "P-04": ("CITIZEN", "CAN"),
    }
