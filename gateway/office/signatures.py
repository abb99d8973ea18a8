"""What makes an agreement file ours: it travels with Passerelle, the ledger has it, or our own key has signed it.

A signature is one line in `FILE.sig` beside the file: `passerelle/1/agreement KEY-ID SIGNATURE`. It is asked for once:
what was adopted is known by its digest from then on, so that it outlives the key that signed it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.law.agreement import Agreement, Agreements
from gateway.law.library import arranged, packaged
from gateway.law.parsing import parse
from gateway.law.reading import MalformedAgreement
from gateway.store.governance import Adopted
from keys import sign
from keys.errors import KeysError, SignatureRefused
from keys.sign import SigningKey, VerifyingKey

SUFFIX = ".sig"

_line = re.compile(r"passerelle/1/agreement ([0-9a-f]{64}) ([A-Za-z0-9+/=]{1,8192})\n?")

Keys = Callable[[bytes], VerifyingKey | None]  # our signing key of that id, if it is in use now


@dataclass(frozen=True, slots=True)
class Folder:
    """The agreements folder as it was read: files and signatures by file name."""

    files: Mapping[str, bytes]
    signatures: Mapping[str, bytes]


def signature(key: SigningKey, text: bytes) -> str:
    """Return the line that signs a file."""
    octets = base64.b64encode(key.sign(text, sign.AGREEMENT)).decode("ascii")
    return f"passerelle/1/agreement {key.key_id.hex()} {octets}\n"


def vetted(folder: Folder, keys: Keys, adopted: Mapping[str, Adopted]) -> Agreements:
    """Return the agreements of a folder, every one of which is well formed and ours.

    Raises `MalformedAgreement`, which names file and line, for the first that is not: then none is taken. A version
    that was adopted and is in no file refuses them all too.
    """
    known = {hashlib.sha256(text).hexdigest() for text in packaged().values()}
    parsed = {}
    for name, text in sorted(folder.files.items()):
        agreement = parse(text, name)
        held = adopted.get(agreement.name)
        if agreement.digest not in known and (held is None or held.digest != agreement.digest):
            _demand_signed(name, text, folder.signatures.get(name + SUFFIX), keys)
        parsed[name] = agreement
    _demand_complete(parsed, adopted)
    return arranged(parsed)


def _demand_complete(parsed: Mapping[str, Agreement], adopted: Mapping[str, Adopted]) -> None:
    """Refuse a folder without a version that the ledger has: an older one would be in force again, or none."""
    for gone in sorted(adopted.keys() - {each.name for each in parsed.values()}):
        why = "is in the ledger and in no file: put it back, and end an agreement by a version"
        raise MalformedAgreement(gone, "", 0, why)


def _demand_signed(name: str, text: bytes, line: bytes | None, keys: Keys) -> None:
    file = name + SUFFIX
    if line is None:
        raise MalformedAgreement(name, "", 1, "not signed: run `passerelle agreements sign`")
    found = _line.fullmatch(line.decode("ascii", errors="replace"))
    if found is None:
        raise MalformedAgreement(file, "", 1, "not a signature")
    key = keys(bytes.fromhex(found[1]))
    if key is None:
        raise MalformedAgreement(file, "", 1, "not by a signing key of ours that is in use")
    try:
        key.verify(base64.b64decode(found[2], validate=True), text, sign.AGREEMENT)
    except (SignatureRefused, binascii.Error, KeysError):
        raise MalformedAgreement(file, "", 1, "does not sign this file") from None
