"""What outlives the gateway: a stream sealed for one recovery key, which is kept elsewhere.

    file    = magic ‖ key id (32) ‖ nonce prefix (7) ‖ sealed DEK (1168) ‖ chunks
    chunk   = AES-256-GCM(DEK, up to 1 MiB), nonce = prefix ‖ u32be(position) ‖ last (1 byte)
    DEK     = 32 random bytes, sealed by HPKE (suite 1) under info = PAE(label, magic, key id, prefix)

The associated data of every chunk is the SHA-256 of all that is before the first, so a chunk belongs to
one file, one place in it, and is or is not the last: flipped, cut, exchanged or repeated chunks do not open.
What was read before the fault must not be used; the reader says so by raising.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import atomic_file, envelope
from keys.custody import FileCustody
from keys.envelope import OpeningKey, SealingKey
from keys.errors import CustodyFault, DamagedFile, MalformedKey, OpenRefused
from keys.pae import pae

MAGIC = b"passerelle backup 1\n"
CHUNK = 1 << 20  # bytes of plaintext in a chunk; what is held in memory at once
TAG_BYTES = 16
PREFIX_BYTES = 7
DEK_BYTES = 32
MOST_CHUNKS = 2**32  # positions have four bytes: 4 PiB
LABEL = b"passerelle/1/backup"
SEED_LABEL = b"passerelle/1/recovery seed"

FORMAT = "passerelle recovery 1"
KEK, KEY, PUBLIC = "kek.json", "recovery.json", "recipient.json"
_NAMES = frozenset({"format", "kid", "public", "wrapped"})
_PUBLIC_NAMES = frozenset({"format", "kid", "public"})
_HEADER = len(MAGIC) + 32 + PREFIX_BYTES + DEK_BYTES + envelope.OVERHEAD


def create(folder: Path, passphrase: bytes) -> SealingKey:
    """Make a recovery key in `folder`, sealed by a passphrase; return its public half.

    Raises CustodyFault where there is one already.
    """
    custody = FileCustody.create(folder / KEK, passphrase)
    seed = secrets.token_bytes(envelope.SEED_BYTES)
    key = OpeningKey.from_seed(seed)
    said = {
        "format": FORMAT,
        "kid": key.key_id.hex(),
        "public": atomic_file.text_of(key.public),
    }
    wrapped = custody.wrap(seed, pae(SEED_LABEL, key.key_id))
    atomic_file.replace(
        folder / KEY, atomic_file.encode({**said, "wrapped": atomic_file.text_of(wrapped)})
    )
    atomic_file.replace(folder / PUBLIC, atomic_file.encode(said))
    return SealingKey(key.public)


def open_key(folder: Path, passphrase: bytes) -> OpeningKey:
    """Return the recovery key of a folder. Raises WrongPassphrase, DamagedFile, CustodyFault."""
    path = folder / KEY
    fields = atomic_file.Fields(path, atomic_file.decode(path, atomic_file.read(path)), _NAMES)
    custody = FileCustody.open(folder / KEK, passphrase)
    kid = bytes.fromhex(fields.text("kid"))
    try:
        key = OpeningKey.from_seed(custody.unwrap(fields.octets("wrapped"), pae(SEED_LABEL, kid)))
    except (CustodyFault, ValueError):
        raise DamagedFile(path, "the recovery key does not unwrap") from None
    if key.key_id != kid:
        raise DamagedFile(path, "the seed gives another key id")
    return key


def read_recipient(path: Path) -> SealingKey:
    """Return the public half that `create` wrote. Raises DamagedFile, CustodyFault, MalformedKey."""
    fields = atomic_file.Fields(
        path, atomic_file.decode(path, atomic_file.read(path)), _PUBLIC_NAMES
    )
    key = SealingKey(fields.octets("public"))
    if fields.text("format") != FORMAT or fields.text("kid") != key.key_id.hex():
        raise MalformedKey("this file names another key than it holds")
    return key


def seal(content: Iterable[bytes], target: BinaryIO, recipient: SealingKey) -> None:
    """Write `content`, in pieces of any size, sealed for `recipient`."""
    dek, prefix = secrets.token_bytes(DEK_BYTES), secrets.token_bytes(PREFIX_BYTES)
    header = MAGIC + recipient.key_id + prefix
    header += recipient.encrypt(dek, pae(LABEL, MAGIC, recipient.key_id, prefix))
    target.write(header)
    aead, aad = AESGCM(dek), hashlib.sha256(header).digest()
    for position, (chunk, last) in enumerate(_chunks(content)):
        if position >= MOST_CHUNKS:
            raise ValueError("a backup has at most 4 PiB")
        target.write(aead.encrypt(_nonce(prefix, position, last=last), chunk, aad))


def unseal(source: BinaryIO, key: OpeningKey) -> Iterator[bytes]:
    """Yield what was sealed, a chunk at a time; raises OpenRefused at the first that is not as written.

    Believe nothing of it before the last chunk came: a cut file raises only there.
    """
    header = source.read(_HEADER)
    kid = header[len(MAGIC) : len(MAGIC) + 32]
    if len(header) != _HEADER or not header.startswith(MAGIC) or kid != key.key_id:
        raise OpenRefused
    prefix = header[len(MAGIC) + 32 :][:PREFIX_BYTES]
    sealed = header[len(MAGIC) + 32 + PREFIX_BYTES :]
    dek = key.decrypt(sealed, pae(LABEL, MAGIC, kid, prefix))
    aead, aad, position = AESGCM(dek), hashlib.sha256(header).digest(), 0
    ahead = source.read(CHUNK + TAG_BYTES)
    while True:
        chunk, ahead = ahead, source.read(CHUNK + TAG_BYTES)
        nonce = _nonce(prefix, position, last=not ahead)
        try:
            yield aead.decrypt(nonce, chunk, aad)
        except (InvalidTag, ValueError):
            raise OpenRefused from None
        if not ahead:
            return
        position += 1


def key_id_of(source: BinaryIO) -> bytes | None:
    """Return for which recovery key a file was sealed, or None where it is no backup; claimed, not proved."""
    header = source.read(_HEADER)
    source.seek(0)
    if len(header) != _HEADER or not header.startswith(MAGIC):
        return None
    return header[len(MAGIC) : len(MAGIC) + 32]


def _chunks(content: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield whole chunks and whether each is the last; one at least, which may be empty."""
    held = bytearray()
    for piece in content:
        held += piece
        while len(held) > CHUNK:
            yield bytes(held[:CHUNK]), False
            del held[:CHUNK]
    yield bytes(held), True


def _nonce(prefix: bytes, position: int, *, last: bool) -> bytes:
    return prefix + position.to_bytes(4, "big") + bytes([last])
