"""A gateway and an auditor with cheap passphrases: the cost of a guess is tested once, not each time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.custody import Argon2Cost, FileCustody
from keys.keyset import KeyKind, Keyset

CHEAP = Argon2Cost(64, 1, 1)


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)


@pytest.fixture(scope="session")
def cheap() -> Argon2Cost:
    return CHEAP


@pytest.fixture(scope="session")
def custody(tmp_path_factory: pytest.TempPathFactory) -> FileCustody:
    return FileCustody.create(
        tmp_path_factory.mktemp("kek") / "kek.json", b"correct horse battery", CHEAP
    )


@pytest.fixture(scope="session")
def auditor(now: datetime, custody: FileCustody) -> Keyset:
    return Keyset.create_auditor(now, "CAN", custody)


@pytest.fixture(scope="session")
def gateway(now: datetime, custody: FileCustody, auditor: Keyset) -> Keyset:
    public = auditor.primary(KeyKind.AUDIT).public
    return Keyset.create(now, "CAN", custody, audit_public=public)


@pytest.fixture
def saved(tmp_path: Path, gateway: Keyset) -> Path:
    path = tmp_path / "keys" / "keyset.json"
    gateway.save(path)
    return path
