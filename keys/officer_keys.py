"""An officer's two keys: made on the officer's own machine, sealed there, and given to a gateway by a request.

    officer.json   both seeds, sealed under a passphrase (kek.json beside) or by a key in a token; mode 0600
    request.json   the public halves, signed by both private ones; it is what leaves the machine

One key is the officer certificate's, for TLS; the other signs what the officer proposes and approves. No token that
we know holds ML-DSA keys, so a token keeps the key that seals the seeds: they are open in memory while a command runs.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from keys import atomic_file, certificates, custody_pkcs11, signatures, strict_json
from keys.certificates import TlsKey, p256
from keys.custody import Custody, FileCustody, open_custody
from keys.errors import CertificateFault, CustodyFault, DamagedFile, MalformedKey, SignatureRefused
from keys.pae import pae
from keys.secret import handle
from keys.signatures import SigningKey, VerifyingKey

FILE = "officer.json"
KEK = "kek.json"
REQUEST = "request.json"
FORMAT = 3  # of officer.json; 1 and 2 had the seeds in clear
CLEAR = 2  # the last format in clear that had both seeds
CLEAR_MEMBERS = frozenset({"format", "seed", "approving", "badge", "authority"})  # of format 2
REQUEST_FORMAT = "passerelle/1/officer-request"
PUBLIC_BYTES = 91  # SubjectPublicKeyInfo of a P-256 key (RFC 5480)
PROOF_BYTES = (
    signatures.SIGNATURE_BYTES + 64
)  # the composite signature, then r and s of ECDSA P-256
MAX_REQUEST = 1 << 15  # bytes; a request has about 11,000

_SEALED = frozenset({"format", "person", "token", "public", "approving", "sealed"})
_REQUESTED = frozenset({"format", "person", "public", "approving", "proof"})
_SEED_LABEL = b"passerelle/1/officer"
_REQUEST_LABEL = REQUEST_FORMAT.encode("ascii")
_PERSON = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SCALAR = 32  # bytes of r and of s
_PRIVATE_NAMES = frozenset({FILE, "asked.json"})  # the second is of formats before 3
_SNIFFED = 1 << 16  # bytes; every format of a private file is shorter


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks a certificate for.

    person      pseudonym
    public      of the TLS key, SubjectPublicKeyInfo, 91 bytes
    approving   of the key that signs proposals and approvals, 1,984 bytes
    proof       signatures by both over all of the above, 3,437 bytes: who asks holds both private halves, and asks
                as this person
    """

    person: str
    public: bytes
    approving: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    def content(self) -> bytes:
        """Return what both keys sign, and what the fingerprint is of."""
        return pae(_REQUEST_LABEL, self.person.encode("utf-8"), self.public, self.approving)

    def demand_proof(self) -> None:
        """Raise SignatureRefused unless both keys have signed this request."""
        content = self.content()
        composite, ecdsa = (
            self.proof[: signatures.SIGNATURE_BYTES],
            self.proof[signatures.SIGNATURE_BYTES :],
        )
        demand_signed(self.public, ecdsa, content)
        try:
            VerifyingKey(self.approving).verify(composite, content, signatures.OFFICER_REQUEST)
        except MalformedKey:
            raise SignatureRefused from None

    def values(self) -> dict[str, str]:
        """Return it as the arguments of an act."""
        return {
            "person": self.person,
            "public": self.public.hex(),
            "approving": self.approving.hex(),
            "proof": self.proof.hex(),
        }

    def to_bytes(self) -> bytes:
        """Return the request file."""
        return atomic_file.canonical({"format": REQUEST_FORMAT, **self.values()})

    @classmethod
    def parse(cls, octets: bytes) -> Request:
        """Read a request file and check its proof. Raises SignatureRefused for anything else."""
        try:
            said = strict_json.read(octets, MAX_REQUEST)
            if not isinstance(said, dict) or said.keys() != _REQUESTED:
                raise SignatureRefused
            made = cls(
                str(said["person"]),
                *(bytes.fromhex(str(said[name])) for name in ("public", "approving", "proof")),
            )
        except ValueError:
            raise SignatureRefused from None
        if made.to_bytes() != octets or not _PERSON.fullmatch(made.person):
            raise SignatureRefused
        made.demand_proof()
        return made


@handle
class OfficerKeys:
    """Both keys of one person, open."""

    __slots__ = ("approving", "person", "tls")

    def __init__(self, person: str, seed: bytes, approving: bytes) -> None:
        """Make the keys of their seeds, 40 and 64 bytes. Raises ValueError on length."""
        self.person = person
        self.tls = TlsKey.from_seed(seed)
        self.approving = SigningKey.from_seed(approving)

    def request(self) -> Request:
        """Return the request for a certificate."""
        bare = Request(self.person, self.tls.public, self.approving.public, b"")
        content = bare.content()
        proof = self.approving.sign(content, signatures.OFFICER_REQUEST) + signed(self.tls, content)
        return Request(self.person, bare.public, bare.approving, proof)


def make(folder: Path, person: str, custody: Custody, *, token: str = "") -> Request:
    """Draw both keys of a person, seal them into `folder`, and leave the request beside; return it.

    custody   seals; a FileCustody is that of `folder`/kek.json
    token     URI of the token that holds the key of `custody`; empty for a file

    Raises ValueError for a pseudonym that no certificate can carry.
    """
    if not _PERSON.fullmatch(person):
        raise ValueError("a pseudonym has 1 to 64 of A-Z, a-z, 0-9, dot, underline and hyphen")
    seeds = secrets.token_bytes(certificates.SEED_BYTES), secrets.token_bytes(signatures.SEED_BYTES)
    return _write(folder, person, seeds, custody, token)


def load(folder: Path, secret: Callable[[], bytes]) -> OfficerKeys:
    """Open an officer's folder with its passphrase, or the PIN of its token.

    Raises WrongPassphrase, DamagedFile, and CustodyFault where a file is absent or others may read it.
    """
    path = folder / FILE
    fields = _fields(path)
    person, token = fields.text("person"), fields.text("token")
    public, approving = fields.octets("public"), fields.octets("approving")
    custody = _custody(folder, token, secret)
    try:
        seeds = custody.unwrap(fields.octets("sealed"), _aad(person, public, approving))
        keys = OfficerKeys(
            person, seeds[: certificates.SEED_BYTES], seeds[certificates.SEED_BYTES :]
        )
    except (CustodyFault, ValueError):
        raise DamagedFile(path, "the seeds do not open", _ANEW) from None
    if (keys.tls.public, keys.approving.public) != (public, approving):
        raise DamagedFile(path, "the keys are not those that it names", _ANEW)
    return keys


def named(folder: Path) -> tuple[str, bytes]:
    """Return whose keys lie in a folder, and the public half of the TLS key; nothing is opened for it."""
    fields = _fields(folder / FILE)
    return fields.text("person"), fields.octets("public")


def format_of(folder: Path) -> int:
    """Return the format number of an officer's file; raises as `load`."""
    path = folder / FILE
    found = atomic_file.decode(path, atomic_file.read(path)).get("format")
    if type(found) is not int:
        raise DamagedFile(path, "the file is not of this version", _ANEW)
    return found


def seal(old: Path, person: str, folder: Path, custody: Custody, *, token: str = "") -> Request:
    """Write the keys of a file in clear, of format 2, sealed into `folder`; the old file stays as it is."""
    path = old / FILE
    fields = atomic_file.Fields(
        path, atomic_file.decode(path, atomic_file.read(path)), CLEAR_MEMBERS
    )
    if fields.number("format") != CLEAR:
        raise fields.fault("format")
    seeds = fields.octets("seed"), fields.octets("approving")
    try:
        return _write(folder, person, seeds, custody, token)
    except ValueError:
        raise fields.fault("seed") from None


def is_private(path: Path) -> bool:
    """Say whether a file is an officer's private one, of whatever format and under whatever name."""
    if path.name in _PRIVATE_NAMES:
        return True
    with path.open("rb") as file:
        content = file.read(_SNIFFED)
    content = content.removeprefix(b"\xef\xbb\xbf").lstrip()  # as an editor may have saved it
    sealed, seed, approving, badge = (
        f'"{name}"'.encode() in content for name in ("sealed", "seed", "approving", "badge")
    )
    return content.startswith(b"{") and ((sealed and approving) or (seed and (approving or badge)))


def signed(key: TlsKey, text: bytes) -> bytes:
    """Return ECDSA P-256 with SHA-256 over `text`: r and s, 32 bytes each."""
    r, s = decode_dss_signature(key.expose().sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_SCALAR, "big") + s.to_bytes(_SCALAR, "big")


def demand_signed(public: bytes, signature: bytes, text: bytes) -> None:
    """Raise SignatureRefused unless `signature` is that of the P-256 key `public` over `text`."""
    if len(signature) != 2 * _SCALAR:
        raise SignatureRefused
    r, s = (int.from_bytes(half, "big") for half in (signature[:_SCALAR], signature[_SCALAR:]))
    try:
        p256(public).verify(encode_dss_signature(r, s), text, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, CertificateFault):
        raise SignatureRefused from None


_ANEW = "make new keys with `passerelle staff request`, and have them added"


def _write(
    folder: Path, person: str, seeds: tuple[bytes, bytes], custody: Custody, token: str
) -> Request:
    keys = OfficerKeys(person, *seeds)
    request = keys.request()
    aad = _aad(person, request.public, request.approving)
    body: Mapping[str, object] = {
        "format": FORMAT,
        "person": person,
        "token": token,
        "public": atomic_file.text_of(request.public),
        "approving": atomic_file.text_of(request.approving),
        "sealed": atomic_file.text_of(custody.wrap(b"".join(seeds), aad)),
    }
    atomic_file.replace(folder / FILE, atomic_file.encode(body))
    atomic_file.replace(folder / REQUEST, request.to_bytes())
    return request


def _fields(path: Path) -> atomic_file.Fields:
    fields = atomic_file.Fields(path, atomic_file.decode(path, atomic_file.read(path)), _SEALED)
    if fields.number("format") != FORMAT:
        raise fields.fault("format")
    return fields


def _custody(folder: Path, token: str, secret: Callable[[], bytes]) -> Custody:
    if not token:
        return FileCustody.open(folder / KEK, secret())
    if not token.startswith(f"{custody_pkcs11.SCHEME}:"):
        raise DamagedFile(folder / FILE, "token is not what this version writes", _ANEW)
    return open_custody(token, secret)


def _aad(person: str, public: bytes, approving: bytes) -> bytes:
    return pae(_SEED_LABEL, person.encode("utf-8"), public, approving)
