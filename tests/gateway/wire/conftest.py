"""Plain nouns of the wire, one of each, for tests to change; and strategies for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.messages import (
    Biometrics,
    Header,
    MessageType,
    Missing,
    Modality,
    Operation,
    Presence,
    Purpose,
    Query,
    RecordFormat,
    Sample,
)

NOW = datetime(2026, 7, 1, 12, 30, 15, 678_000, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def header() -> Callable[..., Header]:
    def make(**changes: object) -> Header:
        plain = Header(
            message_type=MessageType.REQUEST,
            operation=Operation.SUBMIT_QUERY,
            sender="AUS",
            signing_key_id=b"s" * 32,
            recipient="CAN",
            kem_key_id=b"k" * 32,
            message_id=b"m" * 16,
            create_time=NOW,
            expire_time=NOW + timedelta(minutes=5),
            directory_version=7,
            payload_commitment=b"c" * 32,
            transaction_number="AUS-2026-00000001",
            agreement_id="au",
            agreement_version=1,
            purpose=Purpose.VISA_PERMIT_BENEFIT,
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def sample() -> Callable[..., Sample]:
    def make(**changes: object) -> Sample:
        plain = Sample(
            modality=Modality.FINGER,
            position=2,
            format=RecordFormat.ISO_19794_2_2005,
            extractor="Acme-Ridge-4.2",
            data=b"FMR\0 20\0",
            impression=1,
            capture_time=NOW - timedelta(days=1),
            width=500,
            height=600,
            ppi=500,
            quality=77,
            quality_algorithm="NFIQ2",
        )
        return replace(plain, **changes)

    return make


@pytest.fixture
def query(sample: Callable[..., Sample]) -> Callable[..., Query]:
    def make(**changes: object) -> Query:
        probe = Biometrics(
            (sample(), sample(position=7, data=b"FMR\0 20\0two")),
            (Missing(1, Presence.BANDAGED),),
        )
        plain = Query(
            case="case-1", unit="unit.7", person="officer_9", reply_key=b"r" * 1216, probe=probe
        )
        return replace(plain, **changes)

    return make
