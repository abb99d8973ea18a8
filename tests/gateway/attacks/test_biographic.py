"""No name travels: the schema of a query is a closed list (IRPR 315.38; law.md section 7, feature 1)."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.v1 import exchange_pb2

# Every leaf field that a query can carry. Whoever adds one says here why no name fits into it.
ALLOWED = {
    "reply_kem_public_key",  # 1,216 bytes, checked to be a key
    "case_reference",  # pseudonym, [A-Za-z0-9._-]{1,64}: no space, so no full name as written
    "requesting_unit",  # likewise
    "responsible_person_id",  # likewise; of the officer, not of the person asked about
    "subject_flags.refugee_claimant",  # a bit
    "biometrics.samples.modality",
    "biometrics.samples.position",
    "biometrics.samples.impression",
    "biometrics.samples.capture_time.seconds",
    "biometrics.samples.capture_time.nanos",
    "biometrics.samples.width",
    "biometrics.samples.height",
    "biometrics.samples.ppi",
    "biometrics.samples.compression",
    "biometrics.samples.quality",
    "biometrics.samples.quality_algorithm",  # of the algorithm
    "biometrics.samples.format",
    "biometrics.samples.extractor",  # of the algorithm
    "biometrics.samples.data",  # a minutiae record, read strictly; extended data of no standard is refused
    "biometrics.samples.sha256",
    "biometrics.missing.position",
    "biometrics.missing.presence",
    "prior_transaction_number",
}


def leaves(message: Descriptor, path: str = "") -> set[str]:
    found = set()
    for field in message.fields:
        here = f"{path}{field.name}"
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            found |= leaves(field.message_type, f"{here}.")
        else:
            found.add(here)
    return found


def test_a_query_has_no_field_for_a_name() -> None:
    assert leaves(exchange_pb2.QueryPayload.DESCRIPTOR) == ALLOWED
