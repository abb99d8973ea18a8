"""A bundle is ours byte for byte, or it is refused; and it needs nothing else to be checked."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auditor.source import log_of
from gateway.ledger.archive import Archive, ArchiveRefused, Held, Manifest
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.archive_writer import Writer
from gateway.ledger.errors import AuditFault
from gateway.trust.bundle import PartyBundle
from tests.patience import PATIENCE

FLIPS = 250  # bytes flipped, spread over the file; `drill tamper` does more

_BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"grpc", "numpy", "sqlalchemy", "alembic", "apsw", "sqlite3", "tuf"}:
            raise ImportError(f"{name} is not on this machine")
sys.meta_path.insert(0, Blocker())
from gateway.cli.main import app
app(sys.argv[1:], prog_name="passerelle")
"""


def verified(octets: bytes, log: Any) -> bool:
    """Return whether a file passes, as `ledger verify` would say."""
    try:
        ledger_archive = Archive(io.BytesIO(octets))
        return verify_archive(ledger_archive, log).ok
    except AuditFault:
        return False


@pytest.fixture(scope="module")
def octets(archive: Any) -> bytes:
    content: bytes = archive.bundle.read_bytes()
    return content


@pytest.fixture(scope="module")
def log(archive: Any) -> Any:
    return PartyBundle.parse((archive.home / "party.json").read_bytes()).log


def test_any_flipped_byte_is_found(octets: bytes, log: Any) -> None:
    assert verified(octets, log)
    chooser = random.Random(6)
    for _ in range(FLIPS):
        at, bit = chooser.randrange(len(octets)), 1 << chooser.randrange(8)
        spoilt = bytearray(octets)
        spoilt[at] ^= bit
        assert not verified(bytes(spoilt), log), (at, bit)


def test_any_cut_is_found(octets: bytes, log: Any) -> None:
    chooser = random.Random(7)
    cuts = [0, 1, 511, 512, len(octets) - 1, len(octets) - 512, len(octets) - 1024]
    for at in [*cuts, *(chooser.randrange(len(octets)) for _ in range(60))]:
        assert not verified(octets[:at], log), at
    assert not verified(octets + b"\0", log)
    assert not verified(octets + octets, log)


def test_a_bundle_that_was_cut_off_is_said_to_be(octets: bytes) -> None:
    begins = max(at for at, _ in Archive(io.BytesIO(octets))._members.values())

    with pytest.raises(ArchiveRefused, match="cut off"):
        Archive(io.BytesIO(octets[: begins + 1]))
    with pytest.raises(ArchiveRefused, match="cut off"):
        Archive(io.BytesIO(octets[:-512]))


def mended(octets: bytes, name: str, change: Any) -> bytes:
    """Return the bundle with one member changed and its digest mended, as a forger would."""
    out = io.BytesIO()
    source = tarfile.open(fileobj=io.BytesIO(octets))  # noqa: SIM115
    path = Path(os.devnull).parent / "shm" / f"archive-{os.getpid()}"
    path = path if path.parent.is_dir() else Path(f"archive-{os.getpid()}")
    with Writer(path) as writer:
        for info in source.getmembers():
            if info.name in {"manifest.json", "SHA256"}:
                continue
            file = source.extractfile(info)
            assert file is not None
            content = file.read()
            writer.document(info.name, change(content) if info.name == name else content)
        writer.finish(Archive(io.BytesIO(octets)).manifest)
    out.write(path.read_bytes())
    path.unlink()
    return out.getvalue()


def test_a_forger_who_mends_the_digest_fails_against_the_checkpoints(
    octets: bytes, log: Any
) -> None:
    def spoil(page: bytes) -> bytes:
        return page[:40] + bytes([page[40] ^ 1]) + page[41:]

    assert verified(mended(octets, "entries/00000000", bytes), log)
    forged = mended(octets, "entries/00000000", spoil)
    report = verify_archive(Archive(io.BytesIO(forged)), log)

    assert not report.ok
    assert min(finding.index for finding in report.findings) == 0


def test_a_pair_of_entries_that_changed_places_is_found(octets: bytes, log: Any) -> None:
    held = list(Archive(io.BytesIO(octets)).held())
    held[5], held[6] = held[6], held[5]

    def swapped(_: bytes) -> bytes:
        parts = (
            part or b""
            for each in held[:256]
            for part in (each.leaf, each.ciphertext, each.sealed_dek)
        )
        return b"".join(len(part).to_bytes(2, "big") + part for part in parts)

    assert not verified(mended(octets, "entries/00000000", swapped), log)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/party.json", "agreements/../x.toml", "entries/1", "new"]
)
def test_a_member_that_no_bundle_has_is_not_even_listed(name: str) -> None:
    """Path traversal: nothing is ever extracted, and such a name refuses the file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as file:
        info = tarfile.TarInfo(name)
        info.size = 4
        file.addfile(info, io.BytesIO(b"evil"))

    with pytest.raises(ArchiveRefused):
        Archive(io.BytesIO(out.getvalue()))


@given(st.binary(max_size=4096))
def test_bytes_of_anybody_are_refused(content: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        Archive(io.BytesIO(content))


def test_what_is_not_finished_leaves_no_file(tmp_path: Path) -> None:
    def begin(name: str) -> None:
        with Writer(tmp_path / "bundle") as writer:
            writer.entries([Held(0, bytes(512))])
            writer.document(name, b"")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        begin("frontier")
    with pytest.raises(ArchiveRefused):
        begin("../bundle")

    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    with Writer(tmp_path / "bundle") as writer:
        writer.entries([Held(0, bytes(512))])
        writer.finish(Manifest("CAN", "passerelle/CAN", 0, 300, "2026-01-01T00:00:00+00:00"))

    with pytest.raises(ArchiveRefused, match="does not say what is here"):
        Archive.open(tmp_path / "bundle")


@pytest.mark.slow
def test_a_bundle_is_verified_where_nothing_is_installed(archive: Any) -> None:
    """No gRPC, no numpy, no SQL: an auditor's laptop has cryptography, protobuf and the command."""
    words = ["ledger", "verify", str(archive.bundle), "--party", str(archive.home / "party.json")]
    done = subprocess.run(
        [sys.executable, "-c", _BLOCKER, *words],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "verified" in done.stdout


def test_the_keys_in_a_bundle_are_its_own_word(archive: Any) -> None:
    with Archive.open(archive.bundle) as ledger_archive:
        assert log_of(ledger_archive).origin == ledger_archive.manifest.origin
