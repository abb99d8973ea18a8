"""Time stamps of a true authority (OpenSSL's, on loopback) over our checkpoints: asked, kept, checked, missed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typer.testing import CliRunner

from gateway import config
from gateway.auditor.source import log_of
from gateway.cli.main import app
from gateway.errors import EvidenceOverdue, UserError
from gateway.ledger import timestamp
from gateway.ledger.archive import Archive
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.entry import EntryType, decode
from gateway.ledger.timestamp import StampRefused
from gateway.ledger.verify import Finding, Severity
from gateway.ledger_ops.timestamps import Authority
from gateway.server import self_check
from gateway.server.workers.timestamps import post
from gateway.store.ledger import stored_ledger, witness_evidence
from gateway.trust.partners import own_bundle
from tests.gateway import ledger_reading
from tests.patience import PATIENCE

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(
    OPENSSL is None, reason="openssl is not installed: no authority to ask"
)

_CONFIG = """
[ tsa ]
default_tsa = ours
[ ours ]
dir = .
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
signer_digest = sha256
"""


def certificate(
    name: str, issuer: Any = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return a new key and its certificate: an authority's own, or one for time stamping."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, by = (key, subject) if issuer is None else (issuer[0], issuer[1].subject)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return key, builder.sign(signer, hashes.SHA256())


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


class Tsa:
    """A time stamp authority in a folder, behind HTTP on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, certificate("a root of these tests")
        key, leaf = certificate("an authority of these tests", self.root)
        (folder / "ts.cnf").write_text(_CONFIG)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.pem").write_bytes(pem(leaf))
        (folder / "tsa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "roots.pem").write_bytes(pem(self.root[1]))
        self.away = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/tsa"

    @property
    def authority(self) -> Authority:
        return Authority(self.address, pem(self.root[1]), timedelta(hours=1))

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        words = ["ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "answer"]
        assert OPENSSL is not None
        subprocess.run(
            [OPENSSL, *words, "-inkey", "tsa.key", "-signer", "tsa.pem"],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
        )
        return (self.folder / "answer").read_bytes()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(tsa: Tsa) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler below has a self
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                answer = b"busy" if tsa.away else tsa.reply(query)
                self.send_response(503 if tsa.away else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        return Handler


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[Tsa]:
    (tmp_path / "tsa").mkdir()
    made = Tsa(tmp_path / "tsa")
    yield made
    made.close()


@pytest.fixture
def gateway(pair: Any, tsa: Tsa) -> Any:
    pair.gateway.evidence.timestamps._authority = tsa.authority
    settings = pair.home / "passerelle.toml"
    roots = tsa.folder / "roots.pem"
    settings.write_text(
        f'{settings.read_text()}\n[evidence]\nauthority = "{tsa.address}"\nauthority_roots = "{roots}"\n'
    )
    return pair.gateway


@needs_openssl
def test_a_checkpoint_is_stamped_recorded_and_checked(gateway: Any) -> None:
    before = datetime.now(UTC).replace(microsecond=0)

    size, at = gateway.evidence.timestamps.stamp()

    assert before <= at <= datetime.now(UTC)
    frames = [decode(leaf) for leaf in stored_ledger.iter_leaves(gateway.database)]
    assert [frame.type for frame in frames][size] is EntryType.TIMESTAMP
    report = self_check.verify_ledger(gateway.home)
    assert report.ok, report.findings


@needs_openssl
def test_every_stamp_that_is_found_is_checked(gateway: Any, tmp_path: Path) -> None:
    """Rekor dropped its stamps because nothing verified them; a stamp of another authority is a finding here."""
    gateway.evidence.timestamps.stamp()
    (tmp_path / "tsa" / "roots.pem").write_bytes(pem(certificate("another root")[1]))

    report = self_check.verify_ledger(gateway.home)

    assert not report.ok
    assert any("stamp" in finding.text for finding in report.findings)


@needs_openssl
def test_stamps_travel_in_a_bundle(gateway: Any, tsa: Tsa, tmp_path: Path) -> None:
    gateway.evidence.timestamps.stamp()
    with ledger_reading.read(gateway.home) as stored:
        stored.export(tmp_path / "bundle", since=None, reason="a test", now=datetime.now(UTC))

    with Archive.open(tmp_path / "bundle") as ledger_archive:
        log = log_of(ledger_archive)
        assert verify_archive(ledger_archive, log, roots=pem(tsa.root[1])).ok
        other = verify_archive(ledger_archive, log, roots=pem(certificate("another root")[1]))
        assert not other.ok
        unchecked = verify_archive(ledger_archive, log)
        assert unchecked.ok
        assert any("not checked" in finding.text for finding in unchecked.findings)


@needs_openssl
def test_an_authority_that_is_away_is_counted_down(gateway: Any, tsa: Tsa) -> None:
    now = gateway.clock()
    tsa.away = True
    gateway.evidence.timestamps.round()

    assert "STAMPS" in gateway.evidence.deadline.standing
    gateway.evidence.deadline.demand(now + timedelta(hours=3))
    with pytest.raises(EvidenceOverdue):
        gateway.evidence.deadline.demand(now + timedelta(hours=5))
    tsa.away = False
    gateway.evidence.timestamps.round()
    assert "STAMPS" not in gateway.evidence.deadline.standing
    before = gateway.sequencer.size
    gateway.evidence.timestamps.round()
    assert gateway.sequencer.size == before  # an hour has not passed


@needs_openssl
def test_an_old_answer_to_another_question_is_refused(tsa: Tsa) -> None:
    first, second = timestamp.ask(b"a checkpoint"), timestamp.ask(b"a checkpoint")
    answer = tsa.reply(first.octets)
    roots = [pem(tsa.root[1])]

    assert timestamp.check(answer, b"a checkpoint", roots, nonce=first.nonce).tzinfo
    with pytest.raises(StampRefused, match="nonce"):
        timestamp.check(answer, b"a checkpoint", roots, nonce=second.nonce)
    with pytest.raises(StampRefused):
        timestamp.check(answer, b"another checkpoint", roots)


@needs_openssl
def test_no_flipped_byte_of_a_stamp_moves_its_time(tsa: Tsa) -> None:
    answer = tsa.reply(timestamp.ask(b"a checkpoint").octets)
    roots = [pem(tsa.root[1])]
    stated = timestamp.check(answer, b"a checkpoint", roots)
    found = 0
    for at in range(0, len(answer), 7):
        spoilt = bytearray(answer)
        spoilt[at] ^= 1
        try:
            # What nobody signs (a status text, an unused certificate) may differ; message and time may not.
            assert timestamp.check(bytes(spoilt), b"a checkpoint", roots) == stated, at
        except StampRefused:
            found += 1
    assert found > 0


@needs_openssl
def test_who_stamps_is_asked_over_the_road(tsa: Tsa) -> None:
    asked = timestamp.ask(b"a checkpoint")

    answer = post(tsa.address, asked.octets)

    at = timestamp.check(answer, b"a checkpoint", [pem(tsa.root[1])], nonce=asked.nonce)
    assert at.tzinfo is not None
    tsa.away = True
    with pytest.raises(OSError, match="does not answer"):
        post(tsa.address, asked.octets)


def test_where_no_authority_is_configured_none_is_late(pair: Any) -> None:
    pair.gateway.evidence.timestamps.round()

    assert "STAMPS" not in pair.gateway.evidence.deadline.standing
    with pytest.raises(UserError, match="no authority is configured"):
        pair.gateway.evidence.timestamps.stamp()


def _told(gateway: Any) -> tuple[int, bytes, timestamp.Beside]:
    """Return size and answer of the only stamp, and what the ledger says beside it."""
    with gateway.database.reader() as reader:
        ((size, answer, _),) = witness_evidence.every_token(reader)
        found = witness_evidence.root_of(reader, size)
        assert found is not None
        entries = witness_evidence.stamp_entries(reader)
    return size, answer, timestamp.Beside(own_bundle(gateway.home).log, {size: found[1]}, entries)


@needs_openssl
def test_every_flipped_byte_of_a_kept_stamp_is_found_without_the_authority(
    gateway: Any, tsa: Tsa
) -> None:
    """Also those that the authority does not sign; and without its roots, which not every auditor has."""
    gateway.evidence.timestamps.stamp()
    size, answer, beside = _told(gateway)

    def faults(row: tuple[int, bytes]) -> list[Finding]:
        found = timestamp.check_all([row], beside, None)
        return [each for each in found if each.severity is Severity.FAULT]

    assert not faults((size, answer))
    for at in range(len(answer)):
        spoilt = bytearray(answer)
        spoilt[at] ^= 1
        assert faults((size, bytes(spoilt))), at
    assert faults((size + 1, answer))
    assert faults((size, answer[:-1]))
    # An entry put back in time: the authority saw the checkpoint later than the ledger says.
    (entry,) = beside.entries
    early = replace(beside, entries=[replace(entry, time=entry.time - timedelta(hours=1))])
    (found,) = timestamp.check_all([(size, answer)], early, pem(tsa.root[1]))
    assert "newer than its entry" in found.text


@needs_openssl
def test_a_stamp_that_was_dropped_or_moved_or_lost_its_checkpoint_is_found(gateway: Any) -> None:
    """Each is a finding and no crash, and the entry is named whose stamp is gone."""
    size, _ = gateway.evidence.timestamps.stamp()
    path = config.load(gateway.home).store.path
    changes = (
        ("UPDATE checkpoints SET note = x'00' WHERE size = ?", (size,)),
        ("UPDATE timestamps SET size = 1", ()),
        ("DELETE FROM timestamps", ()),
    )
    for change, values in changes:
        with closing(sqlite3.connect(path)) as rows, rows:
            rows.execute(change, values)

        report = self_check.verify_ledger(gateway.home)

        assert not report.ok
        assert any("stamp" in finding.text for finding in report.findings), change
    gone = [finding.index for finding in report.findings if "is not here" in finding.text]
    assert gone == [size]


@needs_openssl
def test_a_stamp_whose_row_names_another_entry_is_found(gateway: Any) -> None:
    gateway.evidence.timestamps.stamp()
    for bit in (0, 40):
        with closing(sqlite3.connect(config.load(gateway.home).store.path)) as rows, rows:
            rows.execute("UPDATE timestamps SET idx = idx + ?", (1 << bit,))
        report = self_check.verify_ledger(gateway.home)
        assert not report.ok
        assert any("names another entry" in finding.text for finding in report.findings)


@needs_openssl
def test_a_stamp_from_another_time_than_ours_is_refused(gateway: Any) -> None:
    before = gateway.sequencer.size
    gateway.evidence.timestamps._clock = lambda: datetime.now(UTC) - timedelta(hours=1)

    with pytest.raises(StampRefused, match="clock"):
        gateway.evidence.timestamps.stamp()
    assert gateway.sequencer.size == before


@needs_openssl
def test_a_gateway_that_was_closed_for_a_day_is_late_from_its_opening_on(
    gateway: Any, tsa: Tsa
) -> None:
    gateway.evidence.timestamps.stamp()
    tomorrow = gateway.clock() + timedelta(days=1)
    gateway.evidence.timestamps._begun, gateway.evidence.timestamps._clock = (
        tomorrow,
        lambda: tomorrow,
    )
    tsa.away = True

    gateway.evidence.timestamps.round()

    assert gateway.evidence.deadline.standing["STAMPS"] == tomorrow


@needs_openssl
def test_an_operator_has_the_ledger_stamped_by_command(
    folders: Path, tsa: Tsa, tmp_path: Path, secret: Any, let_in: Any
) -> None:
    home = tmp_path / "can"
    shutil.copytree(folders / "can", home)
    passphrase = tmp_path / "gateway.pass"
    passphrase.write_bytes(secret())
    passphrase.chmod(0o600)
    let_in(home, "P-1", ["operator"], tmp_path / "me")
    words = ["ledger", "stamp", str(home), "--as", str(tmp_path / "me"), "--json"]
    words += ["--passphrase-file", str(passphrase)]

    none = CliRunner().invoke(app, words, prog_name="passerelle")
    with (home / "passerelle.toml").open("a") as settings:
        roots = tsa.folder / "roots.pem"
        settings.write(f'\n[evidence]\nauthority = "{tsa.address}"\nauthority_roots = "{roots}"\n')
    done = CliRunner().invoke(app, words, prog_name="passerelle")
    tsa.away = True
    away = CliRunner().invoke(app, words, prog_name="passerelle")

    assert (none.exit_code, "no authority is configured" in none.output) == (2, True), none.output
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["size"] > 0
    assert (away.exit_code, "there is no time stamp" in away.output) == (2, True), away.output
    assert self_check.verify_ledger(home).ok
