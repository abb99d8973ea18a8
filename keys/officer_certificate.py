"""An officer certificate: the certificate that says which of our own people calls, and with which roles.

It is a leaf of our own authority, for the client's end of TLS alone, and names its bearer by one URI:
`passerelle:staff:PERSON:role+role`. It names no party, so no listener for partners opens to it; what it says counts
only where the staff table says the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.certificates import UNREADABLE, TlsKey, draft, p256, parsed, spki, usage
from keys.errors import CertificateFault

STAFF_URI = "passerelle:staff:"
MOST_DAYS = 90  # keys 3: leaves live 30 to 90 days; a person's roles are looked at as often
_NAME = re.compile(r"([A-Za-z0-9._-]{1,64}):([a-z]{1,32}(?:\+[a-z]{1,32})*)", re.ASCII)
_CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, slots=True)
class OfficerCertificate:
    """Who a certificate says that its bearer is; `roles` sorted, each once."""

    person: str
    roles: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The name that the certificate bears."""
        return f"{STAFF_URI}{self.person}:{'+'.join(self.roles)}"


def badge(person: str, roles: Iterable[str]) -> OfficerCertificate:
    """Return an officer certificate's content. Raises CertificateFault for a pseudonym or role that no name can carry."""
    made = OfficerCertificate(person, tuple(sorted(set(roles))))
    if not _NAME.fullmatch(made.uri.removeprefix(STAFF_URI)):
        raise CertificateFault(
            "an officer certificate names a person by pseudonym, and at least one role"
        )
    return made


def issue_badge(
    bearer: OfficerCertificate,
    ca_cert: bytes,
    ca_key: TlsKey,
    public_der: bytes,
    now: datetime,
    *,
    days: int = MOST_DAYS,
) -> bytes:
    """Return the PEM of an officer certificate for a P-256 key made elsewhere; it never outlives its authority.

    Raises CertificateFault where the authority has ended or is another's, or the key is of no known kind.
    """
    authority = parsed(ca_cert)
    if spki(authority) != ca_key.public:
        raise CertificateFault("the authority's certificate and its key do not belong together")
    if authority.not_valid_after_utc <= now:
        raise CertificateFault("the authority has expired; make a new one first")
    if not 0 < days <= MOST_DAYS:
        raise CertificateFault(f"an officer certificate lives 1 to {MOST_DAYS} days")
    end = min(now + timedelta(days=days), authority.not_valid_after_utc)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(bearer.uri)]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "staff")])
    builder = draft(now, end, public_der).subject_name(name).issuer_name(authority.subject)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(certificates=False), True),
        (_CLIENT, False),
        (x509.SubjectAlternativeName(names), False),
        (
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.expose().public_key()),
            False,
        ),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca_key.expose(), hashes.SHA256()).public_bytes(Encoding.PEM)


def read_badge(certificate: bytes, authorities: bytes, now: datetime) -> OfficerCertificate:
    """Return what a certificate says, where it is an officer certificate of one of our authorities (PEM), and in force.

    (1) it is for the client's end alone, and can issue nothing
    (2) its one name is a person's
    (3) one of our authorities has signed it
    (4) now is within its dates

    Raises CertificateFault.
    """
    read = parsed(certificate)
    try:
        extensions = read.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except UNREADABLE:
        raise CertificateFault("this certificate is no officer certificate") from None
    if basic.ca or purposes != _CLIENT:  # (1)
        raise CertificateFault("this certificate is no officer certificate")
    named = [n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)]
    found = (
        _NAME.fullmatch(named[0].removeprefix(STAFF_URI)) if len(names) == len(named) == 1 else None
    )
    if found is None or not named[0].startswith(STAFF_URI):  # (2)
        raise CertificateFault("this certificate names nobody of ours")
    p256(spki(read))
    if not any(
        _issued(read, authority) for authority in x509.load_pem_x509_certificates(authorities)
    ):
        raise CertificateFault("this officer certificate is not of our authority")  # (3)
    if not read.not_valid_before_utc <= now < read.not_valid_after_utc:  # (4)
        raise CertificateFault(
            "this officer certificate is out of date; ask an operator for a new one"
        )
    return badge(found[1], found[2].split("+"))


def _issued(read: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        read.verify_directly_issued_by(authority)
    except (*UNREADABLE, InvalidSignature, TypeError):
        return False
    return True
