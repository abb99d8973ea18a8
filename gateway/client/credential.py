"""An officer's credential: the key of a badge and the badge, in a folder of the officer's own.

    officer.json   two keys, badge, and the authority that the house's own certificate is issued by; mode 0600

One key is the badge's, for TLS; the other signs what the officer proposes and approves, and nothing else.

The keys are made where the folder is made and leave it only into the memory of a command.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gateway.errors import Remedy
from keys import certificates, durable, sign
from keys.badge import Badge, read_badge
from keys.certificates import TlsKey, private_key_pem
from keys.errors import CertificateFault
from keys.handle import handle
from keys.sign import SigningKey

FILE = "officer.json"
ASKED = "asked.json"  # keys whose badge another operator has still to approve
FORMAT = 2
_ASKED = frozenset({"format", "seed", "approving"})
_MEMBERS = frozenset({"format", "seed", "approving", "badge", "authority"})


@handle
class Credential:
    """What an officer shows; `key_pem` is for memory only."""

    __slots__ = ("_approving", "_key", "authority", "chain")

    def __init__(self, key: TlsKey, approving: SigningKey, chain: bytes, authority: bytes) -> None:
        self._key = key
        self._approving = approving
        self.chain = chain
        self.authority = authority

    @property
    def key_pem(self) -> bytes:
        """The private key as TLS wants it."""
        return private_key_pem(self._key)

    def proposes(self, text: bytes) -> bytes:
        """Return the signature below a proposal: 3,373 bytes."""
        return self._approving.sign(text, sign.PROPOSAL)

    def answers(self, text: bytes) -> bytes:
        """Return the signature below the answer to another's proposal."""
        return self._approving.sign(text, sign.APPROVAL)

    def bearer(self, now: datetime) -> Badge:
        """Return who the badge says that it is; raises Remedy where it is out of date or not whole."""
        try:
            return read_badge(self.chain, self.authority, now)
        except CertificateFault as fault:
            raise Remedy(str(fault)) from None


def write(folder: Path, seed: bytes, approving: bytes, chain: bytes, authority: bytes) -> None:
    """Keep a credential in `folder`, made with mode 0700; raises Remedy where one is there."""
    if (folder / FILE).exists():
        raise Remedy(f"{folder} holds a credential already; take another folder, or move it away")
    body = {
        "format": FORMAT,
        "seed": durable.text_of(seed),
        "approving": durable.text_of(approving),
        "badge": chain.decode("ascii"),
        "authority": authority.decode("ascii"),
    }
    durable.replace(folder / FILE, durable.encode(body))


def ask(folder: Path, seed: bytes, approving: bytes) -> None:
    """Keep keys whose badge is still to come, in `folder`, made with mode 0700."""
    body = {
        "format": FORMAT,
        "seed": durable.text_of(seed),
        "approving": durable.text_of(approving),
    }
    durable.replace(folder / ASKED, durable.encode(body))


def asked(folder: Path) -> tuple[bytes, bytes]:
    """Return the seeds that `ask` kept; raises Remedy where there are none, KeysError where damaged."""
    path = folder / ASKED
    if not path.is_file():
        raise Remedy(f"{folder} waits for no badge; `passerelle staff add` makes such a folder")
    fields = durable.Fields(path, durable.decode(path, durable.read(path)), _ASKED)
    if fields.number("format") != FORMAT:
        raise fields.fault("format")
    return fields.octets("seed"), fields.octets("approving")


def read(folder: Path) -> Credential:
    """Read a credential; raises Remedy where there is none, KeysError where it is damaged or open to others.

    The key and the badge belong together, or the folder was put together from two.
    """
    path = folder / FILE
    if not path.is_file():
        raise Remedy(
            f"{folder} holds no credential; an operator makes one with `passerelle staff add`"
        )
    body = durable.decode(path, durable.read(path))
    if body.get("format") == 1:
        raise Remedy(
            f"{path} was made before proposals and has no key to sign them;"
            " have an operator make another with `passerelle staff add`"
        )
    fields = durable.Fields(path, body, _MEMBERS)
    if fields.number("format") != FORMAT:
        raise fields.fault("format")
    try:
        key = TlsKey.from_seed(fields.octets("seed"))
        approving = SigningKey.from_seed(fields.octets("approving"))
        chain, authority = fields.text("badge").encode(), fields.text("authority").encode()
        same = certificates.public_of(chain) == key.public
    except (ValueError, CertificateFault):
        raise fields.fault("badge") from None
    if not same:
        raise fields.fault("badge")
    return Credential(key, approving, chain, authority)
