"""What is inside the seal of a query and of its answer ⇄ nouns. Readers are strict, writers write what readers read.

A query names its records and their hashes; the records themselves are opaque here and belong to the
matcher. Absent is `ElementMissing`, wrong is `ElementInvalid`, two that contradict each other
`ElementsInconsistent`; each names its element, none its value. Rules: protocol 3.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator

from gateway.domain.messages import (
    COMPRESSED,
    MOST_IMPRESSIONS,
    POSITIONS,
    TEMPLATES,
    UNKNOWN_POSITION,
    Biometrics,
    Capabilities,
    Compression,
    Missing,
    Modality,
    Operation,
    Outcome,
    Presence,
    PriorTransaction,
    Problem,
    ProblemCode,
    Purpose,
    Query,
    QueryState,
    RecordFormat,
    Result,
    Sample,
    State,
)
from gateway.errors import ElementInvalid, ElementsInconsistent, FormatUnsupported
from gateway.v1 import exchange_pb2, types_pb2
from gateway.wire.decoding import LIST, UNKNOWN_VALUE, Fields, decode, timestamp
from gateway.wire.disclosure_payload import (
    MAX_DETAILS,
    details_message,
    details_of,
    withholding_message,
    withholding_of,
)
from gateway.wire.signed_envelope import TRANSACTION

MAX_QUERY = 2_097_148  # bytes; largest size class less its length prefix (protocol 2)
MAX_PAYLOAD = 262_140  # bytes; of every other request, the largest size class but one
REPLY_KEY = 1_216  # bytes; X-Wing public key (protocol 2)
HASH = 32  # bytes; SHA-256
MAX_SAMPLES = sum(len(places) * MOST_IMPRESSIONS[each] for each, places in POSITIONS.items())
MAX_RECORD = (
    65_536  # bytes; ten views of 255 minutiae make 16 KB, the rest is room for extended blocks
)
MAX_IMAGE = 1_048_576  # bytes; a plain impression at 1,000 ppi in raw pixels, a face of 12 million pixels in JPEG 2000
MAX_EXTRACTORS = 1_024  # characters of the names of all samples' extractors: a query's ledger entry holds each of them
MAX_EXTENT = 65_535  # pixels, or pixels per inch; records hold them in 16 bits (protocol 11)

# Of answers.
MAX_ANSWER = 4_092  # bytes; the smallest size class, which every answer without details has
HIT_REFERENCE = 16  # bytes; random
MAX_PROBLEMS = MAX_SAMPLES
MAX_LIST = 32  # entries of a list in Capabilities; there are fewer than ten of anything
MAX_POSITION = 10
MAX_VERSION = 2**63 - 1

RECEIPT_ID = re.compile(r"[A-Za-z0-9:._-]{1,64}")

PSEUDONYM = re.compile(r"[A-Za-z0-9._-]{1,64}")
EXTRACTOR = re.compile(
    r"[A-Za-z0-9._-]{1,48}"
)  # a product and its version; no space, as in pseudonyms

# Every impression type that the four record standards, their amendments and ANSI/NIST-ITL field 14.003 name: what a
# record may state of its finger, its sender may state too.
IMPRESSIONS = frozenset({*range(16), *range(20, 30), 41, 42})

_reply_key_payloads = {
    Operation.GET_CAPABILITIES: exchange_pb2.CapabilitiesPayload,
    Operation.GET_QUERY_STATE: exchange_pb2.QueryStatePayload,
    Operation.REDELIVER_RESULT: exchange_pb2.RedeliverPayload,
    Operation.GET_QUOTA: exchange_pb2.QuotaPayload,
}


def read_query(octets: bytes) -> Query:
    """Return the query that `octets` spell."""
    message = decode(exchange_pb2.QueryPayload, octets, limit=MAX_QUERY, element="payload")
    fields = Fields(message)
    reply_key = fields.octets("reply_kem_public_key", REPLY_KEY)
    case, unit, person = (
        fields.text(name, PSEUDONYM)
        for name in ("case_reference", "requesting_unit", "responsible_person_id")
    )
    # The flags must be there even when all are false: what the law asks is stated, not left open.
    if not message.HasField("subject_flags"):
        raise fields.absent("subject_flags")
    if message.HasField("biometrics"):
        probe: Biometrics | PriorTransaction = _biometrics(message.biometrics)
    elif message.HasField("prior_transaction_number"):
        probe = PriorTransaction(fields.text("prior_transaction_number", TRANSACTION))
    else:
        raise fields.absent("probe")
    return Query(
        case=case,
        unit=unit,
        person=person,
        reply_key=reply_key,
        probe=probe,
        refugee_claimant=message.subject_flags.refugee_claimant,
    )


def _biometrics(message: exchange_pb2.BiometricProbe) -> Biometrics:
    fields = Fields(message, "biometrics")
    if len(message.samples) > MAX_SAMPLES:
        raise fields.wrong("samples", LIST)
    if len(message.missing) > len(POSITIONS[Modality.FINGER]):
        raise fields.wrong("missing", LIST)
    if not message.samples:
        raise fields.absent("samples")
    samples = tuple(
        _sample(sample, f"biometrics.samples[{index}]")
        for index, sample in enumerate(message.samples)
    )
    missing = tuple(
        _missing(absent, f"biometrics.missing[{index}]")
        for index, absent in enumerate(message.missing)
    )
    _refuse_surplus(Biometrics(samples, missing))
    if sum(len(each.extractor) for each in samples) > MAX_EXTRACTORS:
        raise fields.wrong("samples", LIST)
    return Biometrics(samples, missing)


def _refuse_surplus(probe: Biometrics) -> None:
    """Refuse more samples of a position than there may be, a missing finger that is sampled, and an eleventh finger.

    A finger of unknown position contradicts no missing one: it is one of the others.
    """
    given = Counter[tuple[Modality, int]]()
    fingers = 0
    for element, modality, position, most in _named(probe):
        place = modality, position
        unknown = modality is Modality.FINGER and position == UNKNOWN_POSITION
        fingers += modality is Modality.FINGER and (unknown or not given[place])
        given[place] += 1
        if (given[place] > most and not unknown) or fingers > len(POSITIONS[Modality.FINGER]):
            raise ElementInvalid(element=element, rule=LIST)


def _named(probe: Biometrics) -> Iterator[tuple[str, Modality, int, int]]:
    """Yield the element, modality and position of each sample and missing finger, and the most of that position."""
    for index, each in enumerate(probe.samples):
        most = MOST_IMPRESSIONS[each.modality]
        yield f"biometrics.samples[{index}].position", each.modality, each.position, most
    for index, missing in enumerate(probe.missing):
        yield f"biometrics.missing[{index}].position", Modality.FINGER, missing.position, 1


def _missing(message: exchange_pb2.MissingSample, path: str) -> Missing:
    fields = Fields(message, path)
    places = POSITIONS[Modality.FINGER]
    position = fields.number("position", places[0], places[-1])
    return Missing(position, fields.choice("presence", Presence))


def _position(fields: Fields, modality: Modality) -> int:
    places = POSITIONS[modality]
    least = UNKNOWN_POSITION if modality is Modality.FINGER else places[0]
    return fields.number("position", least, places[-1])


def _sample(message: exchange_pb2.BiometricSample, path: str) -> Sample:
    fields = Fields(message, path)
    modality = fields.choice("modality", Modality)
    position = _position(fields, modality)
    if message.impression not in IMPRESSIONS:
        raise fields.wrong("impression", UNKNOWN_VALUE)
    compression = fields.choice("compression", Compression)
    if message.format not in {0, *RecordFormat}:  # of a later release: not read here, not malformed
        raise FormatUnsupported(element=fields.element("format"))
    form = fields.choice("format", RecordFormat)
    _demand_compression(form, compression, fields.element("compression"))
    record = fields.octets("data", 1, MAX_RECORD if form in TEMPLATES else MAX_IMAGE)
    if fields.octets("sha256", HASH) != hashlib.sha256(record).digest():
        raise ElementsInconsistent(element=fields.element("sha256"))
    return Sample(
        modality=modality,
        position=position,
        format=form,
        extractor=fields.text("extractor", EXTRACTOR),
        data=record,
        impression=message.impression,
        capture_time=fields.moment("capture_time"),
        width=fields.number("width", 0, MAX_EXTENT),
        height=fields.number("height", 0, MAX_EXTENT),
        ppi=fields.number("ppi", 0, MAX_EXTENT),
        quality=fields.number("quality", 0, 100),
        quality_algorithm=fields.text("quality_algorithm", EXTRACTOR, required=False),
        compression=compression,
    )


def _demand_compression(form: RecordFormat, compression: Compression, element: str) -> None:
    """Refuse a compression that the format cannot have; what is in a container is read where it is decoded."""
    only = Compression.NONE if form in TEMPLATES else COMPRESSED.get(form)
    if only is not None and compression is not only:
        raise ElementsInconsistent(element=element)


def query_bytes(query: Query) -> bytes:
    """Return the payload that says `query`."""
    message = exchange_pb2.QueryPayload(
        reply_kem_public_key=query.reply_key,
        case_reference=query.case,
        requesting_unit=query.unit,
        responsible_person_id=query.person,
        subject_flags=exchange_pb2.SubjectFlags(refugee_claimant=query.refugee_claimant),
    )
    if isinstance(query.probe, PriorTransaction):
        message.prior_transaction_number = query.probe.number
    else:
        message.biometrics.SetInParent()
        message.biometrics.samples.extend(_sample_message(s) for s in query.probe.samples)
        message.biometrics.missing.extend(
            exchange_pb2.MissingSample(
                position=m.position, presence=exchange_pb2.Presence.ValueType(m.presence)
            )
            for m in query.probe.missing
        )
    return message.SerializeToString(deterministic=True)


def _sample_message(sample: Sample) -> exchange_pb2.BiometricSample:
    return exchange_pb2.BiometricSample(
        modality=types_pb2.Modality.ValueType(sample.modality),
        position=sample.position,
        impression=sample.impression,
        capture_time=timestamp(sample.capture_time) if sample.capture_time else None,
        width=sample.width,
        height=sample.height,
        ppi=sample.ppi,
        compression=exchange_pb2.Compression.ValueType(sample.compression),
        quality=sample.quality,
        quality_algorithm=sample.quality_algorithm,
        format=types_pb2.RecordFormat.ValueType(sample.format),
        extractor=sample.extractor,
        data=sample.data,
        sha256=hashlib.sha256(sample.data).digest(),
    )


def read_reply_key(octets: bytes, operation: Operation) -> bytes:
    """Return the reply key, 1,216 bytes, of a request that carries nothing else."""
    kind = _reply_key_payloads[operation]
    message = decode(kind, octets, limit=MAX_PAYLOAD, element="payload")
    return Fields(message).octets("reply_kem_public_key", REPLY_KEY)


def reply_key_bytes(reply_key: bytes, operation: Operation) -> bytes:
    """Return the payload of a request that carries nothing but its reply key."""
    message = _reply_key_payloads[operation](reply_kem_public_key=reply_key)
    return message.SerializeToString(deterministic=True)


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
    modality = fields.choice("modality", Modality) if message.modality else Modality.FINGER
    code = fields.choice("code", ProblemCode)
    return Problem(position, code, message.recapture, modality)


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
                # Absent of a finger: clients of releases that know of fingers alone read it as before.
                modality=types_pb2.Modality.ValueType(
                    0 if problem.modality is Modality.FINGER else problem.modality
                ),
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
    """Return the capabilities that `octets` spell; what only a later release knows is left out, the rest is true all the same."""
    message = decode(exchange_pb2.Capabilities, octets, limit=MAX_ANSWER, element="payload")
    fields = Fields(message)
    return Capabilities(
        envelope_formats=fields.numbers("envelope_formats", MAX_LIST),
        suites=fields.numbers("suites", MAX_LIST),
        size_classes=fields.numbers("size_classes", MAX_LIST),
        modalities=fields.known_choices("modalities", Modality, MAX_LIST),
        record_formats=fields.known_choices("record_formats", RecordFormat, MAX_LIST),
        purposes=fields.known_choices("purposes", Purpose, MAX_LIST),
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
