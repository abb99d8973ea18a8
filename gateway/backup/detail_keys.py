"""The keys to sealed details of a backup: a file of their own, which is not kept as long as the backup.

    content   u32be(length) ‖ header ‖ for each key: index (8), length (2), the sealed key
    header    canonical JSON: format, and the SHA-256 of the manifest of the backup that they belong to

To shred a detail is to delete its key. A copy of the key in a backup would undo that for as long as the backup is kept; so
the backup has none, and this file beside it, sealed for the same recovery key, is destroyed when the next one is
made. It opens with that backup alone, which holds the periods' seeds and the data keys of its day. Who restores without
it loses what auditors read, and no entry, no record and no proof.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.backup.format import LENGTH_BYTES, PIECE, Manifest, Pieces
from gateway.store.engine import INDEX_BYTES
from gateway.store.engine import LENGTH_BYTES as KEY_LENGTH_BYTES
from keys import recovery
from keys.envelope import OpeningKey
from keys.errors import OpenRefused

FORMAT = "passerelle backup keys 1"
SUFFIX = ".keys"
MOST_HEADER = 1024  # bytes


def beside(file: Path) -> Path:
    """Return where the keys of a backup are kept."""
    return file.with_name(file.name + SUFFIX)


def content(manifest: Manifest, keys: Path) -> Iterable[bytes]:
    """Return what is sealed: whose keys these are, and the keys."""
    header = _header(manifest)
    yield len(header).to_bytes(LENGTH_BYTES, "big") + header
    with keys.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def read(file: Path, key: OpeningKey, manifest: Manifest) -> Iterator[tuple[int, bytes]]:
    """Yield index and sealed key; believe nothing before the end. Raises OpenRefused, also for another backup's."""
    with file.open("rb") as source:
        pieces = Pieces(recovery.unseal(source, key))
        length = int.from_bytes(pieces.take(LENGTH_BYTES), "big")
        if length > MOST_HEADER or pieces.take(length) != _header(manifest):
            raise OpenRefused
        last = -1
        while pieces.more():
            index = int.from_bytes(pieces.take(INDEX_BYTES), "big")
            sealed = pieces.take(int.from_bytes(pieces.take(KEY_LENGTH_BYTES), "big"))
            if index <= last or index >> 63:
                raise OpenRefused
            last = index
            yield index, sealed


def _header(manifest: Manifest) -> bytes:
    digest = hashlib.sha256(manifest.to_bytes()).hexdigest()
    return json.dumps({"format": FORMAT, "of": digest}, sort_keys=True).encode("ascii")
