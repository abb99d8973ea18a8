from __future__ import annotations

import json
import os
import stat
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import atomic_file
from keys.errors import CustodyFault, DamagedFile

PATH = Path("keyset.json")
BODY = {"format": "x", "keys": [{"a": 1}], "note": "é"}
CONTENT = atomic_file.encode(BODY)


def test_a_body_is_read_as_it_was_written() -> None:
    assert atomic_file.decode(PATH, CONTENT) == BODY


@given(st.integers(0, 8 * len(CONTENT) - 1))
def test_no_flipped_bit_is_read(bit: int) -> None:
    at = bit // 8
    altered = CONTENT[:at] + bytes([CONTENT[at] ^ 1 << bit % 8]) + CONTENT[at + 1 :]

    with pytest.raises(DamagedFile):
        atomic_file.decode(PATH, altered)


def test_no_truncation_is_read() -> None:
    for size in range(len(CONTENT)):
        with pytest.raises(DamagedFile, match="restore it from backup"):
            atomic_file.decode(PATH, CONTENT[:size])


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        atomic_file.decode(PATH, content)


@pytest.mark.parametrize(
    "content",
    [
        b"[]\n",
        b"{}\n",
        b"NaN\n",
        b"[" * 100_000,
        b"1" * 5000,
        json.dumps(json.loads(CONTENT)).encode(),  # the same members, spaced otherwise
        CONTENT.replace(b'"format"', b'"format": "x",\n "format"', 1),  # one name twice
    ],
)
def test_what_we_did_not_write_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        atomic_file.decode(PATH, content)


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "keyset.json"
    atomic_file.replace(path, CONTENT)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert atomic_file.read(path) == CONTENT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keyset.json"
    atomic_file.replace(path, CONTENT)
    path.chmod(mode)

    with pytest.raises(CustodyFault, match="chmod 600"):
        atomic_file.read(path)


def test_an_absent_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(CustodyFault, match="passerelle init"):
        atomic_file.read(tmp_path / "none.json")
    with pytest.raises(CustodyFault):
        atomic_file.read(tmp_path)


def test_a_file_larger_than_any_of_ours_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "keyset.json"
    atomic_file.replace(path, b" " * (atomic_file.LARGEST_FILE + 1))

    with pytest.raises(DamagedFile, match="larger"):
        atomic_file.read(path)


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keyset.json"
    atomic_file.replace(path, CONTENT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic_file.replace(path, b"new")

    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_is_on_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write, fsync, rename, fsync of the folder (keys.md 6): the order a power cut can rely on."""
    path, steps = tmp_path / "keyset.json", []
    fsync, rename = os.fsync, Path.replace

    def flush(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        steps.append("flush folder" if folder else "flush file")
        fsync(descriptor)

    def name(temporary: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(temporary, target)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(Path, "replace", name)

    atomic_file.replace(path, CONTENT)

    assert steps == ["flush file", "rename", "flush folder"]


@pytest.mark.parametrize(
    ("member", "read"),
    [
        (1, atomic_file.Fields.text),
        ("1", atomic_file.Fields.number),
        (True, atomic_file.Fields.number),
        ({}, atomic_file.Fields.members),
        ("###", atomic_file.Fields.octets),
        ("é", atomic_file.Fields.octets),
        (None, atomic_file.Fields.octets),
    ],
)
def test_a_member_of_another_type_is_refused_by_name_not_by_value(
    member: object, read: object
) -> None:
    fields = atomic_file.Fields(PATH, {"salt": member}, frozenset({"salt"}))

    assert callable(read)
    with pytest.raises(DamagedFile, match="salt is not"):
        read(fields, "salt")


@pytest.mark.parametrize("members", [None, [], {}, {"a": 1, "b": 2}, {"b": 1}])
def test_members_are_exactly_the_expected_ones(members: object) -> None:
    with pytest.raises(DamagedFile, match="version"):
        atomic_file.Fields(PATH, members, frozenset({"a"}))


def broken_off(making: AbstractContextManager[BinaryIO]) -> None:
    with making as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_what_is_streamed_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"before")

    with pytest.raises(ZeroDivisionError):
        broken_off(atomic_file.stream(path))

    assert path.read_bytes() == b"before"
    assert [*tmp_path.iterdir()] == [path]
    with atomic_file.stream(path, 0o644) as file:
        file.write(b"after")
    assert path.read_bytes() == b"after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_draft_of_a_fixed_name_takes_the_place_of_what_a_crash_left(tmp_path: Path) -> None:
    path, hidden = tmp_path / "tile", tmp_path / ".tile.tmp"
    hidden.write_bytes(b"a long beginning of an earlier one")

    draft = atomic_file.Draft(path, name=hidden)
    draft.file.write(b"tile")
    draft.finish()
    draft.drop()  # it has its place; nothing is taken away

    assert path.read_bytes() == b"tile"
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("leads", [True, False])
def test_a_new_file_is_made_whole_or_not_at_all_and_never_over_another(
    tmp_path: Path, leads: bool
) -> None:
    path, other = tmp_path / "new", tmp_path / "other"
    with pytest.raises(ZeroDivisionError):
        broken_off(atomic_file.create_new(path))
    assert not path.exists()
    path.symlink_to(other) if leads else path.write_bytes(b"mine")

    with pytest.raises(FileExistsError), atomic_file.create_new(path):
        pass

    assert not other.exists()
    assert leads or path.read_bytes() == b"mine"


def test_what_is_appended_stands_behind_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "log"

    for line in (b"one\n", b"two\n"):
        with atomic_file.append(path) as file:
            file.write(line)

    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_that_another_holds_is_not_given_twice_and_is_free_afterwards(
    tmp_path: Path,
) -> None:
    path = tmp_path / ".lock"

    with (
        atomic_file.lock(path),
        pytest.raises(BlockingIOError),
        atomic_file.lock(path, wait=False),
    ):
        pass

    with atomic_file.lock(path, wait=False):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_lock_is_made_where_a_link_leads(tmp_path: Path) -> None:
    path, other = tmp_path / ".lock", tmp_path / "other"
    path.symlink_to(other)

    with pytest.raises(OSError, match="symbolic links"), atomic_file.lock(path):
        pass

    assert not other.exists()
