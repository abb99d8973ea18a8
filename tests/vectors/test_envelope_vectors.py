"""Published vectors of what seals a payload: HPKE, X-Wing, ML-KEM-768, X25519, AES-GCM, HKDF."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM1024P384PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keys.envelope import OpeningKey, SealingKey, expand
from keys.errors import MalformedKey, OpenRefused

XWING = 0x647A
KEMS = {
    0x0010: KEM.P256,
    0x0011: KEM.P384,
    0x0012: KEM.P521,
    0x0020: KEM.X25519,
    0x0041: KEM.MLKEM768,
    0x0042: KEM.MLKEM1024,
    XWING: KEM.MLKEM768_X25519,
    0x0051: KEM.MLKEM1024_P384,
}
KDFS = {
    1: KDF.HKDF_SHA256,
    2: KDF.HKDF_SHA384,
    3: KDF.HKDF_SHA512,
    0x0010: KDF.SHAKE128,
    0x0011: KDF.SHAKE256,
}
AEADS = {1: AEAD.AES_128_GCM, 2: AEAD.AES_256_GCM, 3: AEAD.CHACHA20_POLY1305}

Case = Mapping[str, object]


def octets(case: Case, name: str) -> bytes:
    return bytes.fromhex(str(case[name]))


def wycheproof(shared: Path, name: str) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    for group in json.loads((shared / "vectors" / "wycheproof" / name).read_bytes())["testGroups"]:
        for case in group["tests"]:
            yield group, case


def private_key(kem: int, secret: bytes) -> object:
    if kem == XWING:
        return expand(secret)
    if kem == 0x0041:
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(secret)
    if kem == 0x0042:
        return mlkem.MLKEM1024PrivateKey.from_seed_bytes(secret)
    if kem == 0x0020:
        return x25519.X25519PrivateKey.from_private_bytes(secret)
    if kem == 0x0051:
        stretched = hashlib.shake_256(secret).digest(64 + 48)
        lattice = mlkem.MLKEM1024PrivateKey.from_seed_bytes(stretched[:64])
        scalar = int.from_bytes(stretched[64:], "big")
        return MLKEM1024P384PrivateKey(lattice, ec.derive_private_key(scalar, ec.SECP384R1()))
    curve = {0x0010: ec.SECP256R1(), 0x0011: ec.SECP384R1(), 0x0012: ec.SECP521R1()}[kem]
    return ec.derive_private_key(int.from_bytes(secret, "big"), curve)


def assert_opens(case: Case) -> None:
    """Open the case's first plaintext, encrypted again under its own key with empty AAD.

    All published cases carry the AAD "Count-0", which the public API cannot be given; so the vector's
    key and nonce make the ciphertext that the API should open, and the whole key schedule is tested.
    """
    first = case["encryptions"][0]  # type: ignore[index]
    aead = ChaCha20Poly1305 if case["aead_id"] == 3 else AESGCM
    key, nonce = octets(case, "key"), octets(case, "base_nonce")
    again = aead(key).encrypt(nonce, octets(first, "pt"), octets(first, "aad"))
    assert again == octets(first, "ct")

    kem = int(str(case["kem_id"]))
    suite = Suite(KEMS[kem], KDFS[int(str(case["kdf_id"]))], AEADS[int(str(case["aead_id"]))])
    sealed = octets(case, "enc") + aead(key).encrypt(nonce, octets(first, "pt"), b"")
    secret = private_key(kem, octets(case, "skRm"))
    assert suite.decrypt(sealed, secret, octets(case, "info")) == octets(first, "pt")  # type: ignore[arg-type]
    for forged, info in (
        (sealed, octets(case, "info") + b"\0"),
        (sealed[:-1], octets(case, "info")),
    ):
        with pytest.raises(InvalidTag):
            suite.decrypt(forged, secret, info)  # type: ignore[arg-type]


def test_post_quantum_hpke_opens_the_working_group_s_cases(shared: Path) -> None:
    """draft-ietf-hpke-pq: the seven of its suites that the library has; ours uses the KEM of two."""
    cases = json.loads((shared / "vectors/hpke-pq/test-vectors.json").read_bytes())
    usable = [case for case in cases if case["kem_id"] in KEMS and case["kdf_id"] in KDFS]

    for case in usable:
        assert_opens(case)
    assert [case["kem_id"] for case in usable].count(XWING) == 2
    assert len(usable) == 7


def test_classical_hpke_opens_the_cases_of_rfc_9180(shared: Path) -> None:
    folder = shared / "vectors/cryptography-vectors"
    cases = json.loads((folder / "hpke-rfc9180-base-first-message.json").read_bytes())

    for case in cases:
        assert_opens(case)
    assert len(cases) == 18


def test_our_suite_opens_its_derived_case(shared: Path) -> None:
    """X-Wing, HKDF-SHA256, AES-256-GCM, through the very key that opens envelopes."""
    path = shared / "vectors/derived/hpke-xwing-hkdf-sha256-empty-aad.json"
    [case] = [case for case in json.loads(path.read_bytes()) if case["aead_id"] == 2]
    key, info = OpeningKey.from_seed(octets(case, "skRm")), octets(case, "info")
    sealed = octets(case, "enc") + octets(case, "ct")

    assert key.public == octets(case, "pkRm")
    assert key.decrypt(sealed, info) == octets(case, "pt")
    for at in range(len(sealed)):
        with pytest.raises(OpenRefused):
            key.decrypt(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], info)
    for at in range(len(info)):
        with pytest.raises(OpenRefused):
            key.decrypt(sealed, info[:at] + bytes([info[at] ^ 1]) + info[at + 1 :])


def test_the_derived_case_s_neighbour_opens_with_chacha20(shared: Path) -> None:
    path = shared / "vectors/derived/hpke-xwing-hkdf-sha256-empty-aad.json"
    [case] = [case for case in json.loads(path.read_bytes()) if case["aead_id"] == 3]
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    sealed = octets(case, "enc") + octets(case, "ct")

    opened = suite.decrypt(sealed, expand(octets(case, "skRm")), octets(case, "info"))
    assert opened == octets(case, "pt")


def test_x_wing_expands_decapsulates_and_combines(shared: Path) -> None:
    """draft-connolly-cfrg-xwing-kem: seed, public key order, both halves, and SHA3-256 over them.

    `encapsulate()` has no deterministic entry, so the ciphertext is the published one.
    """
    cases = json.loads((shared / "vectors/xwing/test-vectors.json").read_bytes())

    for case in cases:
        key = OpeningKey.from_seed(octets(case, "sk"))
        assert key.public == octets(case, "pk")
        assert SealingKey(octets(case, "pk")).key_id == key.key_id
        expanded = hashlib.shake_256(octets(case, "sk")).digest(96)
        ciphertext = octets(case, "ct")
        lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        curve = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        share = ciphertext[1088:]
        combined = hashlib.sha3_256(
            lattice.decapsulate(ciphertext[:1088])
            + curve.exchange(x25519.X25519PublicKey.from_public_bytes(share))
            + share
            + key.public[1184:]
            + bytes.fromhex("5c2e2f2f5e5c")  # the draft's label, drawn \.//^\
        ).digest()
        assert combined == octets(case, "ss")
    assert len(cases) == 3


def test_ml_kem_768_decapsulates_as_published(shared: Path) -> None:
    """Wycheproof: implicit rejection gives the published pseudo-random secret, lengths are refused."""
    count = 0
    for _, case in wycheproof(shared, "mlkem_768_test.json"):
        count += 1
        try:
            key = mlkem.MLKEM768PrivateKey.from_seed_bytes(octets(case, "seed"))
            secret = key.decapsulate(octets(case, "c"))
        except ValueError:
            assert case["result"] == "invalid", case["tcId"]
            continue
        matches = secret == octets(case, "K")
        assert matches == (case["result"] == "valid"), case["tcId"]
    assert count == 193


def test_ml_kem_768_keys_come_from_their_seeds(shared: Path) -> None:
    for _, case in wycheproof(shared, "mlkem_768_keygen_seed_test.json"):
        key = mlkem.MLKEM768PrivateKey.from_seed_bytes(octets(case, "seed"))
        assert key.public_key().public_bytes_raw() == octets(case, "ek"), case["tcId"]


def test_malformed_ml_kem_768_public_keys_make_no_sealing_key(shared: Path) -> None:
    """Coefficients above the modulus and wrong lengths, through the class that reads partners' keys."""
    curve = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    count = 0
    for _, case in wycheproof(shared, "mlkem_768_encaps_test.json"):
        count += 1
        try:
            key = SealingKey(octets(case, "ek") + curve)
        except MalformedKey:
            assert case["result"] == "invalid", case["tcId"]
        else:
            assert case["result"] == "valid", case["tcId"]
            assert len(key.encrypt(b"", b"")) == 1136
    assert count == 265


def test_ml_kem_768_gives_the_known_answers_of_nist(shared: Path) -> None:
    path = shared / "vectors/cryptography-vectors/kat_MLKEM_768_every20th.rsp"
    blocks = [
        dict(line.split(" = ") for line in block.splitlines())
        for block in path.read_text("ascii").strip().split("\n\n")
    ]

    for case in blocks:
        key = mlkem.MLKEM768PrivateKey.from_seed_bytes(octets(case, "d") + octets(case, "z"))
        assert key.public_key().public_bytes_raw() == octets(case, "pk")
        assert key.decapsulate(octets(case, "ct")) == octets(case, "ss")
    assert len(blocks) == 50


def test_x25519_agrees_and_refuses_the_points_that_give_zero(shared: Path) -> None:
    """Acceptable to Wycheproof, not to us: a shared secret that everybody knows."""
    refused = 0
    for _, case in wycheproof(shared, "x25519_test.json"):
        key = x25519.X25519PrivateKey.from_private_bytes(octets(case, "private"))
        public = x25519.X25519PublicKey.from_public_bytes(octets(case, "public"))
        if "ZeroSharedSecret" in case["flags"]:  # type: ignore[operator]
            refused += 1
            with pytest.raises(ValueError, match="shared key"):
                key.exchange(public)
        else:
            assert key.exchange(public) == octets(case, "shared"), case["tcId"]
    assert refused == 31


def test_aes_gcm_agrees_for_the_nonces_that_we_use(shared: Path) -> None:
    """12-byte nonces and 16-byte tags; other nonce sizes are left out by rule (keys.md 2.8)."""
    count = 0
    for group, case in wycheproof(shared, "aes_gcm_test.json"):
        if (group["ivSize"], group["tagSize"]) != (96, 128):
            continue
        count += 1
        cipher, nonce, aad = AESGCM(octets(case, "key")), octets(case, "iv"), octets(case, "aad")
        sealed = octets(case, "ct") + octets(case, "tag")
        if case["result"] == "valid":
            assert cipher.decrypt(nonce, sealed, aad) == octets(case, "msg"), case["tcId"]
            assert cipher.encrypt(nonce, octets(case, "msg"), aad) == sealed, case["tcId"]
        else:
            with pytest.raises(InvalidTag):
                cipher.decrypt(nonce, sealed, aad)
    assert count == 197


def test_hkdf_sha256_agrees(shared: Path) -> None:
    count = 0
    for _, case in wycheproof(shared, "hkdf_sha256_test.json"):
        count += 1
        size = int(str(case["size"]))
        try:
            hkdf = HKDF(hashes.SHA256(), size, octets(case, "salt"), octets(case, "info"))
        except ValueError:
            assert case["result"] == "invalid", case["tcId"]
            continue
        assert hkdf.derive(octets(case, "ikm")) == octets(case, "okm"), case["tcId"]
    assert count == 86
