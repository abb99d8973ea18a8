from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from keys.certificates import (
    LEAF_DAYS,
    TlsKey,
    issue_ca,
    issue_leaf,
    party_of,
    pin,
    private_key_pem,
    public_of,
    validity,
)
from keys.errors import CertificateFault
from tests.patience import CALL

NOW = datetime.now(UTC)  # TLS itself reads the clock
HOSTS = ("127.0.0.1", "::1", "localhost", "gw-1.example.org")
CA_KEY, LEAF_KEY = TlsKey.from_seed(bytes(range(40))), TlsKey.from_seed(bytes(range(1, 41)))
CA = issue_ca("CAN", CA_KEY, NOW)
LEAF = issue_leaf("CAN", CA, CA_KEY, LEAF_KEY, NOW, hosts=HOSTS)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def named(*uris: str, key: object | None = None) -> bytes:
    """Return a certificate that someone else issued, with these URIs."""
    private = key or CA_KEY.expose()
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, NOW, NOW)  # type: ignore[attr-defined]
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    algorithm = None if key else hashes.SHA256()
    return builder.sign(private, algorithm).public_bytes(Encoding.PEM)  # type: ignore[arg-type]


def test_a_leaf_names_its_party_and_hosts() -> None:
    leaf = x509.load_pem_x509_certificate(LEAF)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert party_of(LEAF) == party_of(der(LEAF)) == "CAN"
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gw-1.example.org"]
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.signature_algorithm_oid == x509.SignatureAlgorithmOID.ECDSA_WITH_SHA256


def test_a_leaf_lasts_no_longer_than_it_should() -> None:
    """keys.md 3: 30 to 90 days, and never beyond its authority."""
    begin, end = validity(LEAF)
    assert end - NOW <= timedelta(days=LEAF_DAYS) <= timedelta(days=90)
    assert NOW - begin < timedelta(minutes=6)

    short = issue_ca("CAN", CA_KEY, NOW, days=10)
    leaf = issue_leaf("CAN", short, CA_KEY, LEAF_KEY, NOW, hosts=HOSTS)
    assert validity(leaf)[1] == validity(short)[1]


@pytest.mark.parametrize("side", ["server", "client"])
def test_an_independent_verifier_accepts_the_chain(side: str) -> None:
    """The library's own path validation, by the rules of the web's public authorities."""
    policy = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(CA)])).time(NOW)
    leaf = x509.load_pem_x509_certificate(LEAF)

    if side == "server":
        assert policy.build_server_verifier(x509.DNSName("localhost")).verify(leaf, [])
    else:
        assert policy.build_client_verifier().verify(leaf, []).subjects


def test_the_pin_is_that_of_the_key_not_of_the_certificate() -> None:
    renewed = issue_leaf("CAN", CA, CA_KEY, LEAF_KEY, NOW + timedelta(days=1), hosts=())
    spki = (
        LEAF_KEY.expose().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )

    assert renewed != LEAF
    assert pin(renewed) == pin(LEAF) == pin(der(LEAF)) == hashlib.sha256(spki).digest()
    assert pin(LEAF + CA) == pin(LEAF)
    assert pin(CA) != pin(LEAF)
    assert public_of(LEAF) == LEAF_KEY.public == spki


def test_a_private_key_survives_its_pem() -> None:
    again = load_pem_private_key(private_key_pem(LEAF_KEY), None)

    assert again.private_numbers() == LEAF_KEY.expose().private_numbers()  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", [bytes(40), b"\xff" * 40])
def test_every_seed_makes_a_key_of_the_curve(seed: bytes) -> None:
    assert TlsKey.from_seed(seed).key_id == TlsKey.from_seed(seed).key_id


def test_seeds_of_another_length_make_no_key_and_fresh_keys_differ() -> None:
    with pytest.raises(ValueError, match="40 bytes"):
        TlsKey.from_seed(bytes(32))
    assert TlsKey.generate().key_id != TlsKey.generate().key_id


def test_an_authority_and_an_unknown_key_issue_nothing() -> None:
    with pytest.raises(CertificateFault, match="belong together"):
        issue_leaf("CAN", CA, LEAF_KEY, LEAF_KEY, NOW, hosts=HOSTS)


def test_an_expired_authority_issues_nothing() -> None:
    with pytest.raises(CertificateFault, match="expired"):
        issue_leaf("CAN", CA, CA_KEY, LEAF_KEY, NOW + timedelta(days=3651), hosts=HOSTS)


@pytest.mark.parametrize("party", ["", "C", "can", "CAN ", "CAN\n", "C/N", "A" * 33, "ÇAN"])
def test_a_party_outside_the_protocol_gets_no_certificate(party: str) -> None:
    with pytest.raises(CertificateFault, match="party id"):
        issue_ca(party, CA_KEY, NOW)


@pytest.mark.parametrize(
    "host", ["", "a b", "-a.org", "a..b", "*.example.org", "é.fr", "a" * 64, "a." * 130]
)
def test_a_host_that_is_no_host_gets_no_certificate(host: str) -> None:
    with pytest.raises(CertificateFault, match="host"):
        issue_leaf("CAN", CA, CA_KEY, LEAF_KEY, NOW, hosts=[host])


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("https://example.org",),
        ("passerelle:party:",),
        ("passerelle:party:can",),
        ("passerelle:party:CAN", "passerelle:party:USA"),
        ("passerelle:party:CAN/../USA",),
    ],
)
def test_a_certificate_that_does_not_name_one_party_is_refused(uris: tuple[str, ...]) -> None:
    with pytest.raises(CertificateFault):
        party_of(named(*uris))


def test_another_party_s_uri_beside_ours_of_another_scheme_is_read_right() -> None:
    assert party_of(named("https://passerelle:party:USA", "passerelle:party:CAN")) == "CAN"


def test_a_certificate_of_another_kind_of_key_is_pinned_all_the_same() -> None:
    certificate = named("passerelle:party:CAN", key=ed25519.Ed25519PrivateKey.generate())

    assert len(pin(certificate)) == 32


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_serial_number_below_zero_is_refused() -> None:
    """RFC 5280 4.1.2.2; where the library only warns of it, as in a gateway that serves, we refuse."""
    negative = der(LEAF)
    serial = x509.load_der_x509_certificate(negative).serial_number
    octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    assert negative.count(octets) == 1
    negative = negative.replace(octets, bytes([octets[0] | 0x80]) + octets[1:])

    for read in (pin, party_of, validity):
        with pytest.raises(CertificateFault):
            read(negative)


@given(st.integers(0, 8 * len(der(LEAF)) - 1))
def test_no_altered_certificate_raises_anything_else(bit: int) -> None:
    """Whatever a peer presents, reading it ends in an answer or in a CertificateFault."""
    altered = bytearray(der(LEAF))
    altered[bit // 8] ^= 1 << bit % 8
    for read in (pin, party_of, validity):
        with contextlib.suppress(CertificateFault):
            read(bytes(altered))


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_no_certificate(octets: bytes) -> None:
    for read in (pin, party_of, validity):
        for content in (octets, b"-----BEGIN CERTIFICATE-----\n" + octets):
            with pytest.raises(CertificateFault):
                read(content)


def test_grpc_shakes_hands_with_our_leaves_and_sees_the_party() -> None:
    """Mutual TLS through grpc on loopback: both ends accept, and the server reads the whole leaf."""
    seen: list[bytes] = []

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        seen.extend(context.auth_context()["x509_pem_cert"])
        return b"pong"

    handler = grpc.method_handlers_generic_handler(
        "test.Echo", {"Ping": grpc.unary_unary_rpc_method_handler(answer)}
    )
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handler])
    pair = (private_key_pem(LEAF_KEY), LEAF + CA)
    credentials = grpc.ssl_server_credentials([pair], CA, require_client_auth=True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        ours = grpc.ssl_channel_credentials(CA, *pair)
        with grpc.secure_channel(f"127.0.0.1:{port}", ours) as channel:
            assert channel.unary_unary("/test.Echo/Ping")(b"ping", timeout=CALL) == b"pong"
        bare = grpc.ssl_channel_credentials(CA)
        with grpc.secure_channel(f"127.0.0.1:{port}", bare) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary("/test.Echo/Ping")(b"ping", timeout=CALL)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None).wait()

    [certificate] = seen
    assert (party_of(certificate), pin(certificate)) == ("CAN", pin(LEAF))
