"""A gateway in one sealed file: written while it serves, brought back, and it says so."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import config, home_layout
from gateway.admin.operation import TwoPersons
from gateway.backup import archive, restored
from gateway.backup.format import Item, Manifest
from gateway.errors import InternalError, UserError
from gateway.ledger.entry import EntryType, decode
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.server.restore import restore
from gateway.store.address import open_store
from gateway.store.ledger import stored_ledger
from gateway.store.sqlite import SqliteEngine
from gateway.trust.partners import own_bundle
from keys import atomic_file, recovery
from keys.envelope import OpeningKey, SealingKey
from keys.errors import OpenRefused, WrongPassphrase
from keys.keyset import KeyKind

RECOVERY = OpeningKey.from_seed(bytes(range(32)))
RECIPIENT = SealingKey(RECOVERY.public)


def taken(gateway: Gateway, target: Path, key_operations: Any) -> Path:
    told = key_operations.do_plain("backup.begin")
    archive.write(
        gateway.settings, SealingKey(bytes.fromhex(told["recipient"])), told["made"], target
    )
    return target


@pytest.fixture
def ready(key_operations: Any, gateway: Gateway) -> Any:
    """Return the key operations of a gateway whose recovery key is set."""
    key_operations.do("backup.recipient", key_operations.two, public=RECOVERY.public.hex())
    key_operations.do_plain = lambda act: dict(gateway.admin.perform(key_operations.one, act, {}))
    return key_operations


def types(home: Path) -> list[EntryType]:
    database = open_store(config.load(home).store.path)
    try:
        return [decode(leaf).type for leaf in stored_ledger.iter_leaves(database)]
    finally:
        database.close()


def test_a_gateway_comes_back_with_all_it_held_and_says_so_first(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = taken(gateway, tmp_path / "can.backup", ready)
    record = gateway.keyset.data().seal(b"a record", b"")
    before, version = types(gateway.home), own_bundle(gateway.home).version

    done = restore(file, tmp_path / "again", RECOVERY, secret)

    home = tmp_path / "again"
    assert (done.party, done.entries, done.lost) == ("CAN", len(before), "")
    assert done.version == own_bundle(home).version == version + restored.LEAP
    assert types(home)[: len(before)] == before
    assert types(home)[len(before) :][:2] == [EntryType.RESTORE, EntryType.DIRECTORY]
    assert self_check.verify_ledger(home).ok
    assert not (home / home_layout.RESTORED).exists()
    with Gateway.open(home, secret) as again:
        assert again.keyset.data().open(record, b"") == b"a record"
        found = self_check.check(gateway.home, secret, gateway.clock())
    assert {each.name for each in found if not each.ok} == set()


def test_the_directory_of_a_restored_gateway_is_ahead_of_all_that_partners_saw(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    """A partner's updater refuses metadata whose version went back: TUF 5.4.3."""

    def versions(home: Path) -> dict[str, int]:
        metadata = home / "directory" / "metadata"
        return {
            name: max(
                int(json.loads(path.read_bytes())["signed"]["version"])
                for path in metadata.glob(f"*{name}.json")
            )
            for name in ("timestamp", "snapshot")
        }

    file = taken(gateway, tmp_path / "can.backup", ready)
    before = versions(gateway.home)
    assert min(before.values()) > 0

    restore(file, tmp_path / "again", RECOVERY, secret)
    after = versions(tmp_path / "again")
    assert all(after[name] >= before[name] + restored.LEAP for name in before)


def test_the_backup_is_an_entry_before_anything_leaves(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    taken(gateway, tmp_path / "one.backup", ready)

    assert types(gateway.home)[-1] is EntryType.BACKUP
    assert not list(tmp_path.rglob(".copy-*"))


def test_without_a_recovery_key_nothing_is_backed_up_and_one_person_sets_none(
    key_operations: Any, gateway: Gateway
) -> None:
    with pytest.raises(UserError, match="recovery new"):
        gateway.admin.perform(key_operations.one, "backup.begin", {})
    with pytest.raises(TwoPersons):
        key_operations.do("backup.recipient", public=RECOVERY.public.hex())
    with pytest.raises(UserError, match="public"):
        key_operations.do("backup.recipient", key_operations.two, public="00" * 1216)


def test_a_backup_while_the_gateway_writes_is_of_one_moment(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            gateway.record(EntryType.START)
            gateway.record(EntryType.STOP)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        files = [taken(gateway, tmp_path / f"{n}.backup", ready) for n in range(3)]
    finally:
        done.set()
        writer.join()

    sizes = [restore(f, tmp_path / f.stem, RECOVERY, secret).entries for f in files]
    assert sizes == sorted(sizes)
    assert all(self_check.verify_ledger(tmp_path / f.stem).ok for f in files)


def test_a_key_made_between_the_ledger_and_the_files_is_no_loss(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is copied first, so the keyset can only be ahead, which the opening records."""
    places = archive._places

    def later(*words: Any) -> dict[str, Path]:
        monkeypatch.setattr(archive, "_places", places)
        ready.do("keys.generate", kind="KEM")
        return places(*words)

    monkeypatch.setattr(archive, "_places", later)
    file = taken(gateway, tmp_path / "can.backup", ready)

    restore(file, tmp_path / "again", RECOVERY, secret)
    with Gateway.open(tmp_path / "again", secret) as again:
        assert len([r for r in again.keyset.records if r.kind is KeyKind.KEM]) == 2


def test_files_that_change_while_they_are_read_are_read_again(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, tried = archive._content, 0

    def disturbed(*words: Any) -> Iterator[bytes]:
        nonlocal tried
        tried += 1
        if tried == 1:
            ready.do("keys.generate", kind="KEM")
        return iter(content(*words))

    monkeypatch.setattr(archive, "_content", disturbed)
    file = taken(gateway, tmp_path / "can.backup", ready)

    assert tried == 2
    restore(file, tmp_path / "again", RECOVERY, secret)


def test_what_belongs_elsewhere_is_in_no_backup(
    ready: Any, gateway: Gateway, tmp_path: Path
) -> None:
    (gateway.home / "keepers" / "1").mkdir(parents=True, exist_ok=True)
    (gateway.home / "keepers" / "1" / "key.json").write_text("x")
    (gateway.home / "door.json").write_text("{}")
    file = taken(gateway, tmp_path / "can.backup", ready)

    with file.open("rb") as source:
        names = {
            i.name for i in archive.read(recovery.unseal(source, RECOVERY), tmp_path / "x").items
        }
    assert {"passerelle.toml", "party.json", "keys/keyset.json", "keys/kek.json"} <= names
    assert "store/passerelle.db" in names
    assert not [
        name
        for name in names
        if name.startswith(("auditor", "keepers", ".")) or name.endswith((".pen", "door.json"))
    ]


def test_no_officers_private_file_is_in_a_backup_wherever_and_however_it_lies(
    ready: Any, gateway: Gateway, own_keys: Any, tmp_path: Path
) -> None:
    """Somebody put their keys into the home directory, or a version before left them there in clear."""
    own_keys(gateway.home / "staff" / "p7", "P-7")
    own_keys(tmp_path / "p8", "P-8")
    sealed = (tmp_path / "p8" / "officer.json").read_bytes()
    clear = atomic_file.encode({"format": 2, "seed": "c2VlZA==", "approving": "YXBwcm92aW5n"})
    for name, octets in (
        ("staff/me/officer.json", clear),
        ("staff/me/asked.json", clear),
        ("agreements/notes.txt", sealed),
        ("witness/old", clear),
    ):
        atomic_file.replace(gateway.home / name, octets)

    told = ready.do_plain("backup.begin")
    manifest = archive.write(
        gateway.settings, SealingKey(RECOVERY.public), told["made"], tmp_path / "can.backup"
    )

    names = {item.name for item in manifest.items}
    kept = {"staff/p7/request.json", "staff/p7/kek.json"}  # nothing that anybody could act with
    assert {name for name in names if name.startswith("staff/")} == kept
    assert not names & {"agreements/notes.txt", "witness/old"}
    assert {"passerelle.toml", "party.json", "keys/keyset.json"} <= names


def test_a_backup_overwrites_nothing_and_a_full_disk_leaves_nothing(
    ready: Any, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "can.backup"
    target.write_bytes(b"an older one")
    with pytest.raises(UserError, match="overwrites nothing"):
        taken(gateway, target, ready)
    assert target.read_bytes() == b"an older one"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recovery, "seal", full)
    with pytest.raises(OSError, match="No space"):
        taken(gateway, tmp_path / "new.backup", ready)
    assert [path.name for path in tmp_path.glob("*backup*")] == ["can.backup"]
    assert not list(tmp_path.glob(".new*"))


def test_a_store_that_is_not_whole_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 1000)

    with pytest.raises(InternalError, match="copied"), SqliteEngine(tmp_path / "x.db").copy():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


def test_a_folder_that_is_not_empty_is_left_alone(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    file = taken(gateway, tmp_path / "can.backup", ready)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("mine")

    with pytest.raises(UserError, match="not empty"):
        restore(file, tmp_path / "full", RECOVERY, secret)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]


def test_a_wrong_passphrase_of_the_gateway_leaves_no_half_gateway(
    ready: Any, gateway: Gateway, tmp_path: Path
) -> None:
    file = taken(gateway, tmp_path / "can.backup", ready)

    with pytest.raises(WrongPassphrase):
        restore(file, tmp_path / "again", RECOVERY, lambda: b"no such")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_a_restored_folder_that_was_not_opened_records_it_with_the_first_opening(
    ready: Any, gateway: Gateway, tmp_path: Path, secret: Any
) -> None:
    """The mark is in the folder: whoever opens it cannot pass it off as the gateway that went on."""
    home, size = gateway.home, len(types(gateway.home))
    gateway.close()
    database = open_store(config.load(home).store.path)
    restored.mark(home, database, "2026-03-01T12:00:00.000Z", 0, "")
    database.close()
    version = own_bundle(home).version

    Gateway.open(home, secret).close()
    Gateway.open(home, secret).close()

    assert types(home)[size] is EntryType.RESTORE
    assert types(home).count(EntryType.RESTORE) == 1
    assert own_bundle(home).version == version + restored.LEAP


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"format":1}', b"nonsense", b"[" * 5000],
)
def test_a_manifest_of_another_making_is_refused(text: bytes) -> None:
    with pytest.raises(OpenRefused):
        Manifest.parse(text)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "", "./a", "a//b", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    item = Item(name, 1, "00")

    with pytest.raises(OpenRefused):
        Manifest.parse(Manifest("CAN", "now", 1, (item,)).to_bytes())


def test_content_that_ends_early_or_goes_on_is_refused(tmp_path: Path) -> None:
    text = Manifest("CAN", "now", 1, (Item("a", 3, "00"),)).to_bytes()
    head = len(text).to_bytes(4, "big") + text
    for number, content in enumerate(
        (head, head + b"ab", head + b"abc", head + b"abcd", b"\xff" * 9)
    ):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(OpenRefused):
            archive.read(iter([content]), tmp_path / str(number))
