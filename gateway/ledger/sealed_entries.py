"""Entries as they are handed to an auditor: plain values there, `OpenedEntry` here; opened with the auditor's key."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.ledger.entry import LEAF_SIZE, MalformedEntry, decode, open_detail
from gateway.ledger.exchange_history import OpenedEntry
from keys.envelope import OpeningKey, OpeningRing

MOST: Final = 8192  # characters of one value; a ciphertext of the largest class is 4,124 bytes


def hand(
    index: int, leaf: bytes, ciphertext: bytes | None, sealed_dek: bytes | None
) -> dict[str, object]:
    """Return an entry as plain values."""

    def text(octets: bytes | None) -> str | None:
        return None if octets is None else b64encode(octets).decode()

    return {
        "index": index,
        "leaf": text(leaf),
        "ciphertext": text(ciphertext),
        "sealed_dek": text(sealed_dek),
    }


def take(entries: object, key: OpeningKey | OpeningRing | None) -> list[OpenedEntry]:
    """Return entries with their details opened; without a key, and where the key is gone, facts are None.

    Raises `MalformedEntry` for anything that was not handed by `hand`, a leaf that breaks its form, and a
    detail that does not belong to its leaf.
    """
    if not isinstance(entries, list):
        raise MalformedEntry("no list of entries")
    return [_taken(each, key) for each in entries]


def opened(told: Iterable[OpenedEntry]) -> bool:
    """Return whether any detail was read."""
    return any(each.facts is not None for each in told)


def _taken(entry: object, key: OpeningKey | OpeningRing | None) -> OpenedEntry:
    if not isinstance(entry, Mapping):
        raise MalformedEntry("no entry")
    index = entry.get("index")
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise MalformedEntry("an entry without its index")
    leaf, ciphertext, sealed_dek = (
        _octets(entry.get(name)) for name in ("leaf", "ciphertext", "sealed_dek")
    )
    if leaf is None or len(leaf) != LEAF_SIZE:
        raise MalformedEntry(f"entry {index} has no leaf")
    frame = decode(leaf)
    if key is None or ciphertext is None or sealed_dek is None:
        return OpenedEntry(index, frame, None)
    return OpenedEntry(index, frame, open_detail(frame, ciphertext, sealed_dek, key))


def _octets(value: object) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MOST:
        raise MalformedEntry("a value that is no base64")
    try:
        return b64decode(value, validate=True)
    except (Error, ValueError):
        raise MalformedEntry("a value that is no base64") from None
