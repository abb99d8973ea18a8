"""Plain values between our own people and the gateway: JSON objects, read strictly.

One text means one thing: no name is there twice, no number is infinite or none, no text holds half a character.
What is read has a bounded size and depth before anybody looks at it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.errors import UserError
from keys import strict_json
from keys.strict_json import JsonRefused

# Bytes. What a caseworker asks with is the most: the samples of a query of the largest size class, 2,097,152 bytes, in base64.
LARGEST = 2_900_000
LARGEST_MESSAGE = LARGEST + 16_384  # bytes; with the name of the operation and what frames it
DEEPEST = 12  # containers within each other; an act's arguments need three or four


def read(octets: bytes) -> dict[str, object]:
    """Return the object that `octets` spell; raises UserError, which holds nothing of them."""
    if len(octets) > LARGEST:
        raise UserError(f"larger than {LARGEST} bytes: send it in parts")
    try:
        value = strict_json.read(octets, LARGEST, DEEPEST)
    except JsonRefused as fault:
        raise UserError(
            f"not one JSON object in UTF-8, each name once and each number finite: {fault}"
        ) from None
    if not isinstance(value, dict):
        raise UserError("a JSON object is expected, with a name for each argument")
    _look(value)
    return value


def write(values: Mapping[str, object]) -> bytes:
    """Return the JSON of plain values; raises UserError where they are too many, TypeError where not plain."""
    octets = json.dumps(values, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    if len(octets) > LARGEST:
        raise UserError(f"larger than {LARGEST} bytes: ask for less at once")
    return octets


def _look(value: object) -> None:
    """Refuse a text that is not of whole characters."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _look(name)
            _look(inner)
    elif isinstance(value, list):
        for inner in value:
            _look(inner)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError("a text holds half a character") from None
