"""An authority is one that we could have made for its party; each test forges one that is not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from keys.certificates import TlsKey, demand_authority, issue_ca, issue_leaf
from keys.errors import CertificateFault

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
KEY, OTHER = TlsKey.from_seed(bytes(range(40))), TlsKey.from_seed(bytes(range(1, 41)))
CA = issue_ca("NZL", KEY, NOW)
BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n"


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*, signs: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, True, True, False, False)


def forged(
    *,
    subject: str = "NZL authority",
    issuer: str = "NZL authority",
    identifier: Any = None,
    constraints: Any = None,
    key_usage: Any = None,
    more: Any = (),
    key: Any = KEY.expose(),  # noqa: B008 - a key is not changed
    signer: Any = None,
    algorithm: Any = hashes.SHA256(),  # noqa: B008 - nor this
    last: datetime = NOW + timedelta(days=9),
) -> bytes:
    """Return an authority's certificate that differs in what is named."""
    public = key.public_key()
    builder = x509.CertificateBuilder(
        name(issuer), name(subject), public, 7, NOW - timedelta(days=1), last
    )
    identifier = identifier or x509.SubjectKeyIdentifier.from_public_key(public)
    builder = builder.add_extension(identifier, critical=False)
    builder = builder.add_extension(
        constraints or x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(key_usage or usage(), critical=True)
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer or key, algorithm).public_bytes(Encoding.PEM)


def test_what_we_issue_is_an_authority() -> None:
    demand_authority(CA, "NZL")
    demand_authority(forged(), "NZL")


def test_the_authority_of_one_party_is_not_that_of_another() -> None:
    with pytest.raises(CertificateFault, match="name"):
        demand_authority(CA, "AUS")


@pytest.mark.parametrize(
    ("forgery", "words"),
    [
        ({"subject": "AUS authority", "issuer": "AUS authority"}, "name"),
        ({"subject": "AUS authority"}, "cannot be read|name"),
        ({"issuer": "AUS authority"}, "cannot be read|name"),
        ({"subject": "NZL  authority", "issuer": "NZL  authority"}, "name"),
        (
            {"identifier": x509.SubjectKeyIdentifier.from_public_key(OTHER.expose().public_key())},
            "extensions",
        ),
        ({"constraints": x509.BasicConstraints(ca=True, path_length=None)}, "extensions"),
        ({"constraints": x509.BasicConstraints(ca=True, path_length=1)}, "extensions"),
        ({"constraints": x509.BasicConstraints(ca=False, path_length=None)}, "extensions"),
        ({"key_usage": usage(signs=True)}, "extensions"),
        ({"more": [x509.SubjectAlternativeName([x509.DNSName("a.org")])]}, "extensions"),
        ({"signer": OTHER.expose()}, "signed itself"),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, "P-256"),
        ({"key": ed25519.Ed25519PrivateKey.generate(), "algorithm": None}, "P-256"),
        ({"algorithm": hashes.SHA384()}, "SHA-256"),
    ],
)
def test_a_forged_authority(forgery: dict[str, Any], words: str) -> None:
    with pytest.raises(CertificateFault, match=words):
        demand_authority(forged(**forgery), "NZL")


def test_a_leaf_is_no_authority() -> None:
    leaf = issue_leaf("NZL", CA, KEY, KEY, NOW, hosts=())
    with pytest.raises(CertificateFault):
        demand_authority(leaf, "NZL")


def test_an_authority_has_one_spelling() -> None:
    """Another library may not read what ours does: all authorities are handed to TLS as one file."""
    der = x509.load_pem_x509_certificate(CA).public_bytes(Encoding.DER)
    one_line = base64.b64encode(der)
    for spelt in (BEGIN + one_line + END, CA + CA, CA + b"\n", b"\n" + CA, CA[:-1], der):
        with pytest.raises(CertificateFault):
            demand_authority(spelt, "NZL")


def test_a_signature_with_unused_bits_is_another_spelling() -> None:
    """The last bits may be called unused where they are zero; then every value of the certificate is the same."""
    accepted = 0
    for _ in range(20):
        own = TlsKey.generate()
        read = x509.load_pem_x509_certificate(issue_ca("NZL", own, NOW))
        der = bytearray(read.public_bytes(Encoding.DER))
        if read.signature[-1] & 1:
            continue
        der[-len(read.signature) - 1] = 1
        accepted += 1
        lines = base64.b64encode(der)
        body = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
        with pytest.raises(CertificateFault):
            demand_authority(BEGIN + body + END, "NZL")
    assert accepted


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, 8 * len(CA) - 1))
def test_no_flipped_bit_leaves_an_authority(bit: int) -> None:
    altered = bytearray(CA)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CertificateFault):
        demand_authority(bytes(altered), "NZL")


@given(st.integers(0, 8 * len(x509.load_pem_x509_certificate(CA).public_bytes(Encoding.DER)) - 1))
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_altered_certificate_is_an_authority(bit: int) -> None:
    der = bytearray(x509.load_pem_x509_certificate(CA).public_bytes(Encoding.DER))
    der[bit // 8] ^= 1 << bit % 8
    lines = base64.encodebytes(bytes(der)).replace(b"\n", b"")
    body = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    with pytest.raises(CertificateFault):
        demand_authority(BEGIN + body + END, "NZL")
