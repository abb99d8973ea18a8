"""Time stamps of an authority over our checkpoints (RFC 3161): asked for, and checked wherever one is found.

The message that is stamped is the text of the checkpoint: origin, size, root. What is kept is the whole answer of the
authority, with its certificates, so that it is checked years later with the authority's root alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography import x509

from gateway.ledger import timestamp_response
from gateway.ledger.entry import EntryType, Frame
from gateway.ledger.errors import AuditFault
from gateway.ledger.signed_note import LogIdentity, NoteRefused
from gateway.ledger.verify import Finding, Place, Severity

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MOST_ROOTS: Final = (
    1 << 20
)  # bytes of a file of roots; what a system trusts, all of it, has 220,000
MOST: Final = 65_536  # bytes of an answer; one with its certificates has about 6,000
SKEW: Final = timedelta(minutes=2)  # that two honest clocks may differ (protocol 4)


class StampRefused(AuditFault):
    """An answer is not a time stamp of this message by an authority that we know."""


@dataclass(frozen=True, slots=True)
class StampRequest:
    """A request as it goes out, and the nonce that the answer must repeat."""

    octets: bytes
    nonce: int


def ask(message: bytes) -> StampRequest:
    """Return a request for a stamp over SHA-256 of a message, with the authority's certificates."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    nonce = request.nonce
    if nonce is None:  # the library draws one when asked to; without it an old answer would do
        raise StampRefused("the request has no nonce")
    return StampRequest(request.as_bytes(), nonce)


def check(
    answer: bytes, message: bytes, roots: Iterable[bytes], *, nonce: int | None = None
) -> datetime:
    """Return when the authority saw the message; raises `StampRefused`.

    answer   DER of TimeStampResp
    roots    certificates, PEM, that the authority's own must lead to
    nonce    of the request, where we have just asked
    """
    from rfc3161_client import VerificationError, VerifierBuilder

    response = _decoded(answer)
    builder = VerifierBuilder(nonce=nonce)
    for certificate in certificates(roots):
        builder = builder.add_root_certificate(certificate)
    try:
        builder.build().verify_message(response, message)
    except (VerificationError, ValueError) as fault:
        raise StampRefused(_meaning(str(fault))) from None
    stated = response.tst_info.gen_time
    return stated if stated.tzinfo else stated.replace(tzinfo=UTC)


def certificates(roots: Iterable[bytes]) -> list[x509.Certificate]:
    """Return the certificates of PEM files, each once: a file put together from several names some twice.

    Raises StampRefused where a file holds none.
    """
    try:
        found = [one for pem in roots for one in x509.load_pem_x509_certificates(pem)]
    except ValueError:
        raise StampRefused(
            "the file of the authority's roots holds no certificates in PEM (-----BEGIN CERTIFICATE-----)"
        ) from None
    return list(dict.fromkeys(found))


def _meaning(fault: str) -> str:
    """Return what the library's words mean to whoever runs a gateway."""
    verified = _VERIFY.search(fault)
    if verified is not None:
        return (
            f"the authority's certificate does not lead to one of the given roots ({verified[1]}): are they this"
            " authority's? ask it for its root, PEM, and put that into the file"
        )
    if fault.startswith("Error while verifying"):
        return "the authority's signature does not hold"
    return next(
        (ours for theirs, ours in _MEANINGS.items() if fault.startswith(theirs)),
        f"it does not hold: {fault}",
    )


_VERIFY: Final = re.compile(r"Verify error: ?([A-Za-z0-9 ,'()-]{1,120})")
_MEANINGS: Final = {
    "Nonce mismatch": "it answers another question than the one we asked (nonce)",
    "Mismatch between": "it is over something else",
    "Certificates neither": "the answer holds no certificate, though we asked for it: the authority has to add its own",
    "No leaf certificate": "the answer does not hold the certificate that it was signed with",
    "The certificate does not contain": "the authority's certificate is not one for time stamps (no extended key usage)",
    "The EKU extension": "the authority's certificate is not one for time stamps alone (critical extended key usage)",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a TIMESTAMP entry says: its place, when it was written, and SHA-256 of the answer, hexadecimal."""

    index: int
    time: datetime
    digest: str


def entry_of(index: int, frame: Frame) -> Entry | None:
    """Return what a frame says of a time stamp; None for an entry of another type."""
    if frame.type is not EntryType.TIMESTAMP:
        return None
    return Entry(index, frame.time, frame.subject_reference)


@dataclass(frozen=True, slots=True)
class Beside:
    """What the ledger itself says of its stamps.

    checkpoints   the signed notes of the sizes that are stamped, where there are any
    entries       every TIMESTAMP entry that is here
    partial       whether entries before the first are not here
    """

    log: LogIdentity
    checkpoints: Mapping[int, bytes]
    entries: Sequence[Entry]
    partial: bool = False


def check_all(
    tokens: Iterable[tuple[int, bytes]], beside: Beside, roots: bytes | None
) -> Iterator[Finding]:
    """Yield what is wrong with the stamps of a ledger; raises nothing of its own.

    roots   certificates, PEM, that the authority's own must lead to; without them all but its signature is checked

    (1) an entry speaks of each answer: what the authority does not sign of it cannot be altered either
    (2) each answer is over our own checkpoint of that size
    (3) the authority signed it, no sooner than we signed the checkpoint, and before its entry was written
    (4) the answer to each entry is there
    """
    entries = {each.digest: each for each in beside.entries}
    unchecked = 0
    for size, answer in tokens:
        entry = entries.pop(sha256(answer).hexdigest(), None)
        if entry is None:  # (1)
            yield _fault(size, f"the stamp over {size} entries is not what an entry says of it")
            continue
        unchecked += roots is None
        try:
            _hold(answer, size, entry, beside, roots)
        except (StampRefused, NoteRefused) as refused:
            yield _fault(size, f"the stamp over {size} entries is refused: {refused}")
    for each in entries.values():  # (4)
        severity = Severity.NOTICE if beside.partial else Severity.FAULT
        yield Finding(severity, each.index, "the time stamp that this entry speaks of is not here")
    if unchecked:
        text = (
            f"the authority's signature on {unchecked} time stamps was not checked: name its roots"
        )
        yield Finding(Severity.NOTICE, 0, text, Place.LEDGER)


def _hold(answer: bytes, size: int, entry: Entry, beside: Beside, roots: bytes | None) -> None:
    raw = beside.checkpoints.get(size)
    if raw is None:  # (2)
        raise StampRefused("there is no checkpoint of that size")
    checkpoint, signed = beside.log.read(raw)
    text = checkpoint.format().encode()
    if roots is None:
        _demand_over(_decoded(answer), text)
        return
    at = check(answer, text, [roots])
    if datetime.fromtimestamp(signed, UTC) - at > SKEW:  # (3)
        raise StampRefused("it is older than the checkpoint")
    if at - entry.time > SKEW:
        raise StampRefused("it is newer than its entry")


def _demand_over(response: TimeStampResponse, message: bytes) -> None:
    try:
        said = response.tst_info.message_imprint.message
    except ValueError:  # a refusal has no token
        raise StampRefused("the answer is not a time stamp") from None
    if said != sha256(message).digest():
        raise StampRefused("it is over something else")


def _fault(size: int, text: str) -> Finding:
    return Finding(Severity.FAULT, size, text, Place.LEDGER)


def _decoded(answer: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    if not 0 < len(answer) <= MOST:
        raise StampRefused("the answer is empty, or larger than any time stamp")
    try:
        octets = timestamp_response.readable(answer)
    except timestamp_response.NoAnswer as fault:
        raise StampRefused(str(fault)) from None
    try:
        return decode_timestamp_response(octets)
    except ValueError as fault:
        place = ", ".join(re.findall(r'"([A-Za-z:_]{1,60})"', str(fault)))
        raise StampRefused(
            f"the time stamp is not written as RFC 3161 has it{f' (in {place})' if place else ''}"
        ) from None
