"""An evaluation is of every record that is named so, and its scores are those of a search that aligns everybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.errors import UserError
from gateway.exercises.evaluation import evaluate
from gateway.exercises.evaluation.files import find, numbered, read
from gateway.exercises.evaluation.scores import curve, load_run
from matcher.finger import record_fmr, synthetic
from matcher.finger.gallery import Gallery
from matcher.finger.probe import prepare
from matcher.finger.record_fmr import Format, View
from tests import ansi_nist_writer

FINGERS, IMPRESSIONS = 4, 3
ARRAY = b"\x93NUMPY\1\0\x36\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}"
HEADER = ansi_nist_writer.Header("SRE", "20260301", "CAN", "AUS", "T-17")


def write(folder: Path, fingers: range, formats: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in fingers:
        for turn in range(IMPRESSIONS):
            view = View(0, 0, 0, synthetic.impression(synthetic.person(number), 1, turn))
            form = formats[(number + turn) % len(formats)]
            if form == "ist":
                data = ansi_nist_writer.write([view], HEADER)
            else:
                data = record_fmr.write(record_fmr.at_197(Format[form], [view]))
            (folder / f"{number + 101}_{turn + 1}.{form[:5].lower()}").write_bytes(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two sets in five formats, with a file that cannot be read and one that is no record."""
    root = tmp_path_factory.mktemp("prints")
    write(root / "DB1", range(FINGERS), ("ISO_19794_2_2005", "ist", "INCITS_378_2009"))
    write(root / "DB2", range(10, 10 + FINGERS), ("INCITS_378_2004", "ISO_19794_2_2011"))
    (root / "DB2" / "111_1.incit").write_bytes(b"FMR\0 20\0 and nothing more")
    (root / "DB2" / "readme.txt").write_text("not a record")
    (root / ".hidden_1.iso").write_bytes(b"")
    return root


def run(folder: Path, *, across: bool = True) -> tuple[evaluate.Side, np.ndarray]:
    side = evaluate.load(folder)
    return side, evaluate.score_all(side, side, lambda _: None, across=across)


def test_names_are_sorted_paths_and_sets_are_folders(folder: Path) -> None:
    found = find(folder)

    names = [each.name for each in found.specimens]
    assert names == sorted(names)
    assert len(names) == 2 * FINGERS * IMPRESSIONS
    assert {each.set for each in found.specimens} == {"DB1", "DB2"}
    assert found.ignored == ("DB2/readme.txt",)
    assert (found.specimens[0].finger, found.specimens[0].impression) == ("101", "1")


def test_a_score_is_what_an_exhaustive_search_says(folder: Path) -> None:
    side, scores = run(folder)
    one, other = side.records[0].minutiae, side.records[5].minutiae
    assert one is not None
    assert other is not None
    gallery = Gallery()
    gallery.add(5, [(1, other)])

    found = gallery.search(prepare([(1, one)]), 1)

    assert scores.dtype == np.float32
    assert scores[0, 5] == pytest.approx(found.score[0], abs=1e-4)


def test_what_cannot_be_read_is_nan_listed_and_an_error(folder: Path) -> None:
    side, scores = run(folder)
    bad = side.names().index("DB2/111_1.incit")

    sets = evaluate.judge(side, side, scores)

    assert np.isnan(scores[bad]).all()
    assert np.isnan(scores[:, bad]).all()
    assert np.isnan(scores).sum() == 2 * len(scores) - 1
    assert [one["file"] for one in evaluate.failures(side)] == ["DB2/111_1.incit"]
    assert sets[0].figures["all_pairs"]["fnmr_zero"] == 0
    assert sets[1].figures["all_pairs"]["fnmr_zero"] >= 2 / 12
    assert sets[1].figures["not_enrolled"] == 1
    assert sum(evaluate.formats(side).values()) == 24


def test_scores_within_sets_do_not_depend_on_the_others(folder: Path) -> None:
    _, everything = run(folder)
    _, within = run(folder, across=False)

    same = ~np.isnan(within)
    assert np.allclose(within[same], everything[same], atol=1e-4)
    assert np.isnan(within[:12, 12:]).all()


def test_threads_change_nothing(folder: Path) -> None:
    side = evaluate.load(folder)
    one, two = (
        evaluate.score_all(side, side, lambda _: None, threads=threads) for threads in (1, 2)
    )

    assert np.array_equal(one, two, equal_nan=True)


def test_saved_scores_are_a_run_again(folder: Path, tmp_path: Path) -> None:
    side, scores = run(folder)
    evaluate.save(tmp_path / "run.npz", side, side, scores)

    with np.load(tmp_path / "run.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"names", "scores"}
        assert arrays["names"].tolist() == side.names()
        assert arrays["scores"].shape == (24, 24)
    name, comparisons = load_run(f"mine={tmp_path / 'run.npz'}")
    told = evaluate.summarise(evaluate.judge(side, side, scores))["pooled"]
    assert (name, curve(name, comparisons).eer) == ("mine", pytest.approx(told["eer"]))


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"names", ARRAY])
def test_a_file_that_holds_no_scores_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.npz").write_bytes(content)

    with pytest.raises(UserError, match="not a file of scores"):
        load_run(str(tmp_path / "run.npz"))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", names=np.array([{"a": 1}], dtype=object), scores=np.zeros(1))

    with pytest.raises(UserError):
        load_run(str(tmp_path / "run.npz"))


def test_a_matrix_of_another_size_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "run.npz", names=np.array(["a_1", "a_2"]), scores=np.zeros((2, 3)))

    with pytest.raises(UserError, match="as wide"):
        load_run(str(tmp_path / "run.npz"))


def test_a_manifest_says_what_names_do_not(folder: Path) -> None:
    listed = folder / "DB1" / "people.csv"
    listed.write_text("path,finger,impression,set\n101_2.ist,thumb,b,S\n101_1.iso_1,thumb,a,S\n")

    found = find(listed)

    assert [(s.name, s.finger, s.impression, s.set) for s in found.specimens] == [
        ("101_1.iso_1", "thumb", "a", "S"),
        ("101_2.ist", "thumb", "b", "S"),
    ]
    listed.unlink()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,finger\na,b\n", "needs the columns"),
        ("path,finger,impression\na,b,1\na,b,2\n", "twice"),
        ("path,finger,impression\n", "no record"),
    ],
)
def test_a_manifest_that_is_none_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(text)

    with pytest.raises(UserError, match=reason):
        find(tmp_path / "people.csv")


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError):
            find(place)


def test_impressions_are_numbered_as_people_count() -> None:
    assert numbered(["10", "2", "1"])[0].tolist() == [2, 1, 0]
    assert numbered(["a10", "a9"], ["a9", "b"])[1].tolist() == [0, 2]


def test_several_views_and_poor_records_are_failures(tmp_path: Path) -> None:
    view = View(0, 0, 0, synthetic.impression(synthetic.person(1), 1, 1))
    few = View(
        0,
        0,
        0,
        record_fmr.read(
            record_fmr.write(record_fmr.at_197(record_fmr.Format.ISO_19794_2_2005, [view]))
        )
        .views[0]
        .minutiae,
    )
    (tmp_path / "1_1.iso").write_bytes(
        record_fmr.write(record_fmr.at_197(record_fmr.Format.ISO_19794_2_2005, [view, few]))
    )
    (tmp_path / "1_2.iso").write_bytes(bytes((1 << 20) + 1))

    reasons = [read(each).reason for each in find(tmp_path).specimens]

    assert "2 views" in reasons[0]
    assert "larger" in reasons[1]
