"""A second modality beside fingers, and a gateway whose agreement permits both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from gateway.domain.messages import Modality
from gateway.matching import modality
from gateway.matching.modality import Implementation
from gateway.server.application import Gateway
from gateway.subjects.enrolment import Row
from tests.gateway.matching.fake_faces import (
    ANN,
    BOB,
    FaceCodec,
    FaceEngine,
    permit_faces,
    record,
)

REVIEW = '[review]\nfloor_fpir = 0.01\npersons = 1\nparagraph = "IRPR 315.39"\n\n'


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have faces read and searched, and be what a query of Division 3 may carry."""
    table = {**modality.TABLE, Modality.FACE: Implementation(FaceCodec(), FaceEngine)}
    monkeypatch.setattr(modality, "TABLE", MappingProxyType(table))
    permit_faces(monkeypatch)


@pytest.fixture
def permitted(homes: tuple[Path, Path], agree: Callable[[Path, str, str], None]) -> Any:
    """Have the agreement permit faces too."""
    text = (homes[0] / "agreements" / "au.toml").read_text()
    for old, new in (
        ("[modalities]\n", '[modalities]\nFACE = "IRPR 315.38"\n'),
        ("version = 1", "version = 2"),
        ("in_force = 2026-01-01", "in_force = 2026-02-01"),
        ("[disclosure]\n", REVIEW + "[disclosure]\n"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    agree(homes[0], "au-2.toml", text)
    return homes


@pytest.fixture
def enrolled(permitted: Any, faces: None, people: Any, secret: Any) -> Iterator[Any]:
    """Have a person enrolled by fingers and face, and another by face alone."""
    del faces
    with Gateway.open(permitted[0], secret) as gateway:
        (status,) = {row.status for row in people.rows(50)}
        row = Row("a", "P-50", 0, "faces-1", record(ANN), status, modality=Modality.FACE)
        report = gateway.subjects.registry.enrol(
            [*people.rows(50), row, replace(row, subject="P-51", data=record(BOB))]
        )
        assert (report.enrolled, report.bad) == (4, [])
        again = gateway.subjects.registry.enrol([row, replace(row, data=record(BOB))])
        assert (again.unchanged, [each.reason for each in again.bad]) == (
            1,
            ["face 0 of this subject has another record"],
        )
    return permitted
