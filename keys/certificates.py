"""TLS certificates: issue an authority and its leaves, read a peer's, name it by its pin.

Each party is its own authority; no other vouches for it. What counts is the pin, SHA-256 of the public
key, which the partner directory lists and every call checks; the chain only gets the handshake done.
Keys are ECDSA P-256, of the types that an authority here would issue the only one that grpcio 1.85.1
accepts for a leaf (keys 9).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.errors import CertificateFault
from keys.pae import key_id
from keys.secret import handle

CA_DAYS = (
    3650  # keys 3 sets none: ten years, because a new authority needs two persons at every partner
)
LEAF_DAYS = 90  # keys 3: 30 to 90 days; the longest of these, until leaves renew themselves
BACKDATE = timedelta(
    minutes=5
)  # for a peer whose clock is slow; its messages are judged by ours anyway
SEED_BYTES = 40  # FIPS 186-5 A.2.1: 64 bits more than the order has, so the remainder shows no bias
SERIALS = 2**159  # RFC 5280 4.1.2.2: positive, at most 20 octets
PARTY_URI = "passerelle:party:"
PARTY = re.compile(r"[A-Z0-9-]{2,32}", re.ASCII)  # protocol 3, sender_id
P256_ORDER = (
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-5, SP 800-186
)

UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)

_END = b"-----END CERTIFICATE-----\n"
_AUTHORITY = x509.BasicConstraints(ca=True, path_length=0)  # it issues leaves, nothing below them


@handle
class TlsKey:
    """An ECDSA P-256 private key of an authority or a leaf; `public` is its SubjectPublicKeyInfo DER."""

    __slots__ = ("_private", "key_id", "public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        self.key_id: bytes = key_id(self.public)

    @classmethod
    def generate(cls) -> TlsKey:
        """Make a new key from the system's randomness."""
        return cls.from_seed(secrets.token_bytes(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> TlsKey:
        """Make the key of a 40-byte seed, d = seed mod (n - 1) + 1. Raises ValueError on length."""
        if len(seed) != SEED_BYTES:
            raise ValueError("a TLS key's seed has 40 bytes")
        scalar = int.from_bytes(seed, "big") % (P256_ORDER - 1) + 1
        return cls(ec.derive_private_key(scalar, ec.SECP256R1()))

    def expose(self) -> ec.EllipticCurvePrivateKey:
        """Return the library's own key object, for signing a certificate or handing TLS its PEM."""
        return self._private


def private_key_pem(key: TlsKey) -> bytes:
    """Return the PKCS8 PEM that grpc wants, unencrypted: for memory only, never for a file."""
    return key.expose().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue_ca(party: str, key: TlsKey, now: datetime, days: int = CA_DAYS) -> bytes:
    """Return the PEM of a self-signed authority that may issue leaves and nothing below them."""
    name = _name(party, "authority")
    builder = (
        draft(now, now + timedelta(days=days), key.public).subject_name(name).issuer_name(name)
    )
    builder = builder.add_extension(_AUTHORITY, critical=True)
    builder = builder.add_extension(usage(certificates=True), critical=True)
    return builder.sign(key.expose(), hashes.SHA256()).public_bytes(Encoding.PEM)


def authorities_in(pem: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a PEM file that `issue_ca` wrote one after the other."""
    return tuple(part + _END for part in pem.split(_END) if part)


def demand_authority(pem: bytes, party: str) -> None:
    """Refuse anything but a certificate that `issue_ca` could have made for `party`, in its canonical form.

    TLS finds an issuer by its name and key identifier, and gives up where two have the same: a partner whose
    authority copied another's would cut that partner off. So an authority bears its party's name and the
    identifier of its own key, and has signed itself with it; and it holds nothing that the TLS library could
    read otherwise, or not at all, for all authorities are handed over as one file.

    Raises CertificateFault, which says what is wrong.
    """
    read = parsed(pem)
    name, public = _name(party, "authority"), p256(spki(read))
    expected = {
        (False, x509.SubjectKeyIdentifier.from_public_key(public)),
        (True, _AUTHORITY),
        (True, usage(certificates=True)),
    }
    try:
        stated = [(each.critical, each.value) for each in read.extensions]
        names = {read.subject.public_bytes(), read.issuer.public_bytes()}
        lasting = read.not_valid_before_utc < read.not_valid_after_utc
        read.verify_directly_issued_by(read)
    except InvalidSignature:
        raise CertificateFault("the authority has not signed itself") from None
    except (*UNREADABLE, TypeError):
        raise CertificateFault("the authority cannot be read") from None
    if names != {name.public_bytes()}:
        raise CertificateFault("the authority does not bear its party's name")
    if len(stated) != len(expected) or set(stated) != expected:
        raise CertificateFault("the authority's extensions are not those of an authority")
    if read.version is not x509.Version.v3 or not lasting or not 0 < read.serial_number < SERIALS:
        raise CertificateFault("the authority's version, serial or dates are not of an authority")
    if read.signature_algorithm_oid != x509.SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise CertificateFault("the authority is not signed with ECDSA and SHA-256")
    # A bit string that says its last bits are unused keeps its value here, and is refused elsewhere.
    whole = read.public_bytes(Encoding.DER).endswith(b"\x00" + read.signature)
    if read.public_bytes(Encoding.PEM) != pem or not whole:
        raise CertificateFault("the authority is not one certificate in its one spelling")


def issue_leaf(
    party: str,
    ca_cert: bytes,
    ca_key: TlsKey,
    leaf_key: TlsKey,
    now: datetime,
    *,
    hosts: Sequence[str],
    days: int = LEAF_DAYS,
) -> bytes:
    """Return the PEM of a leaf for `party`, for both ends of TLS, that outlives its authority never.

    Its names: the URI passerelle:party:ID by which a peer knows the party, and each of `hosts` as an
    address or a DNS name. Raises CertificateFault when `ca_key` is not the authority's, when the
    authority has expired, for a party id outside protocol 3 and for a host that is no host name.
    """
    authority = parsed(ca_cert)
    if spki(authority) != ca_key.public:
        raise CertificateFault("the authority's certificate and its key do not belong together")
    if authority.not_valid_after_utc <= now:
        raise CertificateFault("the authority has expired; make a new one first")
    end = min(now + timedelta(days=days), authority.not_valid_after_utc)
    builder = draft(now, end, leaf_key.public)
    builder = builder.subject_name(_name(party)).issuer_name(authority.subject)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(certificates=False), True),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            False,
        ),
        (x509.SubjectAlternativeName(_names(party, hosts)), False),
        (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.expose().public_key()),
            False,
        ),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca_key.expose(), hashes.SHA256()).public_bytes(Encoding.PEM)


def pin(certificate: bytes) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo of a certificate, PEM (its first) or DER.

    The key is pinned, not the certificate: a renewed leaf of the same key keeps its pin. Raises
    CertificateFault.
    """
    return hashlib.sha256(public_of(certificate)).digest()


def public_of(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo DER of a certificate. Raises CertificateFault."""
    return spki(parsed(certificate))


def party_of(certificate: bytes) -> str:
    """Return the party that a leaf names: its one URI passerelle:party:ID. Raises CertificateFault."""
    try:
        extensions = parsed(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except UNREADABLE:
        raise CertificateFault("the certificate names no party") from None
    parties = [uri.removeprefix(PARTY_URI) for uri in uris if uri.startswith(PARTY_URI)]
    if len(parties) != 1 or not PARTY.fullmatch(parties[0]):
        raise CertificateFault("the certificate does not name exactly one party")
    return parties[0]


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Return the first and the last moment of a certificate, UTC. Raises CertificateFault."""
    read = parsed(certificate)
    return read.not_valid_before_utc, read.not_valid_after_utc


def parsed(certificate: bytes) -> x509.Certificate:
    """Return the library's certificate of PEM (its first) or DER. Raises CertificateFault.

    A serial number that is not positive breaks RFC 5280 section 4.1.2.2; the library warns today and will refuse.
    """
    try:
        if b"-----BEGIN" in certificate:
            read = x509.load_pem_x509_certificate(certificate)
        else:
            read = x509.load_der_x509_certificate(certificate)
        positive = read.serial_number > 0
    except (*UNREADABLE, CryptographyDeprecationWarning):
        raise CertificateFault("these bytes are no certificate") from None
    if not positive:
        raise CertificateFault("the certificate's serial number is not positive")
    return read


def spki(certificate: x509.Certificate) -> bytes:
    """Return the SubjectPublicKeyInfo DER of a parsed certificate. Raises CertificateFault."""
    try:
        return certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
    except UNREADABLE:
        raise CertificateFault("the certificate's key is of no known kind") from None


def p256(public_der: bytes) -> ec.EllipticCurvePublicKey:
    """Return a public key of the one kind that our certificates have. Raises CertificateFault."""
    try:
        public = load_der_public_key(public_der)
    except UNREADABLE:
        raise CertificateFault("these bytes are no public key") from None
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp256r1":
        raise CertificateFault("the key is not of the curve P-256")
    return public


def draft(now: datetime, end: datetime, public_der: bytes) -> x509.CertificateBuilder:
    """Return the beginning of a certificate: serial, key and dates. Raises CertificateFault."""
    public = p256(public_der)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .public_key(public)
        .not_valid_before((now - BACKDATE).astimezone(UTC).replace(microsecond=0))
        .not_valid_after(end.astimezone(UTC).replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def usage(*, certificates: bool) -> x509.KeyUsage:
    """Return what a key may do: sign certificates, or sign alone."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(party: str, role: str = "") -> x509.Name:
    if not PARTY.fullmatch(party):
        raise CertificateFault("a party id is 2 to 32 of A-Z, 0-9 and hyphen")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{party} {role}".strip())])


def _names(party: str, hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(PARTY_URI + party)]
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(_dns(host)))
    return names


def _dns(host: str) -> str:
    labels = host.split(".")
    label = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
    if len(host) > 253 or not all(label.fullmatch(part) for part in labels):
        raise CertificateFault("a host is an IP address or a DNS name in ASCII")
    return host
