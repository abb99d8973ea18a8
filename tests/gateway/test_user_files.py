"""Files that commands write are their owner's alone; files that a table names lie below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway import user_files
from gateway.errors import UserError
from gateway.user_files import FileRefused

MOST = 16  # bytes
OPEN_UMASK, CLOSED_UMASK = 0o000, 0o777


@pytest.fixture(params=[OPEN_UMASK, 0o022, CLOSED_UMASK])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a folder with a table's files; beside it a secret."""
    folder = tmp_path / "table"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "face.jpg").write_bytes(b"face")
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.mark.parametrize("writes", [user_files.create, user_files.write])
def test_what_a_command_writes_is_its_owners_alone_whatever_the_umask(
    umask: None, tmp_path: Path, writes: Callable[[Path, bytes], None]
) -> None:
    writes(tmp_path / "new", b"people")

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").read_bytes() == b"people"


def test_a_file_that_others_could_read_no_longer_is_once_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"before")
    (tmp_path / "old").chmod(0o644)

    user_files.write(tmp_path / "old", b"after")

    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "old").read_bytes() == b"after"


def test_a_new_file_takes_no_other_ones_place(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"before")

    with pytest.raises(UserError, match="there already"):
        user_files.create(tmp_path / "old", b"after")

    assert (tmp_path / "old").read_bytes() == b"before"


@pytest.mark.parametrize("writes", [user_files.create, user_files.write])
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_written_where_a_link_leads(
    tmp_path: Path, writes: Callable[[Path, bytes], None], *, there: bool
) -> None:
    if there:
        (tmp_path / "secret").write_bytes(b"before")
    (tmp_path / "out").symlink_to(tmp_path / "secret")

    with pytest.raises(UserError):
        writes(tmp_path / "out", b"after")

    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "secret").exists() == there
    assert not there or (tmp_path / "secret").read_bytes() == b"before"


def test_a_device_and_a_folder_are_no_place_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, tmp_path / "absent" / "file"):
        with pytest.raises(UserError, match=r"file|folder"):
            user_files.write(place, b"x")

    assert sorted(each.name for each in tmp_path.iterdir()) == ["pipe"]


def test_what_could_not_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    def broken_off() -> None:
        with user_files.creating(tmp_path / "new") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()

    assert list(tmp_path.iterdir()) == []


def test_a_file_below_the_table_is_read(table: Path) -> None:
    assert user_files.read_below(table, "inner/face.jpg", MOST) == b"face"
    assert user_files.read_below(table, "./inner/face.jpg", MOST) == b"face"


@pytest.mark.parametrize(
    "name",
    ["../secret", "inner/../../secret", "inner/../inner/face.jpg", "{secret}", "/", "..", ""],
)
def test_a_name_that_leads_out_of_the_tables_folder_is_refused(table: Path, name: str) -> None:
    with pytest.raises(FileRefused, match="not below the folder"):
        user_files.read_below(table, name.format(secret=table.parent / "secret"), MOST)


@pytest.mark.parametrize("name", ["link", "linked/secret", "linked/table/inner/face.jpg"])
def test_no_link_is_followed_out_of_the_tables_folder(table: Path, name: str) -> None:
    (table / "link").symlink_to(table.parent / "secret")
    (table / "linked").symlink_to(table.parent)

    with pytest.raises(FileRefused, match="a link"):
        user_files.read_below(table, name, MOST)


def test_a_pipe_a_folder_and_what_is_not_there_are_named_at_once(table: Path) -> None:
    os.mkfifo(table / "pipe")
    for name, why in (("pipe", "no regular"), ("inner", "no regular"), ("absent", "no such file")):
        with pytest.raises(FileRefused, match=why):
            user_files.read_below(table, name, MOST)
    with pytest.raises(FileRefused):
        user_files.read_below(table, "inner/face.jpg/more", MOST)
    with pytest.raises(FileRefused):
        user_files.read_below(table, "with\0zero", MOST)


@pytest.mark.parametrize(
    "read", [user_files.read_below, lambda at, name, most: user_files.read(at / name, most)]
)
def test_a_file_is_bounded_before_it_is_read(
    table: Path, read: Callable[[Path, str, int], bytes]
) -> None:
    (table / "most").write_bytes(bytes(MOST))
    with (table / "more").open("wb") as file:
        file.truncate(1 << 40)  # a hole, of which nothing is read

    assert read(table, "most", MOST) == bytes(MOST)
    with pytest.raises(FileRefused, match="larger than 16 bytes"):
        read(table, "more", MOST)


def test_no_descriptor_stays_open_whatever_is_refused(table: Path) -> None:
    os.mkfifo(table / "pipe")
    (table / "link").symlink_to(table.parent / "secret")
    before = len(list(Path("/proc/self/fd").iterdir()))

    for name in ("pipe", "link", "absent", "inner", "inner/absent", "../secret", "inner/face.jpg"):
        for most in (1, MOST):
            with suppress(FileRefused):
                user_files.read_below(table, name, most)

    assert len(list(Path("/proc/self/fd").iterdir())) == before
