"""Reads receipts from files: a leaf of the ledger and the proof that it is there, for whoever has no gateway.

{"format": …, "leaf": base64, "proof": tlog-proof@v1}, and after the format what it adds
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from gateway.domain.messages import Receipt
from gateway.ledger.proof import MAX_TEXT
from keys import strict_json

LARGEST: Final = 2 * MAX_TEXT  # bytes of a file; the proof's text, quoted, and one leaf


def read(octets: bytes, form: str, *facts: str) -> tuple[Receipt, dict[str, Any]]:
    """Read a file strictly; return the receipt and the whole document. Nothing about it is verified yet.

    Raises ValueError, which says nothing of what is wrong, for what is no file of the format with just these facts.
    """
    try:
        document = strict_json.read(octets, LARGEST)
        if not isinstance(document, dict) or document.keys() != {"format", "leaf", "proof", *facts}:
            raise ValueError  # noqa: TRY301 - one refusal for all that is not our file
        if document["format"] != form:
            raise ValueError  # noqa: TRY301
        leaf = base64.b64decode(document["leaf"], validate=True)
        return Receipt(leaf, document["proof"].encode()), document
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise ValueError("no such file") from None
