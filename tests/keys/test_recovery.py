"""A sealed stream opens whole with its key, or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import recovery
from keys.envelope import OpeningKey, SealingKey
from keys.errors import CustodyFault, DamagedFile, MalformedKey, OpenRefused, WrongPassphrase

KEY = OpeningKey.from_seed(bytes(range(32)))
HEADER = recovery._HEADER


def sealed(content: bytes, pieces: int = 1) -> bytes:
    target = io.BytesIO()
    step = max(1, -(-len(content) // pieces))
    recovery.seal(
        (content[at : at + step] for at in range(0, len(content), step)),
        target,
        SealingKey(KEY.public),
    )
    return target.getvalue()


def opened(stream: bytes, key: OpeningKey = KEY) -> bytes:
    return b"".join(recovery.unseal(io.BytesIO(stream), key))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "CHUNK", 16)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 160])
@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_what_was_sealed_opens_whatever_its_length_and_pieces(
    small_chunks: None, size: int, pieces: int
) -> None:
    content = bytes(n % 251 for n in range(size))

    assert opened(sealed(content, pieces)) == content


@given(st.data())
def test_no_flipped_bit_opens(data: st.DataObject) -> None:
    stream = sealed(b"the gateway in one file")
    bit = data.draw(st.integers(0, 8 * len(stream) - 1))
    at = bit // 8

    with pytest.raises(OpenRefused):
        opened(stream[:at] + bytes([stream[at] ^ 1 << bit % 8]) + stream[at + 1 :])


def test_no_truncation_opens_not_even_between_two_chunks(small_chunks: None) -> None:
    stream = sealed(bytes(64))

    for size in range(len(stream)):
        with pytest.raises(OpenRefused):
            opened(stream[:size])


def test_reordered_repeated_and_dropped_chunks_do_not_open(small_chunks: None) -> None:
    stream, step = sealed(bytes(range(64))), 32
    head, body = stream[:HEADER], stream[HEADER:]
    one, two, three, four = (body[at : at + step] for at in range(0, 128, step))

    for parts in (
        (two, one, three, four),
        (one, one, two, three, four),
        (one, two, four),
        (four,),
        (one, two, three, four, four),
        (one, three, two, four),
    ):
        with pytest.raises(OpenRefused):
            opened(head + b"".join(parts))


def test_a_chunk_of_another_file_does_not_open(small_chunks: None) -> None:
    first, second = sealed(bytes(32)), sealed(bytes(32))

    with pytest.raises(OpenRefused):
        opened(first[:HEADER] + second[HEADER : HEADER + 32] + first[HEADER + 32 :])
    with pytest.raises(OpenRefused):
        opened(second[:HEADER] + first[HEADER:])


def test_another_key_opens_nothing(small_chunks: None) -> None:
    with pytest.raises(OpenRefused):
        opened(sealed(b"content"), OpeningKey.generate())


def test_two_sealings_of_one_content_are_unlike(small_chunks: None) -> None:
    assert sealed(b"content")[HEADER:] != sealed(b"content")[HEADER:]


def test_a_recovery_key_is_kept_under_its_passphrase(tmp_path: Path) -> None:
    made = recovery.create(tmp_path / "r", b"far away from here")

    assert recovery.open_key(tmp_path / "r", b"far away from here").key_id == made.key_id
    assert recovery.read_recipient(tmp_path / "r" / recovery.PUBLIC).key_id == made.key_id
    with pytest.raises(WrongPassphrase):
        recovery.open_key(tmp_path / "r", b"near to this place")
    with pytest.raises(CustodyFault):
        recovery.create(tmp_path / "r", b"again and again")


def test_a_swapped_public_half_is_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        recovery.create(tmp_path / name, b"a passphrase for tests")
    content = (tmp_path / "a" / recovery.KEY).read_bytes()
    (tmp_path / "b" / recovery.KEY).write_bytes(content)

    with pytest.raises((DamagedFile, CustodyFault)):
        recovery.open_key(tmp_path / "b", b"a passphrase for tests")
    from keys import atomic_file

    path = tmp_path / "b" / recovery.PUBLIC
    body = atomic_file.decode(path, path.read_bytes())
    atomic_file.replace(path, atomic_file.encode({**body, "kid": "00" * 32}))
    with pytest.raises(MalformedKey):
        recovery.read_recipient(path)


def test_a_file_says_for_which_key_it_is(tmp_path: Path) -> None:
    assert recovery.key_id_of(io.BytesIO(sealed(b"x"))) == KEY.key_id
    assert recovery.key_id_of(io.BytesIO(b"something else")) is None
