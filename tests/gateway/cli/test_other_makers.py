"""Files of other makers, each enrolled with one command: read, repaired and told, or refused with the real reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.entry import EntryType, Leaf
from gateway.store.ledger.sequencer import Sequencer

STATUS = ("--status", "FOREIGN_NATIONAL", "--nationality", "IND")


@pytest.fixture
def cases(shared: Path) -> Path:
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return folder


def enrol(run: Any, homes: Any, passphrase: Any, *words: Any) -> Any:
    return run("gallery", "enrol", homes["CAN"], *words, *STATUS, *passphrase, "--json")


def counted(run: Any, homes: Any) -> dict[str, Any]:
    found = run("gallery", "stats", homes["CAN"], "--json").document
    return {key: found[key] for key in ("people", "by_position", "without_status")}


@pytest.fixture
def enrolled(monkeypatch: pytest.MonkeyPatch) -> list[Leaf]:
    """Return the entries of enrolments that are committed from now on, with the facts that are then sealed."""
    found: list[Leaf] = []
    commit = Sequencer.commit

    def watched(sequencer: Sequencer, leaves: Any, effects: Any = ()) -> Any:
        done = commit(sequencer, leaves, effects)
        found.extend(leaf for leaf in leaves if leaf.frame.type is EntryType.ENROLLED)
        return done

    monkeypatch.setattr(Sequencer, "commit", watched)
    return found


def test_every_impression_type_of_the_standards_is_enrolled(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    said = enrol(run, homes, passphrase, cases / "impression", "--position", 2)

    assert (said.code, said.document["enrolled"], said.document["bad"]) == (0, 6, [])


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("padding/zero_padded_400.fmr", "166 zero bytes"),
        ("edge/x_equals_width.fmr", "on the edge of the image moved in by one pixel: 1"),
        ("edge/size_is_largest_coordinate.fmr", "moved in by one pixel: 3"),
        ("length/incits2009_one_short.fmr", "length 243 put right: the record has 244 bytes"),
    ],
)
def test_a_slip_is_repaired_and_the_repair_told(  # noqa: PLR0917 - fixtures
    run: Any, homes: Any, passphrase: Any, cases: Path, enrolled: Any, name: str, repair: str
) -> None:
    said = enrol(run, homes, passphrase, cases / name, "--position", 2)

    assert (said.code, said.document["enrolled"]) == (0, 1)
    [told] = said.document["repaired"]
    assert repair in told["repairs"][0]
    assert repair in said.err
    again = enrol(run, homes, passphrase, cases / name, "--position", 2)
    assert (again.code, again.document["unchanged"]) == (0, 1)
    [entry] = enrolled
    assert repair in (entry.detail or {})["repairs"]


@pytest.mark.parametrize(
    ("name", "repairs"),
    [
        ("two_fingers/incits2004_7_and_2.fmr", 0),
        ("annex/incits2004_B2.raw", 0),
        ("annex/iso2005_C2.raw", 1),
        ("annex/fingerprintio_ansi378v2009.dat", 1),
    ],
)
def test_two_fingers_in_one_record_are_enrolled_each_with_its_position(  # noqa: PLR0917 - fixtures
    run: Any, homes: Any, passphrase: Any, cases: Path, name: str, repairs: int
) -> None:
    said = enrol(run, homes, passphrase, cases / name)

    assert (said.code, said.document["enrolled"], said.document["people"]) == (0, 2, 1)
    assert len(said.document["repaired"]) == repairs
    assert counted(run, homes)["by_position"] == {"2": 1, "7": 1}


def test_of_two_fingers_the_one_that_is_named_is_enrolled_and_that_is_told(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    file = cases / "two_fingers" / "incits2004_7_and_2.fmr"

    said = enrol(run, homes, passphrase, file, "--position", 2)
    other = enrol(run, homes, passphrase, file, "--position", 3)

    assert (said.code, said.document["enrolled"]) == (0, 1)
    assert "of fingers 7 and 2 only 2 taken" in said.err
    assert other.code == 1
    assert "says finger 7 and 2" in other.document["bad"][0]["reason"]
    assert counted(run, homes)["by_position"] == {"2": 1}


def test_what_another_finger_left_in_the_buffer_is_refused(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    said = enrol(run, homes, passphrase, cases / "padding" / "stale_tail.fmr", "--position", 2)

    assert said.code == 1
    assert "128 bytes follow the record and are not all zero" in said.document["bad"][0]["reason"]
    assert counted(run, homes)["people"] == 0


def test_a_file_that_is_refused_leaves_no_person_behind(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    said = enrol(run, homes, passphrase, cases / "junk_folder", "--position", 2)

    assert (said.code, said.document["people"], said.document["enrolled"]) == (1, 1, 1)
    assert counted(run, homes) == {"people": 1, "by_position": {"2": 1}, "without_status": 0}


def test_the_reason_of_a_refusal_is_the_real_one(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    """Of a picture it must not be said that its finger is missing."""
    files = {"a.wsq": b"\xff\xa0\xff\xa8", "b.fac": b"FAC\x00010\0", "c.fmr": b""}
    for name, start in files.items():
        (tmp_path / name).write_bytes(start + bytes(60 * bool(start)))

    said = enrol(run, homes, passphrase, *(tmp_path / name for name in files))

    reasons = {Path(one["file"]).name: one["reason"] for one in said.document["bad"]}
    assert "WSQ picture" in reasons["a.wsq"]
    assert "face record" in reasons["b.fac"]
    assert "empty" in reasons["c.fmr"]
    assert not any("position" in reason for reason in reasons.values())


def test_transactions_are_enrolled_by_the_same_command(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    """An INCITS 378 block, and the extended feature set of eight fingers."""
    folder = cases / "type9"

    one = enrol(run, homes, passphrase, folder / "m1_block_by_nistitl_synthetic.an2")
    eight = enrol(run, homes, passphrase, folder / "type9-efs.an2k")

    assert (one.code, one.document["enrolled"]) == (0, 1)
    assert (eight.code, eight.document["enrolled"], eight.document["people"]) == (0, 8, 1)
    fingers = counted(run, homes)["by_position"]
    assert fingers == {"2": 2, **{str(at): 1 for at in (3, 4, 5, 7, 8, 9, 10)}}


def test_minutiae_of_before_2011_are_of_the_finger_that_is_said(
    run: Any, homes: Any, passphrase: Any, cases: Path
) -> None:
    file = cases / "type9" / "type9.an2k"

    nameless = enrol(run, homes, passphrase, file)
    named = enrol(run, homes, passphrase, file, "--position", 2)

    assert nameless.code == 1
    assert "--position" in nameless.document["bad"][0]["reason"]
    assert (named.code, named.document["enrolled"]) == (0, 1)


def test_a_manifest_names_files_of_several_fingers_and_transactions(
    run: Any, homes: Any, passphrase: Any, cases: Path, tmp_path: Path
) -> None:
    for name in ("two_fingers/incits2004_7_and_2.fmr", "type9/type9.an2k", "padding/whole.fmr"):
        (tmp_path / Path(name).name).write_bytes((cases / name).read_bytes())
    (tmp_path / "people.csv").write_text(
        "path,subject,position\n"
        "incits2004_7_and_2.fmr,P-1,0\n"
        "type9.an2k,P-2,3\n"
        "incits2004_7_and_2.fmr,P-3,7\n"
    )

    said = enrol(run, homes, passphrase, "--manifest", tmp_path / "people.csv")

    assert (said.code, said.document["enrolled"], said.document["people"]) == (0, 4, 3)
    assert counted(run, homes)["by_position"] == {"2": 1, "3": 1, "7": 2}
