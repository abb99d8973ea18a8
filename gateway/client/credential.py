"""An officer's credential: the key of a badge and the badge, in a folder of the officer's own.

    officer.json   key, badge, and the authority that the house's own certificate is issued by; mode 0600

The key is made where the folder is made and leaves it only into the memory of a command.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gateway.errors import Remedy
from keys import certificates, durable
from keys.badge import Badge, read_badge
from keys.certificates import TlsKey, private_key_pem
from keys.errors import CertificateFault
from keys.handle import handle

FILE = "officer.json"
FORMAT = 1
_MEMBERS = frozenset({"format", "seed", "badge", "authority"})


@handle
class Credential:
    """What an officer shows; `key_pem` is for memory only."""

    __slots__ = ("_key", "authority", "chain")

    def __init__(self, key: TlsKey, chain: bytes, authority: bytes) -> None:
        self._key = key
        self.chain = chain
        self.authority = authority

    @property
    def key_pem(self) -> bytes:
        """The private key as TLS wants it."""
        return private_key_pem(self._key)

    def bearer(self, now: datetime) -> Badge:
        """Return who the badge says that it is; raises Remedy where it is out of date or not whole."""
        try:
            return read_badge(self.chain, self.authority, now)
        except CertificateFault as fault:
            raise Remedy(str(fault)) from None


def write(folder: Path, seed: bytes, chain: bytes, authority: bytes) -> None:
    """Keep a credential in `folder`, made with mode 0700; raises Remedy where one is there."""
    if (folder / FILE).exists():
        raise Remedy(f"{folder} holds a credential already; take another folder, or move it away")
    body = {
        "format": FORMAT,
        "seed": durable.text_of(seed),
        "badge": chain.decode("ascii"),
        "authority": authority.decode("ascii"),
    }
    durable.replace(folder / FILE, durable.encode(body))


def read(folder: Path) -> Credential:
    """Read a credential; raises Remedy where there is none, KeysError where it is damaged or open to others.

    The key and the badge belong together, or the folder was put together from two.
    """
    path = folder / FILE
    if not path.is_file():
        raise Remedy(
            f"{folder} holds no credential; an operator makes one with `passerelle staff add`"
        )
    fields = durable.Fields(path, durable.decode(path, durable.read(path)), _MEMBERS)
    if fields.number("format") != FORMAT:
        raise fields.fault("format")
    try:
        key = TlsKey.from_seed(fields.octets("seed"))
        chain, authority = fields.text("badge").encode(), fields.text("authority").encode()
        same = certificates.public_of(chain) == key.public
    except (ValueError, CertificateFault):
        raise fields.fault("badge") from None
    if not same:
        raise fields.fault("badge")
    return Credential(key, chain, authority)
