"""What is held of a person, as registrars write it: one flat row, each column by its rule.

    reference        the local file number, as prints are enrolled under
    status           CITIZEN, PERMANENT_RESIDENT, FOREIGN_NATIONAL or CLAIMANT
    nationalities    all of them, with spaces between: ISO 3166-1 alpha-3, or ICAO 9303-3 (GBN …; stateless: XXA)
    persecutors      countries in which the person alleges persecution, likewise, or NONE; a claimant's must be said
    confirmed        when the status was last confirmed: ISO 8601 with its zone, to the millisecond; absent = now
    LAST_NAME …      any field that a paragraph lets out, by its code
    PHOTOGRAPH       JPEG or PNG, in base64

A row states the whole record: what is absent is not held. Reasons name the column, never its value.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from gateway import calendar_bounds
from gateway.domain.person import Datum, FieldCode, Record, Status, SubjectKind
from gateway.errors import UserError
from gateway.law import countries
from gateway.law.countries import UnknownCode
from gateway.law.legal_status import unanswered
from gateway.operations.forms import FILE_NUMBER
from gateway.wire.disclosure_payload import MAX_IMAGE, MAX_TEXT, words

KINDS = tuple(kind.name for kind in SubjectKind if kind)
STATED = ("reference", "status", "nationalities", "persecutors", "confirmed")
STANDING = frozenset({"status", "nationalities", "persecutors"})  # columns that are confirmed
LARGEST = 212_992  # bytes of all values; with paragraphs and caveats they fit into one answer, whatever is asked
UNKNOWN_COLUMN = (
    f"a column of no known name; known are {', '.join((*STATED, *FieldCode.__members__))}"
)
_DATE = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?")
_FORMS = {
    FieldCode.DATE_OF_BIRTH: (
        _DATE,
        "a date, YYYY-MM-DD; what is unknown is left out at its end, e.g. 1990-04",
    ),
}
_LISTS = {
    FieldCode.COUNTRY_OF_BIRTH: (
        countries.BIRTHPLACES,
        "a country of ISO 3166-1 alpha-3, or one that is no more, of ISO 3166-3",
    ),
    FieldCode.PASSPORT_ISSUING_COUNTRY: (
        countries.ISSUERS,
        "who issues passports, of ISO 3166-1 alpha-3 or ICAO 9303-3 section 5",
    ),
}
MOST_CODES = 10  # nationalities, or countries of persecution, of one person
_IMAGES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class BadRow(UserError):
    """A row cannot be taken; the text names the column and holds nothing of it."""


def read_row(row: Mapping[str, object], now: datetime) -> tuple[str, Record]:
    """Return the file number and the record that a row states; its version is not yet said."""
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    if len(texts) < len(row):
        raise BadRow("a column holds something else than text")
    try:
        reference = FILE_NUMBER.read("reference", texts.get("reference"))
    except UserError as fault:
        raise BadRow(str(fault)) from None
    data: dict[FieldCode, Datum] = {}
    for name, value in texts.items():
        if name in STATED or not value:
            continue
        if name not in FieldCode.__members__:
            raise BadRow(UNKNOWN_COLUMN)
        data[FieldCode[name]] = _datum(FieldCode[name], value)
    if sum(len(datum.value) for datum in data.values()) > LARGEST:
        raise BadRow(f"more than {LARGEST} bytes of data; take a smaller photograph")
    return reference, Record(status=read_status(texts, now), data=dict(sorted(data.items())))


def read_status(texts: Mapping[str, str], now: datetime) -> Status:
    """Return the status that a row, or a command, states; confirmed now where it does not say when."""
    kind = texts.get("status", "")
    if kind not in KINDS:
        raise BadRow(f"status: one of {', '.join(KINDS)}")
    nationalities = _codes(texts, "nationalities", countries.demand_nationalities)
    if not nationalities:
        raise BadRow(f"nationalities: at least one; a stateless person's is {countries.STATELESS}")
    none = texts.get("persecutors", "").strip() == countries.NONE
    persecutors = (
        frozenset[str]() if none else _codes(texts, "persecutors", countries.demand_states)
    )
    status = Status(
        kind=SubjectKind[kind],
        nationalities=nationalities,
        persecutors=persecutors,
        no_persecutor=none,
        confirmed=_moment(texts.get("confirmed", ""), now),
    )
    if unanswered(status):
        raise BadRow(
            "persecutors: a claimant's must be said, the countries or NONE (IRPR 315.4(2));"
            " `passerelle registry import` has the column"
        )
    return status


def same(held: Record, stated: Record, *, dated: bool) -> bool:
    """Return whether a row says what is held; its date counts only where the row states one."""
    status = stated.status if dated else replace(stated.status, confirmed=held.status.confirmed)
    return held.version > 0 and held.status == status and dict(held.data) == dict(stated.data)


def names(record: Record) -> tuple[str, ...]:
    """Return the names of the fields that are held."""
    return tuple(code.name for code in record.data)


def changed(held: Record, stated: Record) -> tuple[str, ...]:
    """Return the names of all that is other than it was, nationalities, persecutors and the confirmation included.

    A field is named too where it is new, or gone.
    """
    before, after = held.status, stated.status
    status = (
        ("STATUS", before.kind, after.kind),
        ("NATIONALITIES", before.nationalities, after.nationalities),
        (
            "PERSECUTORS",  # whether nobody asked, or the answer was none, is a difference to the law
            (before.persecutors, before.no_persecutor),
            (after.persecutors, after.no_persecutor),
        ),
        ("CONFIRMED", before.confirmed, after.confirmed),
    )
    codes = sorted({*held.data, *stated.data})
    return (
        *(name for name, old, new in status if old != new),
        *(code.name for code in codes if held.data.get(code) != stated.data.get(code)),
    )


def _datum(code: FieldCode, value: str) -> Datum:
    if code is FieldCode.FINGERPRINTS:
        raise BadRow("FINGERPRINTS: prints are enrolled by `passerelle gallery enrol`")
    if code is FieldCode.PHOTOGRAPH:
        return _photograph(value)
    known, what = _LISTS.get(code, (frozenset((value,)), ""))
    if value not in known:
        raise BadRow(f"{code.name}: not a code of {what}; write it as passports do, e.g. IND")
    pattern, rule = _FORMS.get(code, (None, ""))
    if pattern is not None and not pattern.fullmatch(value):
        raise BadRow(f"{code.name}: {rule}")
    octets = value.encode("utf-8", "surrogatepass")
    if len(octets) > MAX_TEXT or not words(octets):
        raise BadRow(f"{code.name}: at most {MAX_TEXT} bytes of printable text")
    return Datum(octets)


def _photograph(value: str) -> Datum:
    try:
        octets = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise BadRow("PHOTOGRAPH: not base64 of a JPEG or PNG") from None
    media = next((kind for magic, kind in _IMAGES.items() if octets.startswith(magic)), "")
    if not media:
        raise BadRow("PHOTOGRAPH: neither JPEG nor PNG")
    if len(octets) > MAX_IMAGE:
        raise BadRow(f"PHOTOGRAPH: more than {MAX_IMAGE} bytes; take a smaller one")
    return Datum(octets, media)


def _codes(
    texts: Mapping[str, str], name: str, demand: Callable[[Collection[str]], None]
) -> frozenset[str]:
    codes = texts.get(name, "").split()
    if len(codes) > MOST_CODES:
        raise BadRow(f"{name}: at most {MOST_CODES}, with spaces between")
    try:
        demand(codes)
    except UnknownCode as fault:
        raise BadRow(f"{name}: {fault}") from None
    return frozenset(codes)


def _moment(text: str, now: datetime) -> datetime:
    if not text:
        return now
    moment = calendar_bounds.read(text)
    if moment is None or moment.microsecond % 1000:
        raise BadRow(
            f"confirmed: {calendar_bounds.RULE}, to the millisecond at most and with its zone,"
            " e.g. 2026-03-01T12:00:00Z; left out, it counts as confirmed now"
        )
    if moment > now:
        raise BadRow("confirmed: in the future; write when the status was last confirmed")
    return moment
