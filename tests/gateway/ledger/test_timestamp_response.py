"""Answers of time stamp authorities as they are in the world: read where they hold, and named where they do not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rfc3161_client import decode_timestamp_response

from gateway.ledger import timestamp, timestamp_response
from gateway.ledger.timestamp import StampRefused
from gateway.ledger.timestamp_response import NoAnswer, readable

MESSAGE = b"what the stamp of the case is not over"


@pytest.fixture
def case(shared: Path) -> Path:
    """An answer of `openssl ts -reply` whose certificates are not in the order of DER."""
    folder = shared / "cases" / "tsa_unsorted"
    if not folder.is_dir():
        pytest.skip(f"no case at {folder}")
    return folder


def refusal(status: int, *more: bytes) -> bytes:
    info = b"\x02\x01" + bytes([status]) + b"".join(more)
    info = b"\x30" + bytes([len(info)]) + info
    return b"\x30" + bytes([len(info)]) + info


def with_status(answer: bytes, status: int) -> bytes:
    """Put another status into an answer: SEQUENCE, its length in 4 bytes, SEQUENCE, INTEGER."""
    at = answer.index(b"\x02\x01\x00")
    return answer[: at + 2] + bytes([status]) + answer[at + 3 :]


def test_certificates_in_any_order_are_read(case: Path) -> None:
    """`openssl ts -verify` says OK to it; a strict reader refuses the set."""
    answer, roots = (case / "last.tsr").read_bytes(), (case / "ca.pem").read_bytes()
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        decode_timestamp_response(answer)

    token = decode_timestamp_response(readable(answer))

    assert token.tst_info.gen_time == datetime(2026, 11, 29, 22, 7, 16, tzinfo=UTC)
    assert len(token.signed_data.certificates) == 2
    # The chain and the signature hold: what is refused is the message, which we do not have.
    with pytest.raises(StampRefused, match="over something else"):
        timestamp.check(answer, MESSAGE, [roots])


def test_what_is_in_order_is_not_touched(case: Path) -> None:
    once = readable((case / "last.tsr").read_bytes())

    assert readable(once) == once


def test_a_stamp_granted_with_modifications_is_one(case: Path) -> None:
    """The status is not signed; what is stamped, and when, is."""
    answer, roots = (case / "last.tsr").read_bytes(), (case / "ca.pem").read_bytes()
    granted = with_status(answer, timestamp_response.Status.GRANTED_WITH_MODS)

    with pytest.raises(StampRefused, match="over something else"):
        timestamp.check(granted, MESSAGE, [roots])
    with pytest.raises(StampRefused, match="the authority says rejection"):
        timestamp.check(with_status(answer, timestamp_response.Status.REJECTION), MESSAGE, [roots])


def test_a_root_that_stands_in_the_file_twice_is_one(case: Path) -> None:
    answer, roots = (case / "last.tsr").read_bytes(), (case / "ca.pem").read_bytes()

    with pytest.raises(StampRefused, match="over something else"):
        timestamp.check(answer, MESSAGE, [roots + roots, roots])


def test_a_file_without_certificates_is_said_to_be_none(case: Path) -> None:
    answer = (case / "last.tsr").read_bytes()

    for roots in (b"", b"\x30\x82", b"-----BEGIN NOTHING-----"):
        with pytest.raises(StampRefused, match="no certificates in PEM"):
            timestamp.check(answer, MESSAGE, [roots])


def test_another_authoritys_roots_are_said_to_be_others(case: Path) -> None:
    answer = (case / "last.tsr").read_bytes()
    spoilt = answer[:-1] + bytes([answer[-1] ^ 1])  # the last byte of the signature
    roots = (case / "ca.pem").read_bytes()
    other = _root()

    with pytest.raises(StampRefused, match="does not lead to one of the given roots"):
        timestamp.check(answer, MESSAGE, [other])
    with pytest.raises(StampRefused, match="signature does not hold"):
        timestamp.check(spoilt, MESSAGE, [roots])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "0 bytes that begin with nothing"),
        (b"<html>404 Not Found</html>", "26 bytes that begin with 3c 68"),
        (refusal(2), "rejection and no reason"),
        (refusal(2, b"\x03\x02\x07\x80"), r"does not know the algorithm \(badAlg\)"),
        (refusal(2, b"\x03\x05\x06\x00\x00\x00\x40"), "systemFailure"),
        (refusal(2, b"\x30\x07\x0c\x05quota"), "in its words: quota"),
        (refusal(2, b"\x30\x07\x0c\x05qu\x1b[m"), r"in its words: qu \[m"),
        (refusal(3), "waiting"),
        (refusal(0), "granted the stamp, and sent none"),
        (refusal(9), "not a time stamp response"),
        (refusal(0) + b"\x00", "not a time stamp response"),
    ],
)
def test_what_is_no_stamp_says_what_it_is(answer: bytes, said: str) -> None:
    with pytest.raises(NoAnswer, match=said):
        readable(answer)


def test_no_cut_and_no_flip_of_an_answer_is_a_fault_of_ours(case: Path) -> None:
    answer = (case / "last.tsr").read_bytes()

    for at in range(0, len(answer), 11):
        for spoilt in (answer[:at], answer[:at] + bytes([answer[at] ^ 0x80]) + answer[at + 1 :]):
            try:
                timestamp.check(spoilt, MESSAGE, [_ROOTS])
            except StampRefused:
                continue
            pytest.fail(f"it is over nothing of ours, and spoilt at {at}")


def _root() -> bytes:
    from datetime import timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "another root")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=9999))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


_ROOTS = _root()
