"""Samples named with their place on the body: fingers and eyes by a position, a face without one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer

from gateway.cli.partner import query
from gateway.cli.subjects import biometric_files, query_files
from gateway.domain.messages import Modality, Outcome, Problem, ProblemCode, Result


def test_every_option_says_modality_and_place() -> None:
    named = query_files.placed(
        ["2=a.fmr", "7=b=c.fmr"], Path("face.bin"), ["1=r.bin", "2=l.bin"], "x-1"
    )

    assert [(each.modality, each.position, str(each.path)) for each in named.good] == [
        (Modality.FINGER, 2, "a.fmr"),
        (Modality.FINGER, 7, "b=c.fmr"),
        (Modality.FACE, 0, "face.bin"),
        (Modality.IRIS, 1, "r.bin"),
        (Modality.IRIS, 2, "l.bin"),
    ]
    assert not query_files.placed([], None, [], "x-1").good


@pytest.mark.parametrize(
    ("modality", "text", "most"),
    [
        (Modality.FINGER, "11=a", 10),
        (Modality.IRIS, "3=a", 2),
        (Modality.IRIS, "a", 2),
        (Modality.IRIS, "1=", 2),
    ],
)
def test_a_place_that_there_is_not_is_refused(modality: Modality, text: str, most: int) -> None:
    with pytest.raises(typer.BadParameter, match=f"a position of 1 to {most}") as refused:
        biometric_files.from_positions([text], modality, "x-1")
    assert refused.value.param_hint == f"--{modality.name.lower()}"


def test_a_poor_sample_is_named_by_its_modality() -> None:
    code = ProblemCode.QUALITY_TOO_LOW
    result = Result(
        outcome=Outcome.QUALITY_INSUFFICIENT,
        decide_time=datetime.now(UTC),
        request_leaf_hash=bytes(32),
        problems=(
            Problem(2, code),
            Problem(0, code, modality=Modality.FACE),
            Problem(1, code, recapture=False, modality=Modality.IRIS),
        ),
    )

    assert query._lines(result)[1:] == [
        "finger 2     QUALITY_TOO_LOW  → capture it again",
        "face         QUALITY_TOO_LOW  → capture it again",
        "iris 1       QUALITY_TOO_LOW",
    ]
    assert query._result(result)["problems"][1]["modality"] == "FACE"
