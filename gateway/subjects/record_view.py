"""A record as plain values: the row that would state it, and what a registrar is shown."""

from __future__ import annotations

import base64

from gateway.domain.person import TEXT, FieldCode, Record
from gateway.law import countries


def shown(record: Record) -> dict[str, object]:
    """Return a record as plain values; a photograph in base64, with its medium."""
    media = {
        code.name: datum.mime_type for code, datum in record.data.items() if datum.mime_type != TEXT
    }
    return {**as_row(record), "version": record.version, "media": media}


def as_row(record: Record) -> dict[str, object]:
    """Return a record as the row that would state it."""
    status = record.status
    confirmed = status.confirmed
    return {
        "status": status.kind.name,
        "nationalities": " ".join(sorted(status.nationalities)),
        "persecutors": countries.NONE
        if status.no_persecutor
        else " ".join(sorted(status.persecutors)),
        "confirmed": "" if confirmed is None else confirmed.isoformat(timespec="milliseconds"),
        **{code.name: _plain(record, code) for code in record.data},
    }


def _plain(record: Record, code: FieldCode) -> str:
    datum = record.data[code]
    if datum.mime_type == TEXT:
        return datum.value.decode()
    return base64.b64encode(datum.value).decode()
