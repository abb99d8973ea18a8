"""An extractor for tests, installed for one test run: a distribution in a folder of its own, and its entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.extraction.service import ExtractionService
from tests.gateway.extraction.children import trial

OFFERED = Path(__file__).parent / "offered"
SETTINGS = '\n[extraction]\nfinger = "trial"\npicture_s = 1\nmemory_mib = 2048\n'


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Where code lies that has the entry point `trial`."""
    folder = tmp_path_factory.mktemp("installed")
    named = folder / "trial-1.dist-info"
    named.mkdir()
    (named / "METADATA").write_text("Metadata-Version: 2.1\nName: trial\nVersion: 1\n")
    (named / "entry_points.txt").write_text(
        "[passerelle.extractors]\ntrial = trial_extractor:make\n"
    )
    return (str(folder), str(OFFERED), *(each for each in sys.path if each))


@pytest.fixture(scope="module")
def service(paths: tuple[str, ...]) -> Iterator[ExtractionService]:
    """Two child processes of the extractor for tests."""
    made = ExtractionService((trial(paths),), processes=2, waiting=64)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def images_home(homes: Any, paths: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory whose settings name the extractor for tests."""
    for each in (str(OFFERED), paths[0]):
        monkeypatch.syspath_prepend(each)
    home: Path = homes[0]
    settings = home / "passerelle.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    return home


@pytest.fixture
def images_pair(images_home: Path, homes: Any, serve: Any) -> Iterator[Any]:
    """A serving gateway whose settings name the extractor for tests."""
    del images_home
    with serve(*homes) as serving:
        yield serving
