"""Published vectors of what signs: the composite, ML-DSA, Ed25519, and ECDSA P-256 of certificates."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from keys.errors import SignatureRefused
from keys.signatures import LogKey, SigningKey, VerifyingKey, verify_ed25519, verify_mldsa44

Case = Mapping[str, object]
PRIVATE = {44: mldsa.MLDSA44PrivateKey, 65: mldsa.MLDSA65PrivateKey}
PUBLIC = {44: mldsa.MLDSA44PublicKey, 65: mldsa.MLDSA65PublicKey}


def octets(case: Case, name: str) -> bytes:
    return bytes.fromhex(str(case[name]))


def wycheproof(shared: Path, name: str) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    for group in json.loads((shared / "vectors" / "wycheproof" / name).read_bytes())["testGroups"]:
        for case in group["tests"]:
            yield group, case


@pytest.fixture(scope="module")
def composite(shared: Path) -> dict[str, dict[str, bytes]]:
    """Return the draft's cases by algorithm, `m` and `ctx` of the file beside each case's own values."""
    file = json.loads((shared / "vectors/composite-sigs/testvectors.json").read_bytes())
    names = ("pk", "sk", "s", "sWithContext")
    return {
        case["tcId"]: {
            "m": base64.b64decode(file["m"]),
            "ctx": base64.b64decode(file["ctx"]),
            **{name: base64.b64decode(case[name]) for name in names},
        }
        for case in file["tests"]
    }


def test_the_composite_verifies_with_and_without_context(
    composite: dict[str, dict[str, bytes]],
) -> None:
    """draft-ietf-lamps-pq-composite-sigs, id-MLDSA65-Ed25519-SHA512."""
    case = composite["id-MLDSA65-Ed25519-SHA512"]
    key = VerifyingKey(case["pk"])

    key.verify(case["s"], case["m"], b"")
    key.verify(case["sWithContext"], case["m"], case["ctx"])
    for signature, context in ((case["s"], case["ctx"]), (case["sWithContext"], b"")):
        with pytest.raises(SignatureRefused):
            key.verify(signature, case["m"], context)


def test_the_composite_s_two_seeds_reproduce_its_public_key(
    composite: dict[str, dict[str, bytes]],
) -> None:
    case = composite["id-MLDSA65-Ed25519-SHA512"]
    key = SigningKey.from_seed(case["sk"])

    assert key.public == case["pk"]
    VerifyingKey(case["pk"]).verify(key.sign(case["m"], case["ctx"]), case["m"], case["ctx"])


def test_no_flipped_byte_of_the_published_composite_verifies(
    composite: dict[str, dict[str, bytes]],
) -> None:
    case = composite["id-MLDSA65-Ed25519-SHA512"]
    key, signature = VerifyingKey(case["pk"]), case["sWithContext"]

    for at in range(len(signature)):
        forged = signature[:at] + bytes([signature[at] ^ 1 << at % 8]) + signature[at + 1 :]
        with pytest.raises(SignatureRefused):
            key.verify(forged, case["m"], case["ctx"])


def test_pure_ml_dsa_verifies_and_comes_from_its_seed(
    composite: dict[str, dict[str, bytes]],
) -> None:
    for size in (44, 65):
        case = composite[f"id-ML-DSA-{size}"]
        public = PRIVATE[size].from_seed_bytes(case["sk"]).public_key()
        assert public.public_bytes_raw() == case["pk"]
        public.verify(case["s"], case["m"])
        public.verify(case["sWithContext"], case["m"], case["ctx"])


@pytest.mark.parametrize(("size", "total"), [(44, 180), (65, 210)])
def test_ml_dsa_verification_agrees(shared: Path, size: int, total: int) -> None:
    """Contexts, malformed keys and malformed signatures of Wycheproof."""
    count = 0
    for group, case in wycheproof(shared, f"mldsa_{size}_verify_test.json"):
        count += 1
        context = octets(case, "ctx") if "ctx" in case else None
        try:
            key = PUBLIC[size].from_public_bytes(octets(group, "publicKey"))
            key.verify(octets(case, "sig"), octets(case, "msg"), context)
        except (InvalidSignature, ValueError):
            assert case["result"] == "invalid", case["tcId"]
        else:
            assert case["result"] == "valid", case["tcId"]
    assert count == total


def test_the_log_s_verifier_agrees_where_no_context_is_used(shared: Path) -> None:
    """The same cases through the function that checks checkpoints; it says no and never raises."""
    for group, case in wycheproof(shared, "mldsa_44_verify_test.json"):
        if case.get("ctx"):
            continue
        public, signature = octets(group, "publicKey"), octets(case, "sig")
        right = verify_mldsa44(public, signature, octets(case, "msg"))
        assert right == (case["result"] == "valid"), case["tcId"]


@pytest.mark.parametrize(("size", "total"), [(44, 86), (65, 105)])
def test_ml_dsa_keys_come_from_seeds_and_sign_what_verifies(
    shared: Path, size: int, total: int
) -> None:
    """Signing is hedged: the listed signature must verify, and so must our own; they never match."""
    count = 0
    for group, case in wycheproof(shared, f"mldsa_{size}_sign_seed_test.json"):
        count += 1
        try:
            key = PRIVATE[size].from_seed_bytes(octets(group, "privateSeed"))
            context = octets(case, "ctx") if "ctx" in case else None
            if "msg" in case:
                ours = key.sign(octets(case, "msg"), context)
            else:
                ours = key.sign_mu(octets(case, "mu"))
        except ValueError:
            assert case["result"] == "invalid", case["tcId"]
            continue
        assert case["result"] == "valid", case["tcId"]
        public = key.public_key()
        assert public.public_bytes_raw() == octets(group, "publicKey")
        for signature in (octets(case, "sig"), ours):
            if "msg" in case:
                public.verify(signature, octets(case, "msg"), context)
            else:
                public.verify_mu(signature, octets(case, "mu"))
    assert count == total


def test_ml_dsa_65_verifies_the_known_answers_of_nist(shared: Path) -> None:
    path = shared / "vectors/cryptography-vectors/kat_MLDSA_65_det_pure_every4th.rsp"
    blocks = [
        dict(line.split(" = ") for line in block.splitlines())
        for block in path.read_text("ascii").strip().split("\n\n")
    ]

    for case in blocks:
        public = mldsa.MLDSA65PrivateKey.from_seed_bytes(octets(case, "xi")).public_key()
        signed = octets(case, "sm")
        assert public.public_bytes_raw() == octets(case, "pk")
        public.verify(signed[:3309], signed[3309:], octets(case, "ctx"))
    assert len(blocks) == 25


def test_ed25519_verification_agrees(shared: Path) -> None:
    """Malleable signatures, small orders and lengths of Wycheproof, through the log's verifier."""
    count = 0
    for group, case in wycheproof(shared, "ed25519_test.json"):
        count += 1
        public = bytes.fromhex(group["publicKey"]["pk"])  # type: ignore[index]
        right = verify_ed25519(public, octets(case, "sig"), octets(case, "msg"))
        assert right == (case["result"] == "valid"), case["tcId"]
    assert count == 151


def test_a_log_key_is_the_pair_of_the_published_seeds(
    shared: Path, composite: dict[str, dict[str, bytes]]
) -> None:
    """Ed25519 of RFC 8032 section 7.1, test 2, and ML-DSA-44 of the composite file, in one seed."""
    rfc8032 = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    lattice = composite["id-ML-DSA-44"]
    key = LogKey.from_seed(rfc8032 + lattice["sk"])

    assert key.ed25519_public.hex().startswith("3d4017c3e843895a92b70aa74d1b7ebc")
    assert key.mldsa44_public == lattice["pk"]


def test_ecdsa_p256_of_certificates_agrees(shared: Path) -> None:
    count = 0
    for group, case in wycheproof(shared, "ecdsa_secp256r1_sha256_test.json"):
        count += 1
        key = load_der_public_key(octets(group, "publicKeyDer"))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            key.verify(octets(case, "sig"), octets(case, "msg"), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            assert case["result"] == "invalid", case["tcId"]
        else:
            assert case["result"] == "valid", case["tcId"]
    assert count == 484
