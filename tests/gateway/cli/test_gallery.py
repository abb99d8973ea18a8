"""Each bad file is named with its reason, and the rest is enrolled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.subjects import biometric_files
from gateway.server.application import Gateway
from tests.patience import PATIENCE


def enrol(run: Any, homes: Any, passphrase: Any, *words: Any) -> Any:
    return run("gallery", "enrol", homes["CAN"], *words, *passphrase, "--json")


def test_a_folder_is_enrolled(run: Any, homes: Any, passphrase: Any, prints: Path) -> None:
    said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert said.code == 0
    nothing = {"unchanged": 0, "extracted": [], "repaired": [], "bad": []}
    assert said.document == {"ok": True, "enrolled": 3, "people": 3, **nothing}
    counted = run("gallery", "stats", homes["CAN"], "--json").document
    assert (counted["people"], counted["records"], counted["by_position"]) == (3, 3, {"2": 3})


def test_the_same_again_changes_nothing(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    enrol(run, homes, passphrase, prints, "--position", 2)

    again = enrol(run, homes, passphrase, prints, "--position", 2).document

    assert (again["enrolled"], again["unchanged"]) == (0, 3)


def test_bad_files_are_named_and_the_rest_is_enrolled(
    run: Any, homes: Any, passphrase: Any, prints: Path, record: Any
) -> None:
    good = (prints / "person-1.fmr").read_bytes()
    (prints / "cut.fmr").write_bytes(good[:-3])
    (prints / "empty.fmr").write_bytes(b"")
    (prints / "huge.fmr").write_bytes(bytes((1 << 24) + 1))
    (prints / "readme.txt").write_text("not a record")
    record(prints / "thumb.fmr", 7, impression=1, said=1)

    said = enrol(run, homes, passphrase, prints, prints / "absent.fmr", "--position", 2)

    assert said.code == 1
    assert said.document["enrolled"] == 3
    reasons = {Path(one["file"]).name: one["reason"] for one in said.document["bad"]}
    assert set(reasons) == {
        *("cut.fmr", "empty.fmr", "huge.fmr", "readme.txt", "thumb.fmr", "absent.fmr")
    }
    assert "no such file" in reasons["absent.fmr"]
    assert "larger" in reasons["huge.fmr"]
    assert "finger 1" in reasons["thumb.fmr"]
    assert all(name in said.err for name in reasons)


def test_a_record_that_says_its_finger_needs_no_position(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path, record: Any
) -> None:
    known = record(tmp_path / "known.fmr", 1, impression=1, position=3, said=3)
    unknown = record(tmp_path / "unknown.fmr", 2, impression=1, position=3, said=0)

    said = enrol(run, homes, passphrase, known, unknown)

    assert said.document["enrolled"] == 1
    assert [Path(one["file"]).name for one in said.document["bad"]] == ["unknown.fmr"]
    assert "--position" in said.document["bad"][0]["reason"]


def test_a_manifest_says_who_and_which_finger(
    run: Any, homes: Any, passphrase: Any, prints: Path, record: Any
) -> None:
    """Lines of one person need not stand together; a bad line is a bad file."""
    record(prints / "left.fmr", 1, impression=1, position=7)
    (prints / "people.csv").write_text(
        "path,subject,position,extractor\n"
        "person-1.fmr,P-1,2,vendor 1\n"
        "person-2.fmr,P-2,2\n"
        "left.fmr,P-1,7,vendor 1\n"
        "person-3.fmr,P-3,11\n"
        "person-3.fmr,P 3,2\n"
        "person-3.fmr\n"
        "absent.fmr,P-4,2\n"
    )

    said = enrol(run, homes, passphrase, "--manifest", prints / "people.csv")

    assert said.code == 1
    assert (said.document["enrolled"], said.document["people"]) == (3, 2)
    assert [one["file"] for one in said.document["bad"]] == [
        *("people.csv line 5", "people.csv line 6", "people.csv line 7"),
        "absent.fmr (people.csv line 8)",
    ]


def test_a_heading_of_a_manifest_says_which_column_is_which(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    (prints / "people.csv").write_text(
        "subject,path,position,status,nationalities\nP-1,person-1.fmr,2,FOREIGN_NATIONAL,IND\n"
    )

    said = enrol(run, homes, passphrase, "--manifest", prints / "people.csv")

    assert (said.code, said.document["enrolled"], said.document["bad"]) == (0, 1, [])
    [one] = biometric_files.from_manifest(prints / "people.csv", "unstated").good
    assert (one.subject, one.position, one.extractor) == ("P-1", 2, "unstated")
    assert (one.status, one.nationalities) == ("FOREIGN_NATIONAL", "IND")


@pytest.mark.parametrize(
    "heading",
    [
        "path,person,position",
        "path,subject,position,state",
        "path,subject,position,subject",
        "position,path",
    ],
)
def test_a_heading_with_a_column_that_is_none_of_ours_is_refused_whole(
    run: Any, homes: Any, passphrase: Any, prints: Path, heading: str
) -> None:
    (prints / "people.csv").write_text(f"{heading}\nperson-1.fmr,P-1,2,CITIZEN\n")

    said = enrol(run, homes, passphrase, "--manifest", prints / "people.csv")

    assert said.code == 2
    assert "a heading names path, subject and position" in said.document["error"]["message"]


def test_a_manifest_names_nothing_outside_its_folder(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    """It came from somebody else: a path out of it would read another file in our name."""
    outside = prints.parent / "outside.fmr"
    outside.write_bytes((prints / "person-1.fmr").read_bytes())
    (prints / "link.fmr").symlink_to(outside)
    (prints / "linked").symlink_to(prints.parent)
    (prints / "people.csv").write_text(
        f"{outside},P-1,2\n../outside.fmr,P-2,2\nlink.fmr,P-3,2\nlinked/outside.fmr,P-4,2\n"
        "person-1.fmr,P-5,2\n"
    )

    said = enrol(run, homes, passphrase, "--manifest", prints / "people.csv")

    assert (said.code, said.document["enrolled"]) == (1, 1)
    reasons = [one["reason"] for one in said.document["bad"]]
    assert ["move it there" in each for each in reasons] == [True, True, False, False]
    assert ["put the file itself there" in each for each in reasons] == [False, False, True, True]
    assert [f"line {number})" in one["file"] for number, one in enumerate(said.document["bad"], 1)]


def test_a_link_in_a_folder_that_leads_out_of_it_is_named(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    outside = prints.parent / "outside.fmr"
    outside.write_bytes((prints / "person-1.fmr").read_bytes())
    (prints / "link.fmr").symlink_to(outside)

    said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert (said.code, said.document["enrolled"]) == (1, 3)
    assert [one["reason"] for one in said.document["bad"]] == [
        "a link that leads out of the folder; name the file itself"
    ]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'path,"unclosed\n'])
def test_a_manifest_that_is_none_is_one_line(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "people.csv").write_bytes(content)

    said = enrol(run, homes, passphrase, "--manifest", tmp_path / "people.csv")

    assert said.code == 2
    assert said.err.count("\n") == 1


def test_a_manifest_and_paths_exclude_each_other(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    said = enrol(run, homes, passphrase, prints, "--manifest", prints / "people.csv")

    assert said.code == 2


def test_nothing_to_enrol_is_said(run: Any, homes: Any, passphrase: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    said = enrol(run, homes, passphrase, tmp_path / "empty", "--position", 2)

    assert said.code == 2
    assert said.document["ok"] is False


def test_another_finger_of_a_known_person_joins_it(
    run: Any, homes: Any, passphrase: Any, prints: Path, record: Any
) -> None:
    enrol(run, homes, passphrase, prints / "person-1.fmr", "--position", 2)
    record(prints / "left.fmr", 1, impression=1, position=7)
    (prints / "more.csv").write_text("left.fmr,person-1,7\n")

    enrol(run, homes, passphrase, "--manifest", prints / "more.csv")

    counted = run("gallery", "stats", homes["CAN"], "--json").document
    assert (counted["people"], counted["records"]) == (1, 2)


def test_one_writer_at_a_time(
    run: Any, homes: Any, passphrase: Any, prints: Path, secrets_folder: Path
) -> None:
    """While a gateway runs on the folder, enrolling beside it is refused and says what to do."""
    with Gateway.open(homes["CAN"], (secrets_folder / "gateway").read_bytes().strip):
        said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert said.code == 2
    assert "stop it first" in said.err


def test_a_wrong_passphrase_enrols_nothing(
    run: Any, homes: Any, prints: Path, secrets_folder: Path
) -> None:
    wrong = ("--passphrase-file", secrets_folder / "auditor")

    said = enrol(run, homes, wrong, prints, "--position", 2)

    assert said.code == 2
    assert "wrong passphrase" in said.err
    assert run("gallery", "stats", homes["CAN"], "--json").document["people"] == 0


def test_a_pipe_that_closes_is_no_fault(spawn: Any, homes: Any) -> None:
    """`passerelle party export DIR | head -c 0` ends quietly."""
    child: subprocess.Popen[str] = spawn("party", "export", homes["CAN"])
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    complaint = child.stderr.read()
    child.stderr.close()

    assert child.wait(PATIENCE) == 141  # 1 would say that the answer is no
    assert "Traceback" not in complaint


def test_a_crowd_of_bad_files_is_counted_on_the_terminal_and_listed_in_json(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    for number in range(25):
        (folder / f"{number}.fmr").write_bytes(b"junk")

    said = enrol(run, homes, passphrase, folder, "--position", 2)

    assert len(said.document["bad"]) == 25
    assert "5 more" in said.err


def test_a_name_that_is_no_file_number_asks_for_a_manifest(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    odd = prints / "Jane Doe.fmr"
    (prints / "person-1.fmr").rename(odd)

    said = enrol(run, homes, passphrase, odd, "--position", 2)

    assert "manifest" in said.document["bad"][0]["reason"]


def test_nothing_in_a_folder_is_passed_over_in_silence(
    run: Any, homes: Any, passphrase: Any, prints: Path, tmp_path: Path
) -> None:
    """A link to nothing, a FIFO, a linked folder: each is named; hidden files are no records."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (prints / "dangling.fmr").symlink_to(prints / "absent.fmr")
    (prints / "linked").symlink_to(elsewhere)
    (prints / ".hidden").write_text("not ours")
    os.mkfifo(prints / "pipe.fmr")

    said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert (said.code, said.document["enrolled"]) == (1, 3)
    reasons = {Path(one["file"]).name: one["reason"] for one in said.document["bad"]}
    assert reasons == {
        "dangling.fmr": "a link to nothing",
        "linked": "a linked folder is not followed; name it itself",
        "pipe.fmr": "no regular file",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_named(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    (prints / "locked").mkdir(mode=0)

    said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert [Path(one["file"]).name for one in said.document["bad"]] == ["locked"]


def test_a_pipe_in_a_manifest_does_not_make_us_wait(
    run: Any, homes: Any, passphrase: Any, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.fmr")
    (tmp_path / "people.csv").write_text("pipe.fmr,P-1,2\n")

    said = enrol(run, homes, passphrase, "--manifest", tmp_path / "people.csv")

    assert said.document["bad"] == [
        {"file": "pipe.fmr (people.csv line 1)", "reason": "no regular file"}
    ]


def test_a_file_is_one_person_however_its_path_is_typed(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    enrol(run, homes, passphrase, prints / "person-1.fmr", "--position", 2)

    words = (prints, prints / "person-2.fmr", prints.parent / "." / "prints", "--position", 2)
    again = enrol(run, homes, passphrase, *words).document

    assert (again["enrolled"], again["unchanged"], again["bad"]) == (2, 1, [])
    assert run("gallery", "stats", homes["CAN"], "--json").document["people"] == 3


def test_two_files_of_one_name_are_not_guessed_to_be_one_person(
    run: Any, homes: Any, passphrase: Any, prints: Path, record: Any
) -> None:
    (prints / "more").mkdir()
    record(prints / "more" / "person-1.fmr", 9, impression=1)

    said = enrol(run, homes, passphrase, prints, "--position", 2)

    assert said.document["enrolled"] == 2
    assert [Path(one["file"]).name for one in said.document["bad"]] == ["person-1.fmr"] * 2
    assert all("manifest" in one["reason"] for one in said.document["bad"])


def test_a_manifest_complaint_says_which_line(
    run: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    (prints / "people.csv").write_text(
        "person-1.fmr,P-1,2\nperson-1.fmr,P-1,2\nperson-2.fmr,P-2,eleven\nperson-3.fmr,P-3,0\n"
    )

    bad = enrol(run, homes, passphrase, "--manifest", prints / "people.csv").document["bad"]

    assert [one["file"] for one in bad[:2]] == ["people.csv line 2", "people.csv line 3"]
    assert bad[0]["reason"] == "says the same as line 1"
    assert "0 where the record says it itself" in bad[1]["reason"]
    assert bad[2]["file"] == "person-3.fmr (people.csv line 4)"


def test_ctrl_c_says_how_far_it_came_and_the_same_command_continues(
    run: Any, spawn: Any, homes: Any, passphrase: Any, prints: Path
) -> None:
    crowd = prints.parent / "crowd"
    crowd.mkdir()
    octets = (prints / "person-1.fmr").read_bytes()
    for number in range(1000):
        (crowd / f"{number}.fmr").write_bytes(octets)
    words = ("gallery", "enrol", homes["CAN"], crowd, "--position", 2, *passphrase, "--json")

    child = spawn(*words, start_new_session=True)
    while child.poll() is None and not _people(run, homes["CAN"]):
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    said, complaint = child.communicate(timeout=PATIENCE)

    assert child.returncode == 130, complaint
    document = json.loads(said)
    assert document["error"]["kind"] == "Interrupted"
    assert 0 < document["enrolled"] < 1000
    assert document["enrolled"] == _people(run, homes["CAN"])
    assert "same command continues" in document["error"]["message"]


def _people(run: Any, home: Path) -> int:
    counted: int = run("gallery", "stats", home, "--json").document.get("people", 0)
    return counted
