"""What a typed tool and a command show of the other modalities of a case: what there is to see, a word each, no score."""

from __future__ import annotations

from typing import Any

from gateway.cli.casework import review as command
from gateway.server.rpc.review import Review
from gateway.v1 import review_pb2, types_pb2

CASE = {
    "case": "R-0123456789abcdef",
    "persons": 1,
    "verdicts": 0,
    "held_by": "P-7",
    "held_until": None,
    "opened": "2026-03-01T12:00:00+00:00",
    "due": "2026-03-01T13:00:00+00:00",
    "fingers": [],
    "samples": [
        {
            "modality": "IRIS",
            "position": 2,
            "compared": {"comparable": True, "probe": {"model": "m-1", "numbers": 512}},
        }
    ],
    "modalities": [
        {"modality": "IRIS", "says": "CONTRADICTS"},
        {"modality": "FACE", "says": "NOT_COMPARED"},
    ],
}


def test_a_typed_tool_is_told_of_every_modality() -> None:
    def perform(name: str, values: Any) -> Any:
        assert (name, values) == ("review.lease", {"case": CASE["case"]})
        return CASE

    context: Any = None
    asked = review_pb2.LeaseCaseRequest(case_id=str(CASE["case"]))
    found = Review(perform).LeaseCase(asked, context)

    (sample,) = found.samples
    assert (sample.modality, sample.position) == (types_pb2.MODALITY_IRIS, 2)
    assert sample.compared["comparable"] is True
    assert sample.compared["probe"]["model"] == "m-1"
    assert [(each.modality, each.says) for each in found.modalities] == [
        (types_pb2.MODALITY_IRIS, review_pb2.SAYING_CONTRADICTS),
        (types_pb2.MODALITY_FACE, review_pb2.SAYING_NOT_COMPARED),
    ]


def test_a_command_says_it_in_words() -> None:
    lines = command.described(CASE)

    assert lines == [
        "iris 2   comparable  yes",
        "iris 2   probe  model m-1, numbers 512",
        "iris     contradicts that it is one person",
        "face     not compared: too poor, or the record has none",
    ]
