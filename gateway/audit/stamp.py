"""Time stamps of an authority over our checkpoints (RFC 3161): asked for, and checked wherever one is found.

The message that is stamped is the text of the checkpoint: origin, size, root. What is kept is the whole answer of the
authority, with its certificates, so that it is checked years later with the authority's root alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509

from gateway.audit.errors import AuditFault
from gateway.audit.verify import Finding, Place, Severity

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

MOST: Final = 65_536  # bytes of an answer; one with its certificates has about 6,000


class StampRefused(AuditFault):
    """An answer is not a time stamp of this message by an authority that we know."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it goes out, and the nonce that the answer must repeat."""

    octets: bytes
    nonce: int


def ask(message: bytes) -> Asked:
    """Return a request for a stamp over SHA-256 of a message, with the authority's certificates."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    nonce = request.nonce
    if (
        nonce is None
    ):  # the library draws one where it is told to; without it an old answer would do
        raise StampRefused("the request has no nonce")
    return Asked(request.as_bytes(), nonce)


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
    try:
        for pem in roots:
            for certificate in x509.load_pem_x509_certificates(pem):
                builder = builder.add_root_certificate(certificate)
        builder.build().verify_message(response, message)
    except (VerificationError, ValueError) as fault:
        raise StampRefused(f"the time stamp does not hold: {fault}") from None
    stated = response.tst_info.gen_time
    return stated if stated.tzinfo else stated.replace(tzinfo=UTC)


def check_all(
    tokens: Iterable[tuple[int, bytes]],
    text_of: Callable[[int], str | None],
    roots: Iterable[bytes],
    not_before: Callable[[int], datetime | None],
) -> Iterator[Finding]:
    """Yield what is wrong with the stamps of a ledger; the place is the size that each stamps.

    text_of      the text of our checkpoint of a size; None where there is none
    not_before   when our checkpoint of a size says it was signed: no honest stamp is much older
    """
    known = list(roots)
    for size, answer in tokens:
        text = text_of(size)
        if text is None:
            yield _fault(size, f"a time stamp over {size} entries, of which there is no checkpoint")
            continue
        try:
            at = check(answer, text.encode(), known)
        except StampRefused as refused:
            yield _fault(size, f"the stamp over {size} entries is refused: {refused}")
            continue
        signed = not_before(size)
        if signed is not None and (signed - at).total_seconds() > SKEW:
            yield _fault(
                size, f"the stamp over {size} entries is older than the checkpoint it stamps"
            )


SKEW: Final = 120.0  # seconds that two honest clocks may differ (protocol 4)


def _fault(size: int, text: str) -> Finding:
    return Finding(Severity.FAULT, size, text, Place.LEDGER)


def _decoded(answer: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    if not 0 < len(answer) <= MOST:
        raise StampRefused("the answer is empty, or larger than any time stamp")
    try:
        return decode_timestamp_response(answer)
    except ValueError:
        raise StampRefused("the answer is not a time stamp") from None
