"""ReviewService: the operations of examiners, typed; each is one of the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.domain.messages import Modality
from gateway.domain.person import Saying, Verdict
from gateway.errors import ElementInvalid
from gateway.v1 import review_pb2, review_pb2_grpc, types_pb2
from gateway.wire.decoding import refuse_unknown

Perform = Callable[[str, Mapping[str, object]], Mapping[str, Any]]  # as whoever calls


class Review(review_pb2_grpc.ReviewServiceServicer):
    """ReviewService over the table of operations."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    def ListCases(  # noqa: N802 - the name of the RPC
        self, request: review_pb2.ListCasesRequest, context: grpc.ServicerContext
    ) -> review_pb2.ListCasesResponse:
        """List the cases that wait."""
        del context
        wanted: dict[str, object] = {"page_token": request.page_token}
        if request.page_size:
            wanted["page_size"] = request.page_size
        found = self._act(request, "review.list", wanted)
        return review_pb2.ListCasesResponse(
            cases=[_case(each) for each in found["cases"]],
            next_page_token=found["next_page_token"],
        )

    def LeaseCase(  # noqa: N802
        self, request: review_pb2.LeaseCaseRequest, context: grpc.ServicerContext
    ) -> review_pb2.LeaseCaseResponse:
        """Hand over a case."""
        del context
        found = self._act(request, "review.lease", {"case": request.case_id})
        fingers = [_finger(each) for each in found["fingers"]]
        return review_pb2.LeaseCaseResponse(
            case=_case(found),
            fingers=fingers,
            samples=[_sample(each) for each in found["samples"]],
            modalities=[
                review_pb2.ModalityStatement(
                    modality=types_pb2.Modality.ValueType(Modality[each["modality"]]),
                    says=review_pb2.Saying.ValueType(Saying[each["says"]]),
                )
                for each in found["modalities"]
            ],
        )

    def SubmitVerdict(  # noqa: N802
        self, request: review_pb2.SubmitVerdictRequest, context: grpc.ServicerContext
    ) -> review_pb2.SubmitVerdictResponse:
        """Take a verdict."""
        del context
        if int(request.verdict) not in {int(each) for each in Verdict}:
            raise ElementInvalid(element="request.verdict")
        said = {"verdict": Verdict(request.verdict).name, "reason": request.reason}
        found = self._act(request, "review.decide", {"case": request.case_id, **said})
        return review_pb2.SubmitVerdictResponse(
            closed=found["closed"], destruction_receipt_id=found.get("destruction_receipt", "")
        )

    def ReleaseCase(  # noqa: N802
        self, request: review_pb2.ReleaseCaseRequest, context: grpc.ServicerContext
    ) -> review_pb2.ReleaseCaseResponse:
        """Lay a case down."""
        del context
        found = self._act(request, "review.release", {"case": request.case_id})
        return review_pb2.ReleaseCaseResponse(case=_case(found))

    def _act(self, request: Message, name: str, values: Mapping[str, object]) -> Mapping[str, Any]:
        refuse_unknown(request, "request", ElementInvalid)
        return self._perform(name, values)


def _case(plain: Mapping[str, Any]) -> review_pb2.Case:
    return review_pb2.Case(
        case_id=plain["case"],
        persons=plain["persons"],
        verdicts=plain["verdicts"],
        held_by=plain["held_by"] or "",
        hold_until_time=_time(plain["held_until"]),
        open_time=_time(plain["opened"]),
        due_time=_time(plain["due"]),
    )


def _finger(plain: Mapping[str, Any]) -> review_pb2.Finger:
    return review_pb2.Finger(
        position=plain["position"],
        stated_position=plain["stated"],
        probe_marks=[review_pb2.Mark(**each) for each in plain["probe"]],
        record_marks=[review_pb2.Mark(**each) for each in plain["record"]],
        pairs=[review_pb2.Pair(probe_index=a, record_index=b) for a, b in plain["pairs"]],
    )


def _sample(plain: Mapping[str, Any]) -> review_pb2.ComparedSample:
    found = review_pb2.ComparedSample(
        modality=types_pb2.Modality.ValueType(Modality[plain["modality"]]),
        position=plain["position"],
    )
    found.compared.update(plain["compared"])
    return found


def _time(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(text))
    return stamp
