"""What the tests of the law are about: the packaged agreements, one of them as text, and people of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.messages import (
    Biometrics,
    Header,
    MessageType,
    Modality,
    Operation,
    PriorTransaction,
    Purpose,
    Query,
    RecordFormat,
    Sample,
)
from gateway.domain.person import DetailsRequest, FieldCode, Status, SubjectKind
from gateway.law.agreement import Agreement
from gateway.law.agreement_library import load_agreements, packaged

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def header(agreement: Agreement, purpose: Purpose, **changes: object) -> Header:
    plain = Header(
        message_type=MessageType.REQUEST,
        operation=Operation.SUBMIT_QUERY,
        sender=agreement.partner,
        signing_key_id=bytes(32),
        recipient=agreement.home,
        kem_key_id=bytes(32),
        message_id=bytes(16),
        create_time=NOW,
        expire_time=NOW + timedelta(minutes=5),
        directory_version=1,
        payload_commitment=bytes(32),
        transaction_number="AUS-00000001",
        agreement_id=agreement.id,
        agreement_version=agreement.version,
        purpose=purpose,
    )
    return replace(plain, **changes)


def sample(modality: Modality = Modality.FINGER, taken: datetime | None = None) -> Sample:
    return Sample(
        modality=modality,
        position=2,
        format=RecordFormat.ISO_19794_2_2005,
        extractor="x",
        data=b"FMR",
        capture_time=taken,
    )


def query(probe: Biometrics | PriorTransaction | None = None, *, claimant: bool = False) -> Query:
    return Query(
        case="c",
        unit="u",
        person="p",
        reply_key=bytes(1216),
        probe=probe or Biometrics((sample(),)),
        refugee_claimant=claimant,
    )


def details(*fields: FieldCode) -> DetailsRequest:
    return DetailsRequest(
        reply_key=bytes(1216),
        hit_reference=bytes(16),
        fields=fields,
        case="c",
        unit="u",
        person="p",
    )


def person(
    kind: SubjectKind = SubjectKind.FOREIGN_NATIONAL,
    *nationalities: str,
    persecutors: frozenset[str] = frozenset(),
    days: int = 1,
) -> Status:
    return Status(
        kind=kind,
        nationalities=frozenset(nationalities or ("SYR",)),
        persecutors=persecutors,
        no_persecutor=not persecutors,
        confirmed=NOW - timedelta(days=days),
    )


@dataclass(frozen=True)
class Bench:
    """What test modules use; they cannot import from here."""

    now: datetime
    agreements: dict[str, Agreement]
    header: Callable[..., Header]
    sample: Callable[..., Sample]
    query: Callable[..., Query]
    details: Callable[..., DetailsRequest]
    person: Callable[..., Status]


@pytest.fixture(scope="session")
def bench() -> Bench:
    agreements = {name: versions[0] for name, versions in load_agreements(packaged()).items()}
    return Bench(NOW, agreements, header, sample, query, details, person)
