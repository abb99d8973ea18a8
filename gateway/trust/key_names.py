"""By what people name a key: its id, the pin of its TLS public key, or the serial number of its certificate; pure.

Who reads it out has what their own tools show, whole or its first digits, with colons or without, in either case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import UserError
from gateway.trust.bundle import PartyBundle
from keys import certificates
from keys.envelope import SealingKey
from keys.errors import CertificateFault, MalformedKey
from keys.key_record import KeyRecord
from keys.lifecycle import KeyKind
from keys.pae import key_id

SHORTEST: Final = 8  # hexadecimal digits that name a key, where they name no other
WHOLE: Final = 64  # digits of an id, and of a pin
_DIGITS: Final = re.compile(rf"[0-9a-f]{{{SHORTEST},{WHOLE}}}")
_SPELT: Final = re.compile(r"[\s:]|^(0x|serial=)", re.IGNORECASE)
SPELLING: Final = re.compile(r"[ -~]{1,200}")  # what is read at all


@dataclass(frozen=True, slots=True)
class Identified:
    """A key: what messages, entries and refusals know it by, what it is for, and all by which people name it.

    kid   its id; of a TLS leaf or authority its pin
    ids   hexadecimal: id, and of TLS keys pin and serial number
    """

    kid: bytes
    kind: str
    ids: tuple[str, ...]


def spelt(text: str) -> str:
    """Return the digits that somebody wrote, in lower case; raises UserError, which says how to write them."""
    digits = _SPELT.sub("", text.strip()).lower()
    if not _DIGITS.fullmatch(digits):
        raise UserError(
            f"key: {SHORTEST} to {WHOLE} hexadecimal digits of its id, of its pin or of its certificate's serial"
            " number, e.g. 3f9a01c2"
        )
    return digits


def of_bundle(bundle: PartyBundle) -> Iterator[Identified]:
    """Yield the keys of a partner's bundle."""
    for kind, keys in ((KeyKind.SIGNING, bundle.signing), (KeyKind.KEM, bundle.kem)):
        for each in keys:
            kid = key_id(each.public)
            yield Identified(kid, kind.value, (kid.hex(),))
    for pin in bundle.tls_pins:
        yield Identified(pin, KeyKind.TLS_LEAF.value, (pin.hex(),))
    for pem in certificates.authorities_in(bundle.tls_ca_pem):
        yield of_certificate(pem, KeyKind.TLS_CA)


def of_certificate(certificate: bytes, kind: KeyKind) -> Identified:
    """Return the key of a certificate that was shown; raises CertificateFault."""
    pin = certificates.pin(certificate)
    return Identified(pin, kind.value, (pin.hex(), *_beside(certificate)))


def of_record(record: KeyRecord) -> tuple[str, ...]:
    """Return all by which people name a key of ours."""
    if not record.certificate:
        return (record.kid.hex(),)
    return (
        record.kid.hex(),
        certificates.pin(record.certificate).hex(),
        serial(record.certificate),
    )


def serial(certificate: bytes) -> str:
    """Return a certificate's serial number as other tools show it: hexadecimal, whole bytes."""
    number = certificates.parsed(certificate).serial_number
    return number.to_bytes((number.bit_length() + 7) // 8, "big").hex()


def among(known: Iterable[Identified], digits: str) -> tuple[Identified, ...]:
    """Return the keys that digits name, each once: by the beginning of any of its ids."""
    found = {one.kid: one for one in known if any(each.startswith(digits) for each in one.ids)}
    return tuple(found.values())


def listed(known: Iterable[Identified]) -> str:
    """Return the keys in a line, for whoever named none of them."""
    told = {one.kid: f"{one.kind} {one.kid.hex()[:16]}" for one in known}
    return ", ".join(told.values()) or "none"


def id_of_new_key(public: bytes) -> str:
    """Return a key that is taken over, by the id under which others show it; raises UserError for none."""
    try:
        return f"key {SealingKey(public).key_id.hex()}"
    except MalformedKey:
        raise UserError("public: no key that anything could be sealed to") from None


def _beside(certificate: bytes) -> tuple[str, ...]:
    try:
        return key_id(certificates.public_of(certificate)).hex(), serial(certificate)
    except CertificateFault:
        return ()
