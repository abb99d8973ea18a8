"""`passerelle eval`, `passerelle bench finger` and `ten` at the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from matcher.face import synthetic as face
from matcher.finger import synthetic


@pytest.fixture(scope="module")
def prints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two sets, three fingers of three impressions each, and a file that is no record."""
    root = tmp_path_factory.mktemp("prints")
    for home in ("A", "B"):
        (root / home).mkdir()
        for number in range(3):
            for turn in range(3):
                person = synthetic.person(ord(home) + 100 * number)
                record = synthetic.record(synthetic.impression(person, 1, turn), 0)
                (root / home / f"{number}_{turn}.iso").write_bytes(record)
    (root / "B" / "1_9.iso").write_bytes(b"no record")
    return root


def test_a_folder_is_measured(run: Any, prints: Path, tmp_path: Path) -> None:
    said = run(
        "eval", prints, "--scores", tmp_path / "s.npz", "--plot", tmp_path / "d.svg", "--json"
    )

    assert said.code == 0
    document = said.document
    assert [one["set"] for one in document["sets"]] == ["A", "B"]
    assert document["not_enrolled"][0]["file"] == "B/1_9.iso"
    assert document["failure_to_enrol"] == pytest.approx(1 / 19)
    assert document["sets"][0]["all_pairs"]["eer"] == 0
    assert {"eer", "fnmr_100", "fnmr_1000", "fnmr_zero"} <= set(document["pooled"])
    assert "B/1_9.iso" in said.err
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["scores"].shape == (19, 19)
        assert arrays["scores"].dtype == np.float32
        assert arrays["names"].tolist() == sorted(arrays["names"].tolist())
    assert (tmp_path / "d.svg").read_text().startswith("<svg")
    for written in ("d.svg", "s.npz"):  # scores say who is whom
        assert (tmp_path / written).stat().st_mode & 0o777 == 0o600


def test_runs_are_drawn_beside_each_other(run: Any, prints: Path, tmp_path: Path) -> None:
    scores, plot = tmp_path / "one.npz", tmp_path / "two.svg"
    run("eval", prints / "A", "--scores", scores)

    said = run("eval", prints / "A", "--plot", plot, "--run", f"before={scores}")

    assert said.code == 0
    assert plot.read_text().count("<polyline") == 2
    assert "before" in plot.read_text()


def test_tables_are_for_eyes(run: Any, prints: Path) -> None:
    said = run("eval", prints / "A")

    assert said.code == 0
    assert "FNMR@1 %" in said.out
    assert "rank 1" in said.out


def test_another_extractors_folder_is_the_gallery(run: Any, prints: Path) -> None:
    said = run("eval", prints, "--gallery", prints, "--json")

    assert said.document["sets"][0]["all_pairs"]["mated"] == 18


@pytest.mark.parametrize(
    "words", [["{empty}"], ["{empty}/absent"], ["{prints}", "--run", "{junk}"]]
)
def test_what_cannot_be_measured_is_one_line(
    run: Any, prints: Path, tmp_path: Path, words: list[str]
) -> None:
    junk = tmp_path / "junk.npz"
    junk.write_bytes(b"junk")
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "prints": prints, "junk": junk}

    said = run("eval", *[word.format(**places) for word in words])

    assert said.code == 2
    assert said.err.startswith("passerelle: ")
    assert said.err.count("\n") == 1


def test_a_folder_of_nothing_usable_says_no(run: Any, tmp_path: Path) -> None:
    (tmp_path / "1_1.iso").write_bytes(b"no record")

    said = run("eval", tmp_path, "--json")

    assert said.code == 2
    assert not said.document["ok"]


def test_two_records_are_explained(run: Any, prints: Path, tmp_path: Path) -> None:
    plot = tmp_path / "why.svg"

    said = run(
        "eval", "explain", prints / "A" / "0_0.iso", prints / "A" / "0_1.iso", "--plot", plot
    )
    told = run(
        "eval", "explain", prints / "A" / "0_0.iso", prints / "A" / "1_1.iso", "--json"
    ).document

    assert said.code == 0
    assert "agreeing" in said.out
    assert "agree" in plot.read_text()
    assert told["few"]
    assert told["log10_likelihood_ratio"] < 2


def test_an_unusable_record_is_not_explained(run: Any, prints: Path) -> None:
    said = run("eval", "explain", prints / "A" / "0_0.iso", prints / "B" / "1_9.iso")

    assert said.code == 2
    assert "not usable" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [False, True])
def test_the_bench_tells_its_figures(run: Any, as_json: bool) -> None:
    said = run(
        "bench", "finger", "--gallery", "100", "--probes", "3", *(["--json"] if as_json else [])
    )

    assert said.code == 0
    if as_json:
        assert said.document["gallery"] == 100
    else:
        assert "GFLOP/s" in said.out


def test_the_bench_of_ten_fingers_finds_whom_exact_scores_accept(run: Any) -> None:
    said = run("bench", "ten", "--people", "12", "--fingers", "4", "--searches", "4", "--json")

    assert said.code == 0
    assert said.document["people"] <= 12
    assert said.document["mates_accepted"] > 0
    assert said.document["lost"] == said.document["wrong"] == 0


def test_the_bench_of_ten_fingers_tells_what_it_measured(run: Any) -> None:
    said = run("bench", "ten", "--people", "10", "--fingers", "2", "--searches", "2")

    assert said.code == 0
    assert "people of 2 fingers" in said.out


def test_more_searches_than_people_are_wrong_usage(run: Any) -> None:
    assert run("bench", "ten", "--people", "10", "--searches", "11").code == 2


def test_more_probes_than_people_are_wrong_usage(run: Any) -> None:
    assert run("bench", "finger", "--gallery", "100", "--probes", "101").code == 2


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of sixty people's faces, two each, and one vector that is none."""
    path = tmp_path_factory.mktemp("faces") / "crowd.npz"
    people = [(seed, number) for seed in range(60) for number in (1, 2)]
    vectors = [face.capture(face.person(seed), number, seed).vector for seed, number in people]
    person = [seed for seed, _ in people]
    np.savez(
        path,
        vectors=np.array([*vectors, np.full(512, np.nan)], dtype=np.float32),
        person=np.array([*person, 60]),
        model="facenet512",
    )
    return path


def test_a_file_of_faces_is_measured_by_the_shipped_calibration(
    run: Any, faces: Path, tmp_path: Path
) -> None:
    scores, plot = tmp_path / "s.npz", tmp_path / "d.svg"
    said = run(*("eval", faces, "--modality", "face", "--scores", scores, "--plot", plot, "--json"))

    assert said.code == 0
    document = said.document
    assert (document["modality"], document["records"], document["people"]) == ("face", 120, 60)
    assert document["not_enrolled"] == [
        {"row": 120, "reason": "a number of the vector is not finite"}
    ]
    assert document["calibration"]["id"].startswith("lfw-facenet512-")
    assert document["all_pairs"]["mated"] == 60
    with np.load(scores) as arrays:
        assert arrays["scores"].shape == (120, 120)
    both = tmp_path / "both.svg"
    again = run("eval", faces, "--modality", "face", "--plot", both, "--run", f"before={scores}")
    assert both.read_text().count("<polyline") == 2
    assert "EER" in again.out
    for option, there in (("--scores", scores), ("--plot", plot)):
        before = there.read_bytes()
        over = run("eval", faces, "--modality", "face", option, there)
        assert (over.code, "is there already: name a new file" in over.err) == (2, True)
        assert there.read_bytes() == before


def test_a_calibration_is_fitted_to_half_of_the_people_and_never_overwritten(
    run: Any, faces: Path, tmp_path: Path
) -> None:
    """What is written can be adopted, however the set's file is called."""
    written, named = tmp_path / "new.json", tmp_path / "captures of spring, α.npz"
    named.write_bytes(faces.read_bytes())
    said = run("eval", named, "--modality", "face", "--calibrate", written, "--json")

    assert said.code == 0
    checked = run("calibrations", "check", written, "--json")
    assert (checked.code, checked.document["calibration"]) == (
        0,
        said.document["calibration"]["id"],
    )
    assert checked.document["calibration"].startswith("captures-of-spring--")
    assert said.document["people"] == 30
    fitted = json.loads(written.read_text())
    assert (fitted["model"], fitted["dimension"], fitted["people"]) == ("facenet512", 512, 30)
    assert said.document["calibration"]["split"] == fitted["split"]
    assert run("eval", faces, "--modality", "face", "--calibrate", written).code == 2

    judged = run("eval", faces, "--modality", "face", "--calibration", written, "--json")
    assert judged.document["calibration"]["id"] == said.document["calibration"]["id"]
    assert judged.document["people"] == 60
    fitted["model"] = "facenet-of-another"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(fitted))
    refused = run("eval", faces, "--modality", "face", "--calibration", other)
    assert refused.code == 2
    assert "it is of facenet-of-another, the samples are of facenet512" in refused.err
    other.write_text("{}")
    assert f"{other}: " in run("eval", faces, "--modality", "face", "--calibration", other).err


@pytest.mark.parametrize(
    "words",
    [
        ("--modality", "face", "--gallery", "."),
        ("--modality", "face", "--threads", "2"),
        ("--modality", "ear"),
        ("--calibrate", "new.json"),
        ("--calibration", "new.json"),
        ("--modality", "face", "--calibrate", "a.json", "--calibration", "b.json"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    run: Any, faces: Path, words: tuple[str, ...]
) -> None:
    assert run("eval", faces, *words).code == 2
