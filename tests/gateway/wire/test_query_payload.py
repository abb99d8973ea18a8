"""What is inside the seal: one spelling, every rule, each refusal with its element and without its value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.messages import (
    COMPRESSED,
    MOST_IMPRESSIONS,
    TEMPLATES,
    UNKNOWN_POSITION,
    Biometrics,
    Compression,
    Missing,
    Modality,
    Operation,
    Presence,
    PriorTransaction,
    Query,
    RecordFormat,
    Sample,
)
from gateway.errors import (
    ElementInvalid,
    ElementMissing,
    ElementsInconsistent,
    FormatUnsupported,
    InvalidArgument,
    Refusal,
)
from gateway.v1 import exchange_pb2
from gateway.wire import canonical_form, query_payload

QueryOf = Callable[..., Query]
SampleOf = Callable[..., Sample]
EVERY_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
REPLY_KEY_OPERATIONS = [
    Operation.GET_CAPABILITIES,
    Operation.GET_QUERY_STATE,
    Operation.REDELIVER_RESULT,
]

moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
pseudonyms = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
products = st.from_regex(r"[A-Za-z0-9._-]{1,48}", fullmatch=True)
EXTENT = st.integers(0, 65_535)


@st.composite
def samples(draw: st.DrawFn, position: int) -> Sample:
    form = draw(st.sampled_from(RecordFormat))
    only = Compression.NONE if form in TEMPLATES else COMPRESSED.get(form)
    return Sample(
        modality=Modality.FINGER,
        position=position,
        format=form,
        compression=only or draw(st.sampled_from(Compression)),
        extractor=draw(products),
        data=draw(st.binary(min_size=1, max_size=50)),
        impression=draw(st.sampled_from(sorted(query_payload.IMPRESSIONS))),
        capture_time=draw(st.none() | moments),
        width=draw(EXTENT),
        height=draw(EXTENT),
        ppi=draw(EXTENT),
        quality=draw(st.integers(0, 100)),
        quality_algorithm=draw(st.just("") | products),
    )


@st.composite
def probes(draw: st.DrawFn) -> Biometrics:
    positions = draw(st.lists(st.integers(1, 10), min_size=1, max_size=10, unique=True))
    cut = draw(st.integers(1, len(positions)))
    return Biometrics(
        tuple(draw(samples(position)) for position in positions[:cut]),
        tuple(Missing(p, draw(st.sampled_from(Presence))) for p in positions[cut:]),
    )


queries = st.builds(
    Query,
    case=pseudonyms,
    unit=pseudonyms,
    person=pseudonyms,
    reply_key=st.binary(min_size=32, max_size=32).map(lambda seed: seed * 38),
    probe=probes()
    | st.builds(PriorTransaction, st.from_regex(r"[A-Za-z0-9-]{8,64}", fullmatch=True)),
    refugee_claimant=st.booleans(),
)


def refused(octets: bytes, kind: type[Refusal]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        query_payload.read_query(octets)
    assert type(caught.value) is kind
    return caught.value.metadata["element"]


def changed(query: Query, change: Callable[[exchange_pb2.QueryPayload], object]) -> bytes:
    message = exchange_pb2.QueryPayload.FromString(query_payload.query_bytes(query))
    change(message)
    return message.SerializeToString(deterministic=True)


@given(queries)
def test_a_query_reads_as_it_was_written(query: Query) -> None:
    octets = query_payload.query_bytes(query)

    assert query_payload.read_query(octets) == query
    assert query_payload.query_bytes(query_payload.read_query(octets)) == octets


@pytest.mark.parametrize("name", ["case_reference", "requesting_unit", "responsible_person_id"])
@pytest.mark.parametrize("value", ["Jane Doe", "x" * 65, "né", "a\n"])
def test_a_pseudonym_has_no_room_for_a_name(query: QueryOf, name: str, value: str) -> None:
    octets = changed(query(), lambda message: setattr(message, name, value))

    assert refused(octets, ElementInvalid) == name


@pytest.mark.parametrize(
    "name",
    [
        "case_reference",
        "requesting_unit",
        "responsible_person_id",
        "reply_kem_public_key",
        "subject_flags",
    ],
)
def test_an_absent_element_is_named(query: QueryOf, name: str) -> None:
    octets = changed(query(), lambda message: message.ClearField(name))

    assert refused(octets, ElementMissing) == name


def test_a_query_asks_about_something(query: QueryOf) -> None:
    octets = changed(query(), lambda message: message.ClearField("biometrics"))

    assert refused(octets, ElementMissing) == "probe"


def test_a_probe_without_samples_is_no_probe(query: QueryOf) -> None:
    only_missing = Biometrics((), (Missing(1, Presence.AMPUTATED),))

    for probe in (only_missing, Biometrics(())):
        octets = query_payload.query_bytes(query(probe=probe))
        assert refused(octets, ElementMissing) == "biometrics.samples"


def test_a_prior_number_has_the_form_of_a_number(query: QueryOf) -> None:
    for number, kind in (("short", ElementInvalid), ("", ElementMissing)):
        octets = query_payload.query_bytes(query(probe=PriorTransaction(number)))
        assert refused(octets, kind) == "prior_transaction_number"


@pytest.mark.parametrize("length", [1, 1215, 1217])
def test_a_reply_key_has_its_length(query: QueryOf, length: int) -> None:
    octets = query_payload.query_bytes(query(reply_key=bytes(length)))

    assert refused(octets, ElementInvalid) == "reply_kem_public_key"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("modality", 0, ElementMissing),
        ("modality", 4, ElementInvalid),
        ("position", 11, ElementInvalid),
        ("position", 2**32 - 1, ElementInvalid),
        ("impression", 16, ElementInvalid),
        ("impression", 43, ElementInvalid),
        ("width", 65_536, ElementInvalid),
        ("height", 65_536, ElementInvalid),
        ("ppi", 65_536, ElementInvalid),
        ("compression", 0, ElementMissing),
        ("compression", 2, ElementsInconsistent),
        ("compression", 6, ElementInvalid),
        ("quality", 101, ElementInvalid),
        ("quality_algorithm", "größe", ElementInvalid),
        ("format", 0, ElementMissing),
        ("format", 21, FormatUnsupported),
        ("extractor", "", ElementMissing),
        ("extractor", "Acme\tRidge", ElementInvalid),
        ("extractor", "x" * 65, ElementInvalid),
        ("data", b"", ElementMissing),
        ("data", bytes(65_537), ElementInvalid),
        ("data", b"other", ElementsInconsistent),
        ("sha256", b"", ElementMissing),
        ("sha256", b"h" * 31, ElementInvalid),
        ("sha256", b"h" * 32, ElementsInconsistent),
    ],
)
def test_a_sample_with_one_wrong_field_is_refused_and_the_field_is_named(
    query: QueryOf, name: str, value: object, kind: type[Refusal]
) -> None:
    octets = changed(query(), lambda message: setattr(message.biometrics.samples[1], name, value))

    named = "sha256" if name == "data" and kind is ElementsInconsistent else name
    assert refused(octets, kind) == f"biometrics.samples[1].{named}"


def image(size: int, form: RecordFormat = RecordFormat.WSQ) -> Biometrics:
    packed = Compression.WSQ if form is RecordFormat.WSQ else Compression.NONE
    return Biometrics(
        (
            Sample(
                modality=Modality.FINGER,
                position=1,
                format=form,
                compression=packed,
                extractor="x-1",
                data=bytes(size),
            ),
        )
    )


def test_an_image_has_room_that_no_template_has(query: QueryOf) -> None:
    for form, most in (
        (RecordFormat.WSQ, query_payload.MAX_IMAGE),
        (RecordFormat.FACE_VECTOR, query_payload.MAX_RECORD),
    ):
        fits = replace(query(), probe=image(most, form))
        assert query_payload.read_query(query_payload.query_bytes(fits)) == fits
        over = query_payload.query_bytes(replace(fits, probe=image(most + 1, form)))
        assert refused(over, ElementInvalid) == "biometrics.samples[0].data"


def test_a_query_beyond_the_largest_size_class_is_refused_unread(query: QueryOf) -> None:
    octets = query_payload.query_bytes(query()) + bytes(query_payload.MAX_QUERY)
    assert refused(octets, ElementInvalid) == "payload"


@pytest.mark.parametrize(
    ("form", "compression", "lawful"),
    [
        (RecordFormat.WSQ, Compression.NONE, False),
        (RecordFormat.WSQ, Compression.PNG, False),
        (RecordFormat.JPEG_2000, Compression.JPEG_2000, True),
        (RecordFormat.IRIS_CODE, Compression.PNG, False),
        (RecordFormat.ISO_39794_4, Compression.WSQ, True),
        (RecordFormat.ISO_39794_4, Compression.NONE, True),
    ],
)
def test_a_bare_image_is_compressed_as_its_format_says_and_a_template_not_at_all(
    query: QueryOf, form: RecordFormat, compression: Compression, lawful: bool
) -> None:
    (sample,) = image(3).samples
    declared = replace(sample, format=form, compression=compression)
    octets = query_payload.query_bytes(replace(query(), probe=Biometrics((declared,))))

    if lawful:
        assert query_payload.read_query(octets).probe == Biometrics((declared,))
    else:
        assert refused(octets, ElementsInconsistent) == "biometrics.samples[0].compression"


def test_a_capture_time_has_whole_milliseconds(query: QueryOf) -> None:
    def spoil(message: exchange_pb2.QueryPayload) -> None:
        message.biometrics.samples[0].capture_time.nanos = 1

    assert refused(changed(query(), spoil), ElementInvalid) == "biometrics.samples[0].capture_time"


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("position", 0, ElementInvalid),
        ("position", 11, ElementInvalid),
        ("presence", 0, ElementMissing),
        ("presence", 4, ElementInvalid),
    ],
)
def test_a_missing_finger_is_stated_by_its_rules(
    query: QueryOf, name: str, value: int, kind: type[Refusal]
) -> None:
    octets = changed(query(), lambda message: setattr(message.biometrics.missing[0], name, value))

    assert refused(octets, kind) == f"biometrics.missing[0].{name}"


def test_several_impressions_of_a_finger_are_read_and_one_too_many_is_refused(
    query: QueryOf, sample: SampleOf
) -> None:
    most = MOST_IMPRESSIONS[Modality.FINGER]
    several = tuple(sample(position=3, data=bytes([number + 1])) for number in range(most))
    asked = query(probe=Biometrics(several))

    assert query_payload.read_query(query_payload.query_bytes(asked)) == asked
    surplus = query(probe=Biometrics((*several, sample(position=3, data=b"another"))))
    assert (
        refused(query_payload.query_bytes(surplus), ElementInvalid)
        == f"biometrics.samples[{most}].position"
    )


@pytest.mark.parametrize(("modality", "position"), [(Modality.FACE, 0), (Modality.IRIS, 2)])
def test_of_a_face_and_of_each_eye_one_sample_is_read_so_that_an_examiner_sees_which_it_was(
    query: QueryOf, sample: SampleOf, modality: Modality, position: int
) -> None:
    two = [sample(modality=modality, position=position, data=each) for each in (b"one", b"two")]

    octets = query_payload.query_bytes(query(probe=Biometrics(tuple(two))))

    assert refused(octets, ElementInvalid) == "biometrics.samples[1].position"


@pytest.mark.parametrize(("modality", "position"), [(Modality.FACE, 0), (Modality.IRIS, 2)])
def test_of_a_face_or_an_eye_there_is_one_sample(
    query: QueryOf, sample: SampleOf, modality: Modality, position: int
) -> None:
    twice = tuple(sample(modality=modality, position=position) for _ in range(2))

    octets = query_payload.query_bytes(query(probe=Biometrics(twice)))

    assert refused(octets, ElementInvalid) == "biometrics.samples[1].position"


def test_fingers_of_unknown_position_are_read_beside_missing_ones(
    query: QueryOf, sample: SampleOf
) -> None:
    unknown = tuple(sample(position=UNKNOWN_POSITION, data=bytes([at + 1])) for at in range(8))
    missing = (Missing(3, Presence.AMPUTATED),)
    asked = query(probe=Biometrics((*unknown, sample(position=2)), missing))

    assert query_payload.read_query(query_payload.query_bytes(asked)) == asked


def test_nobody_has_eleven_fingers(query: QueryOf, sample: SampleOf) -> None:
    """Unknown, known and missing ones are counted together; impressions of one finger are one."""
    unknown = tuple(sample(position=UNKNOWN_POSITION) for _ in range(8))
    known = (sample(position=2), sample(position=2, data=b"again"))
    ten = query(probe=Biometrics((*unknown, *known), (Missing(3, Presence.DAMAGED),)))
    eleven = query(
        probe=Biometrics(
            (*unknown, *known), (Missing(3, Presence.DAMAGED), Missing(4, Presence.DAMAGED))
        )
    )

    assert query_payload.read_query(query_payload.query_bytes(ten)) == ten
    octets = query_payload.query_bytes(eleven)
    assert refused(octets, ElementInvalid) == "biometrics.missing[1].position"


def test_a_finger_is_not_both_sampled_and_missing(query: QueryOf, sample: SampleOf) -> None:
    both = Biometrics((sample(position=3),), (Missing(3, Presence.DAMAGED),))

    octets = query_payload.query_bytes(query(probe=both))

    assert refused(octets, ElementInvalid) == "biometrics.missing[0].position"


def test_a_finger_is_not_missing_twice(query: QueryOf, sample: SampleOf) -> None:
    both = Biometrics((sample(),), (Missing(3, Presence.DAMAGED), Missing(3, Presence.AMPUTATED)))

    octets = query_payload.query_bytes(query(probe=both))

    assert refused(octets, ElementInvalid) == "biometrics.missing[1].position"


def test_the_numbers_of_samples_are_bounded(query: QueryOf, sample: SampleOf) -> None:
    many = Biometrics(tuple(sample() for _ in range(query_payload.MAX_SAMPLES + 1)))
    gone = Biometrics((sample(),), tuple(Missing(3, Presence.DAMAGED) for _ in range(11)))

    assert (
        refused(query_payload.query_bytes(query(probe=many)), ElementInvalid)
        == "biometrics.samples"
    )
    assert (
        refused(query_payload.query_bytes(query(probe=gone)), ElementInvalid)
        == "biometrics.missing"
    )


def test_names_of_extractors_are_bounded_together(query: QueryOf, sample: SampleOf) -> None:
    """Each stands in the entry of the query, which has room for so many."""
    fitting = [sample(position=1 + at // 4, extractor="e" * 25) for at in range(40)]
    longer = [replace(each, extractor="e" * 26) for each in fitting]

    query_payload.read_query(query_payload.query_bytes(query(probe=Biometrics(tuple(fitting)))))
    octets = query_payload.query_bytes(query(probe=Biometrics(tuple(longer))))

    assert refused(octets, ElementInvalid) == "biometrics.samples"


def test_a_face_is_read_here_and_left_to_the_law(query: QueryOf, sample: SampleOf) -> None:
    mixed = Biometrics(
        (
            sample(),
            sample(modality=Modality.FACE, position=0),
            sample(modality=Modality.IRIS, position=2),
        )
    )
    asked = query(probe=mixed)

    assert query_payload.read_query(query_payload.query_bytes(asked)) == asked


@pytest.mark.parametrize(
    ("spoil", "element"),
    [
        (lambda q: q.MergeFromString(b"\x42\x04Jane"), "payload"),
        (lambda q: q.subject_flags.MergeFromString(b"\x10\x01"), "payload.subject_flags"),
        (lambda q: q.biometrics.MergeFromString(b"\x1a\x00"), "payload.biometrics"),
        (
            lambda q: q.biometrics.samples[1].MergeFromString(b"\x7a\x04Jane"),
            "payload.biometrics.samples[1]",
        ),
        (
            lambda q: q.biometrics.samples[0].capture_time.MergeFromString(b"\x18\x01"),
            "payload.biometrics.samples[0].capture_time",
        ),
        (
            lambda q: q.biometrics.missing[0].MergeFromString(b"\x18\x01"),
            "payload.biometrics.missing[0]",
        ),
    ],
)
def test_an_unknown_field_is_refused_at_any_depth(
    query: QueryOf, spoil: Callable[[exchange_pb2.QueryPayload], object], element: str
) -> None:
    assert refused(changed(query(), spoil), ElementInvalid) == element


def test_a_second_spelling_of_a_query_is_refused(query: QueryOf) -> None:
    octets = query_payload.query_bytes(query())
    reply_key, rest = octets[:1219], octets[1219:]

    assert refused(octets + reply_key, ElementInvalid) == "payload"  # repeated; the last would win
    assert refused(rest + reply_key, ElementInvalid) == "payload"  # in another order
    assert refused(octets + b"\x3a\x08CAN-0001", ElementInvalid) == "payload"  # both of the oneof


def test_a_payload_is_bounded_before_it_is_parsed() -> None:
    octets = bytes(query_payload.MAX_PAYLOAD + 1)

    assert refused(octets, ElementInvalid) == "payload"
    for operation in REPLY_KEY_OPERATIONS:
        with pytest.raises(ElementInvalid):
            query_payload.read_reply_key(octets, operation)


def test_every_truncation_of_a_query_is_refused(query: QueryOf) -> None:
    octets = query_payload.query_bytes(query())

    for length in range(len(octets)):
        with pytest.raises(InvalidArgument):
            query_payload.read_query(octets[:length])


@EVERY_EXAMPLE
@given(at=st.integers(0, 2000), mask=st.integers(1, 255))
def test_a_flipped_byte_of_a_query_is_refused_or_changes_what_it_says(
    query: QueryOf, at: int, mask: int
) -> None:
    octets = bytearray(query_payload.query_bytes(query()))
    octets[at % len(octets)] ^= mask
    try:
        read = query_payload.read_query(bytes(octets))
    except InvalidArgument:
        return
    assert read != query()
    kind = (
        exchange_pb2.QueryPayload.DESCRIPTOR
    )  # a flip may make a number 0, which is then a default that is stated
    assert query_payload.query_bytes(read) == canonical_form.without_defaults(kind, bytes(octets))


def test_what_a_later_release_reads_besides_is_left_out_and_the_rest_is_told() -> None:
    told = exchange_pb2.Capabilities(
        envelope_formats=[1],
        suites=[1],
        size_classes=[4096],
        modalities=[1, 99],  # type: ignore[list-item]
        record_formats=[11, 4000],  # type: ignore[list-item]
        purposes=[1],
        directory_version=1,
    )

    found = query_payload.read_capabilities(told.SerializeToString())

    assert found.modalities == (Modality.FINGER,)
    assert found.record_formats == (RecordFormat.WSQ,)


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_refused(octets: bytes) -> None:
    readers: list[Callable[[bytes], object]] = [
        query_payload.read_query,
        query_payload.read_result,
        query_payload.read_state,
        query_payload.read_capabilities,
    ]
    readers += [lambda o, op=op: query_payload.read_reply_key(o, op) for op in REPLY_KEY_OPERATIONS]
    for read in readers:
        with pytest.raises(InvalidArgument):
            read(octets)


def test_a_refusal_never_holds_a_value(query: QueryOf) -> None:
    octets = changed(query(), lambda message: setattr(message, "case_reference", "Jane Doe"))
    with pytest.raises(ElementInvalid) as caught:
        query_payload.read_query(octets)

    assert "Jane" not in repr((str(caught.value), caught.value.args, caught.value.metadata))


def test_what_is_secret_is_not_shown(query: QueryOf) -> None:
    shown = repr(query_payload.read_query(query_payload.query_bytes(query())))

    assert "FMR" not in shown
    assert "rrrr" not in shown


@pytest.mark.parametrize("operation", REPLY_KEY_OPERATIONS)
def test_a_reply_key_alone_reads_as_it_was_written(operation: Operation) -> None:
    octets = query_payload.reply_key_bytes(b"r" * 1216, operation)

    assert query_payload.read_reply_key(octets, operation) == b"r" * 1216
    for wrong, kind in ((octets + b"\x10\x01", ElementInvalid), (b"", ElementMissing)):
        with pytest.raises(kind):
            query_payload.read_reply_key(wrong, operation)


def test_a_sample_carries_the_hash_of_its_record(query: QueryOf) -> None:
    message = exchange_pb2.QueryPayload.FromString(query_payload.query_bytes(query()))

    for sample in message.biometrics.samples:
        assert sample.sha256 == hashlib.sha256(sample.data).digest()
