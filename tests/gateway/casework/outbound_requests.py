"""What a caseworker of CAN says when he asks AUS, and the record of the person whom he asks about."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from gateway.domain.messages import Sample
from gateway.domain.person import Datum, FieldCode, Record, Status, SubjectKind
from gateway.store.people import person_records, subjects

LAWFUL = {
    "partner": "AUS",
    "agreement": "au@1",
    "purpose": "VISA_PERMIT_BENEFIT",
    "case": "C-17",
    "unit": "U-3",
    "status": "FOREIGN_NATIONAL",
    "nationalities": "SYR",
}


def given(*samples: Sample) -> dict[str, object]:
    """Return samples as an officer's command gives them to the gateway."""
    return {
        "samples": [
            {
                "modality": each.modality.name,
                "position": each.position,
                "data": base64.b64encode(each.data).decode(),
                "extractor": each.extractor,
                "ppi": each.ppi,
            }
            for each in samples
        ]
    }


def record(side: Any, born: bytes, **status: Any) -> None:
    """Write another version of P-1's record."""
    gateway = side.gateway
    with gateway.database.reader() as reader:
        subject = subjects.find(reader, "P-1")
    assert subject is not None
    record = Record(
        status=replace(
            Status(
                kind=SubjectKind.FOREIGN_NATIONAL,
                nationalities=frozenset({"SYR"}),
                confirmed=side.clock.now(),
            ),
            **status,
        ),
        data={FieldCode.DATE_OF_BIRTH: Datum(born)},
        version=gateway.subjects.people.record(subject).version + 1,
    )
    written = person_records.write_record(subject, record, gateway.keys.data_key, side.clock.now())
    gateway.sequencer.commit((), (written,))
