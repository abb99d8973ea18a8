"""An officer's credential: the officer's own keys and the certificate that a gateway issued for them, in one folder.

    officer.json      both keys, sealed under the officer's own passphrase or by a token (keys.officer_keys)
    certificate.json  the certificate, and the authority that the gateway's own is issued by; public

The keys are made where the folder is and leave it only into the memory of a command. The certificate comes by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway import home_layout, user_files
from gateway.errors import UserError
from gateway.user_files import FileRefused
from keys import atomic_file, certificates, officer_keys, signatures
from keys.certificates import private_key_pem
from keys.custody import Custody
from keys.errors import CertificateFault, DamagedFile
from keys.officer_certificate import OfficerCertificate, read_badge
from keys.officer_keys import OfficerKeys
from keys.secret import handle

CERTIFICATE = "certificate.json"
FORMAT = "passerelle/1/officer-certificate"
MAX_CERTIFICATE = 1 << 16  # bytes; two or three certificates of about 800 each
_MEMBERS = frozenset({"format", "badge", "authority"})


@handle
class Credential:
    """What an officer shows; `key_pem` is for memory only."""

    __slots__ = ("_keys", "authority", "chain")

    def __init__(self, keys: OfficerKeys, chain: bytes, authority: bytes) -> None:
        self._keys = keys
        self.chain = chain
        self.authority = authority

    @property
    def key_pem(self) -> bytes:
        """The private key as TLS wants it."""
        return private_key_pem(self._keys.tls)

    def proposes(self, text: bytes) -> bytes:
        """Return the signature below a proposal: 3,373 bytes."""
        return self._keys.approving.sign(text, signatures.PROPOSAL)

    def answers(self, text: bytes) -> bytes:
        """Return the signature below the answer to another's proposal."""
        return self._keys.approving.sign(text, signatures.APPROVAL)

    def bearer(self, now: datetime) -> OfficerCertificate:
        """Return who the certificate says that it is; raises UserError where it is out of date or not whole."""
        try:
            return read_badge(self.chain, self.authority, now)
        except CertificateFault as fault:
            raise UserError(str(fault)) from None


def certificate_file(chain: bytes, authority: bytes) -> bytes:
    """Return the file in which a certificate goes to its person."""
    body = {
        "format": FORMAT,
        "badge": chain.decode("ascii"),
        "authority": authority.decode("ascii"),
    }
    return atomic_file.encode(body)


def install(folder: Path, file: Path, now: datetime) -> OfficerCertificate:
    """Put a certificate beside the keys that it was issued for; return what it says.

    Raises UserError where it is no certificate, for another key or person, or out of date.
    """
    try:
        octets = user_files.read(file, MAX_CERTIFICATE)
        chain, authority = _certificate(file, octets)
    except (FileRefused, DamagedFile):
        raise UserError(
            f"{file} is no certificate; take the one that an operator gave you, or have it written again:"
            " passerelle staff collect"
        ) from None
    _demand_sealed(folder)
    person, public = officer_keys.named(folder)
    try:
        said = read_badge(chain, authority, now)
        fits = certificates.public_of(chain) == public and said.person == person
    except CertificateFault as fault:
        raise UserError(f"{file}: {fault}") from None
    if not fits:
        raise UserError(
            f"{file} was issued for other keys than those in {folder}; take the one for {person}"
        )
    atomic_file.replace(folder / CERTIFICATE, octets)
    return said


def seal(old: Path, folder: Path, custody: Callable[[], Custody], token: str) -> str:
    """Write a credential whose keys lie in clear into `folder`, sealed; return whose it is. The old one stays.

    custody   makes what seals, once the old file is known to be one
    """
    path = old / officer_keys.FILE
    if not path.is_file():
        raise UserError(f"{old} holds no credential")
    fields = atomic_file.Fields(
        path, atomic_file.decode(path, atomic_file.read(path)), officer_keys.CLEAR_MEMBERS
    )
    chain, authority = fields.text("badge").encode(), fields.text("authority").encode()
    try:
        validity = certificates.validity(chain)
        person = read_badge(chain, authority, validity[0]).person
    except CertificateFault:
        raise fields.fault("badge") from None
    officer_keys.seal(old, person, folder, custody(), token=token)
    atomic_file.replace(folder / CERTIFICATE, certificate_file(chain, authority))
    return person


def read(folder: Path, secret: Callable[[], bytes]) -> Credential:
    """Open a credential; raises UserError where there is none, KeysError where it is damaged or open to others.

    secret   the officer's passphrase, or the PIN of the token

    The key and the certificate belong together, or the folder was put together from two.
    """
    demand_outside(folder)
    _demand_sealed(folder)
    path = folder / CERTIFICATE
    if not path.is_file():
        raise UserError(
            f"{folder} has keys and no certificate yet: give its {officer_keys.REQUEST} to an operator, who adds you, and"
            f" put what comes back there: passerelle staff install {folder} FILE"
        )
    chain, authority = _certificate(path, atomic_file.read(path))
    keys = officer_keys.load(folder, secret)
    try:
        same = certificates.public_of(chain) == keys.tls.public
    except CertificateFault:
        same = False
    if not same:
        raise DamagedFile(path, "it was issued for another key", "install the one for these keys")
    return Credential(keys, chain, authority)


def demand_outside(folder: Path) -> None:
    """Raise UserError for a folder in a party's: what is an officer's is not the gateway's."""
    for above in (folder.absolute(), *folder.resolve().parents):
        if (above / home_layout.SETTINGS).is_file():
            raise UserError(
                f"{folder} lies in {above}, the home directory of a party: keep your keys in a folder of your own, outside it"
            )


def _certificate(path: Path, octets: bytes) -> tuple[bytes, bytes]:
    fields = atomic_file.Fields(path, atomic_file.decode(path, octets), _MEMBERS)
    if fields.text("format") != FORMAT:
        raise fields.fault("format")
    return fields.text("badge").encode(), fields.text("authority").encode()


def _demand_sealed(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}: name the folder of the officer's own keys, not the officer;"
            " `passerelle staff request FOLDER --official P-7` makes one"
        )
    if not (folder / officer_keys.FILE).is_file():
        raise UserError(
            f"{folder} holds no officer's keys; make them on your own machine with `passerelle staff request`"
        )
    found = officer_keys.format_of(folder)
    if found == officer_keys.CLEAR:
        raise UserError(
            f"the keys in {folder} lie there in clear; seal them: passerelle staff seal {folder} NEW-FOLDER"
        )
    if found != officer_keys.FORMAT:
        raise UserError(
            f"{folder} was made by another version; make new keys with `passerelle staff request`"
        )
