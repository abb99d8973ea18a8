"""Images at the commands: enrolled as records, asked with, and what is not read is named with its remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.subjects import biometric_files
from gateway.domain.messages import Compression, Modality, RecordFormat
from gateway.errors import UserError
from tests.gateway.extraction import image_files as files
from tests.gateway.extraction.children import SIDE, picture
from tests.gateway.extraction.conftest import OFFERED
from tests.gateway.extraction.conftest import paths as installed
from tests.gateway.extraction.offered import trial_extractor as orders

paths = installed  # the fixture, of the extractor for tests
SETTINGS = '\n[extraction]\nfinger = "trial"\npicture_s = 1\nmemory_mib = 2048\n'
FOREIGN = ("--status", "FOREIGN_NATIONAL", "--nationality", "IND")


@pytest.fixture
def home(homes: Any, paths: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory whose settings name the extractor for tests."""
    for each in (str(OFFERED), paths[0]):
        monkeypatch.syspath_prepend(each)
    settings = Path(homes["CAN"]) / "passerelle.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    return Path(homes["CAN"])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, order, seed in (
        ("one", orders.WELL, 1),
        ("two", orders.WELL, 2),
        ("bad", orders.DIE, 3),
    ):
        (folder / f"{name}.fir").write_bytes(
            files.fir_second(picture(order, seed), 0, (SIDE, SIDE))
        )
    (folder / "cut.fir").write_bytes(files.fir_second(picture(), 0, (SIDE, SIDE))[:-1])
    return folder


def test_images_are_enrolled_as_records_and_each_bad_one_is_named(
    run: Any, home: Path, passphrase: Any, pictures: Path
) -> None:
    words = ("gallery", "enrol", home, pictures, "--position", 2, *FOREIGN, *passphrase)

    said = run(*words, "--json")
    again = run(*words)

    assert said.code == 1
    assert (said.document["enrolled"], said.document["people"]) == (2, 2)
    assert [
        (each["position"], each["extractor"], each["quality"])
        for each in said.document["extracted"]
    ] == [(2, "trial-1", 80)] * 2
    reasons = {Path(each["file"]).name: each["reason"] for each in said.document["bad"]}
    assert set(reasons) == {"bad.fir", "cut.fir"}
    assert "no features could be extracted" in reasons["bad.fir"]
    assert "unchanged  2" in again.out


def test_without_an_extractor_the_setting_is_named(
    run: Any, homes: Any, passphrase: Any, pictures: Path
) -> None:
    file = pictures / "one.fir"
    said = run("gallery", "enrol", homes["CAN"], file, "--position", 2, *FOREIGN, *passphrase)

    assert said.code == 1
    assert "extraction.finger in the settings" in said.err


def test_a_picture_is_asked_with_as_its_headers_state_it(tmp_path: Path) -> None:
    path = tmp_path / "print.wsq"
    path.write_bytes(files.wsq(comment=b"NIST_COM 1\nPPI -1\n"))
    (source,) = biometric_files.from_positions([f"2={path}"], Modality.FINGER, "unstated").good

    (sample,) = biometric_files.query_samples(replace(source, ppi=500))

    assert (sample.format, sample.compression) == (RecordFormat.WSQ, Compression.WSQ)
    assert (sample.width, sample.height, sample.ppi) == (files.WIDTH, files.HEIGHT, 500)
    with pytest.raises(UserError, match="--ppi"):
        biometric_files.query_samples(source)
    with pytest.raises(UserError, match="images of fingers have 200 to 4000"):
        biometric_files.query_samples(replace(source, ppi=10))
