"""What an answer holds inside the seal ⇄ nouns; the asker reads it as strictly as we read its question."""

from __future__ import annotations

import re

from gateway.domain.messages import (
    Capabilities,
    Modality,
    Outcome,
    Problem,
    ProblemCode,
    Purpose,
    QueryState,
    RecordFormat,
    Result,
    State,
)
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire.decoding import LIST, Fields, decode, timestamp
from gateway.wire.disclosure_payload import (
    MAX_DETAILS,
    details_message,
    details_of,
    withholding_message,
    withholding_of,
)

MAX_ANSWER = 4_092  # bytes; the smallest size class, which every answer without details has
HIT_REFERENCE = 16  # bytes; random
HASH = 32  # bytes; SHA-256
MAX_PROBLEMS = 13  # one for each sample that a query can hold
MAX_LIST = 32  # entries of a list in Capabilities; there are fewer than ten of anything
MAX_POSITION = 10
MAX_VERSION = 2**63 - 1

RECEIPT_ID = re.compile(r"[A-Za-z0-9:._-]{1,64}")


def read_result(octets: bytes) -> Result:
    """Return the result that `octets` spell."""
    message = decode(exchange_pb2.QueryResult, octets, limit=MAX_DETAILS, element="payload")
    return _result(message, "")


def _result(message: exchange_pb2.QueryResult, path: str) -> Result:
    fields = Fields(message, path)
    outcome = fields.choice("outcome", Outcome)
    hit = fields.octets("hit_reference", HIT_REFERENCE, required=outcome is Outcome.MATCH)
    expire = fields.moment("details_expire_time")
    if outcome is not Outcome.MATCH:
        if hit:
            raise fields.wrong("hit_reference")
        if expire is not None:
            raise fields.wrong("details_expire_time")
        if message.HasField("details"):
            raise fields.wrong("details")
    if message.HasField("withholding") and outcome is not Outcome.REFUSED:
        raise fields.wrong("withholding")
    if len(message.problems) > MAX_PROBLEMS:
        raise fields.wrong("problems", LIST)
    problems = tuple(
        _problem(problem, fields.element(f"problems[{index}]"))
        for index, problem in enumerate(message.problems)
    )
    return Result(
        outcome=outcome,
        decide_time=fields.time("decide_time"),
        request_leaf_hash=fields.octets("request_leaf_hash", HASH),
        hit_reference=hit,
        problems=problems,
        destruction_receipt_id=fields.text("destruction_receipt_id", RECEIPT_ID, required=False),
        details_expire_time=expire,
        withholding=(
            withholding_of(message.withholding, fields.element("withholding"))
            if message.HasField("withholding")
            else None
        ),
        details=(
            details_of(message.details, fields.element("details"))
            if message.HasField("details")
            else None
        ),
    )


def _problem(message: exchange_pb2.SampleProblem, path: str) -> Problem:
    fields = Fields(message, path)
    position = fields.number("position", 0, MAX_POSITION)
    return Problem(position, fields.choice("code", ProblemCode), message.recapture)


def result_bytes(result: Result) -> bytes:
    """Return the payload that says `result`."""
    return _result_message(result).SerializeToString(deterministic=True)


def _result_message(result: Result) -> exchange_pb2.QueryResult:
    return exchange_pb2.QueryResult(
        outcome=exchange_pb2.Outcome.ValueType(result.outcome),
        hit_reference=result.hit_reference,
        problems=[
            exchange_pb2.SampleProblem(
                position=problem.position,
                code=exchange_pb2.ProblemCode.ValueType(problem.code),
                recapture=problem.recapture,
            )
            for problem in result.problems
        ],
        destruction_receipt_id=result.destruction_receipt_id,
        request_leaf_hash=result.request_leaf_hash,
        decide_time=timestamp(result.decide_time),
        details_expire_time=(
            timestamp(result.details_expire_time) if result.details_expire_time else None
        ),
        withholding=withholding_message(result.withholding) if result.withholding else None,
        details=details_message(result.details) if result.details else None,
    )


def read_state(octets: bytes) -> QueryState:
    """Return the state of a query that `octets` spell; a result is there when it is decided, only then."""
    message = decode(exchange_pb2.QueryState, octets, limit=MAX_ANSWER, element="payload")
    fields = Fields(message)
    state = fields.choice("state", State)
    if message.HasField("result") != (state is State.DECIDED):
        raise fields.wrong("result") if message.HasField("result") else fields.absent("result")
    return QueryState(state, _result(message.result, "result") if state is State.DECIDED else None)


def state_bytes(state: QueryState) -> bytes:
    """Return the payload that says `state`."""
    message = exchange_pb2.QueryState(
        state=exchange_pb2.State.ValueType(state.state),
        result=_result_message(state.result) if state.result is not None else None,
    )
    return message.SerializeToString(deterministic=True)


def read_capabilities(octets: bytes) -> Capabilities:
    """Return the capabilities that `octets` spell."""
    message = decode(exchange_pb2.Capabilities, octets, limit=MAX_ANSWER, element="payload")
    fields = Fields(message)
    return Capabilities(
        envelope_formats=fields.numbers("envelope_formats", MAX_LIST),
        suites=fields.numbers("suites", MAX_LIST),
        size_classes=fields.numbers("size_classes", MAX_LIST),
        modalities=fields.choices("modalities", Modality, MAX_LIST),
        record_formats=fields.choices("record_formats", RecordFormat, MAX_LIST),
        purposes=fields.choices("purposes", Purpose, MAX_LIST),
        directory_version=fields.number("directory_version", 1, MAX_VERSION),
    )


def capabilities_bytes(capabilities: Capabilities) -> bytes:
    """Return the payload that says `capabilities`."""
    message = exchange_pb2.Capabilities(
        envelope_formats=capabilities.envelope_formats,
        suites=capabilities.suites,
        size_classes=capabilities.size_classes,
        modalities=[types_pb2.Modality.ValueType(each) for each in capabilities.modalities],
        record_formats=[
            types_pb2.RecordFormat.ValueType(each) for each in capabilities.record_formats
        ],
        purposes=[types_pb2.Purpose.ValueType(each) for each in capabilities.purposes],
        directory_version=capabilities.directory_version,
    )
    return message.SerializeToString(deterministic=True)
