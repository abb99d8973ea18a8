"""A house and an auditor with cheap passphrases: the cost of a guess is tested once, not each time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
    return FileCustody.create(tmp_path_factory.mktemp("kek") / "kek.json", b"correct horse", CHEAP)


@pytest.fixture(scope="session")
def auditor(now: datetime, custody: FileCustody) -> Keyset:
    return Keyset.create_auditor(now, "CAN", custody)


@pytest.fixture(scope="session")
def house(now: datetime, custody: FileCustody, auditor: Keyset) -> Keyset:
    public = auditor.primary(KeyKind.AUDIT).public
    return Keyset.create(now, "CAN", custody, audit_public=public)


@pytest.fixture
def saved(tmp_path: Path, house: Keyset) -> Path:
    path = tmp_path / "keys" / "keyset.json"
    house.save(path)
    return path


@dataclass(frozen=True)
class Tokens:
    """A SoftHSM with tokens of its own, whose only reader is this process."""

    module: Path
    folder: Path
    pin: bytes = b"1234-canary-pin"

    def uri(self, token: str, label: str) -> str:
        return f"pkcs11:token={token};object={label}?module-path={self.module}"


NAMES = ("good", "other", "removed", "fresh")


def softhsm() -> tuple[Path, str] | None:
    """Return the module and the tool: of the system, else beside the environment (deploy/softhsm.sh)."""
    roots = (Path("/"), Path(sys.prefix) / "softhsm")
    for root in roots:
        tool = root / "usr/bin/softhsm2-util"
        found = sorted((root / "usr/lib").glob("**/libsofthsm2.so")) if tool.exists() else []
        if found:
            return found[0], str(tool)
    return None


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tokens]:
    """Tokens for the tests; made before the module is loaded, which reads its folder once."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    found = softhsm()
    if found is None:
        pytest.skip("no SoftHSM 2: neither of the system nor by `sh deploy/softhsm.sh .venv`")
    module, tool = found
    home = tmp_path_factory.mktemp("softhsm")
    folder = home / "tokens"
    folder.mkdir(mode=0o700)
    settings = home / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder}\nlog.level = ERROR\n", encoding="utf-8")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    made = Tokens(module, folder)
    for name in NAMES:
        pin, words = made.pin.decode(), ["--init-token", "--free", "--label", name]
        subprocess.run(
            [tool, "--module", str(module), *words, "--pin", pin, "--so-pin", "so-pin-9"],
            check=True,
            capture_output=True,
        )
    yield made
    shutil.rmtree(folder, ignore_errors=True)
