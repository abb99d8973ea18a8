"""The key above our keys in an open gateway: two persons change it, and whenever it stops the gateway opens."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway import config, home_layout
from gateway.admin.operation import TwoPersons
from gateway.errors import UserError
from gateway.keymanagement import custody as room
from gateway.keymanagement import custody_setting
from gateway.ledger.entry import EntryType
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.address import open_store
from keys import custody_rewrap
from keys.errors import CustodyFault, DamagedFile, WrongPassphrase
from keys.keyset import KeyKind, KeyState
from tests.programs import Programs

NEW = b"an altogether new passphrase"


@pytest.fixture
def new_file(tmp_path: Path) -> Path:
    file = tmp_path / "new.pass"
    file.write_bytes(NEW + b"\n")
    file.chmod(0o600)
    return file


def test_one_person_alone_does_not_change_custody(
    key_operations: Any, gateway: Gateway, new_file: Path
) -> None:
    before = gateway.settings.keys.keyset.read_bytes()

    with pytest.raises(TwoPersons):
        key_operations.do("custody.rewrap", passphrase_file=str(new_file))
    assert gateway.settings.keys.keyset.read_bytes() == before


def test_an_open_gateway_goes_on_under_the_new_key_and_opens_with_it(
    key_operations: Any, gateway: Gateway, new_file: Path, secret: Any
) -> None:
    data = gateway.keyset.data().seal(b"a record", b"")

    told = key_operations.do("custody.rewrap", key_operations.two, passphrase_file=str(new_file))

    assert told["seeds"] == sum(bool(r.wrapped) for r in gateway.keyset.records)
    assert key_operations.entries(EntryType.CUSTODY) == 2  # begun, done
    key_operations.do("keys.generate", kind="KEM")  # saved under the new key
    gateway.close()
    with pytest.raises(WrongPassphrase):
        Gateway.open(gateway.home, secret)
    with Gateway.open(gateway.home, lambda: NEW) as again:
        assert again.keyset.data().open(data, b"") == b"a record"
        assert [r.state for r in again.keyset.records].count(KeyState.PREACTIVE) == 1
        assert self_check.verify_ledger(again.home).ok
    assert NEW not in b"".join(p.read_bytes() for p in gateway.home.rglob("*") if p.is_file())


def test_the_settings_name_the_new_place_and_keep_all_else(
    key_operations: Any, gateway: Gateway, new_file: Path
) -> None:
    before = tomllib.loads((gateway.home / home_layout.SETTINGS).read_text())

    key_operations.do(
        "custody.rewrap",
        key_operations.two,
        passphrase_file=str(new_file),
        to="file:keys/second.json",
    )

    after = tomllib.loads((gateway.home / home_layout.SETTINGS).read_text())
    assert after["keys"].pop("custody") == "file:keys/second.json"
    before["keys"].pop("custody")
    assert after == before
    gateway.close()
    Gateway.open(gateway.home, lambda: NEW).close()


def test_a_token_takes_the_keys_and_gives_them_back(
    key_operations: Any, gateway: Gateway, new_file: Path, tmp_path: Path, tokens: Any
) -> None:
    pin = tmp_path / "pin"
    pin.write_bytes(tokens.pin)
    pin.chmod(0o600)
    uri = tokens.uri("good", "gateway-kek")

    key_operations.do("custody.rewrap", key_operations.two, passphrase_file=str(pin), to=uri)
    with pytest.raises(UserError, match="name another object"):
        key_operations.do("custody.rewrap", key_operations.two, passphrase_file=str(pin))
    gateway.close()

    with Gateway.open(gateway.home, lambda: tokens.pin) as inside:
        assert "inside the token" in inside.keyset.custody.describe()
        with pytest.raises(CustodyFault, match="wrong PIN"):
            inspection_opens(inside.home)
        values = {
            "passphrase_file": str(new_file),
            "reason": "back",
            "to": "file:keys/back.json",
        }
        inside.admin.perform(key_operations.two, "custody.rewrap", values)
    Gateway.open(gateway.home, lambda: NEW).close()


def inspection_opens(home: Path) -> None:
    from keys.custody import open_custody

    open_custody(config.load(home).keys.custody, lambda: b"no such pin")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"passphrase_file": "relative"}, "passphrase_file"),
        ({"passphrase_file": "/none/such"}, "cannot be read by the gateway"),
        ({"to": "vault:kek"}, "write file:PATH"),
        ({"to": "file:keys/keyset.json"}, "is there already"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(
    key_operations: Any, gateway: Gateway, new_file: Path, values: dict[str, str], told: str
) -> None:
    keys = {path.name: path.read_bytes() for path in (gateway.home / "keys").iterdir()}

    with pytest.raises(UserError, match=told):
        key_operations.do(
            "custody.rewrap", key_operations.two, **{"passphrase_file": str(new_file), **values}
        )
    assert {path.name: path.read_bytes() for path in (gateway.home / "keys").iterdir()} == keys


def test_a_new_passphrase_that_is_too_short_is_neither_proposed_nor_taken(
    key_operations: Any, gateway: Gateway, new_file: Path
) -> None:
    """The first person learns of it: nobody is asked to approve what would be refused."""
    new_file.write_bytes(b"fourteen chars")
    values = {"passphrase_file": str(new_file), "reason": "yearly"}
    before = gateway.keyset.custody.describe()
    rewrap = gateway.admin.operations.handler(key_operations.one, "custody.rewrap")

    for attempt in (
        lambda: rewrap.bind(key_operations.one, values).plan,
        lambda: key_operations.do("custody.rewrap", key_operations.two, **values),
    ):
        with pytest.raises(UserError, match="at least 15 characters"):
            attempt()
    assert gateway.keyset.custody.describe() == before


def test_a_passphrase_file_that_others_may_read_is_refused(
    key_operations: Any, new_file: Path
) -> None:
    new_file.chmod(0o644)

    with pytest.raises(UserError, match="chmod 600"):
        key_operations.do("custody.rewrap", key_operations.two, passphrase_file=str(new_file))


def test_a_custody_named_by_the_environment_is_not_left_behind(
    key_operations: Any, gateway: Gateway, new_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(custody_setting.VARIABLE, "file:keys/kek.json")

    with pytest.raises(UserError, match=f"unset {custody_setting.VARIABLE}"):
        key_operations.do(
            "custody.rewrap",
            key_operations.two,
            passphrase_file=str(new_file),
            to="file:keys/other.json",
        )


def test_a_full_disk_leaves_the_old_custody_in_force(
    key_operations: Any,
    gateway: Gateway,
    new_file: Path,
    secret: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(_: int, __: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            key_operations.do("custody.rewrap", key_operations.two, passphrase_file=str(new_file))
    key_operations.do("keys.generate", kind="KEM")
    gateway.close()
    with Gateway.open(gateway.home, secret) as again:
        assert [r.state for r in again.keyset.records].count(KeyState.PREACTIVE) == 1


CRASH = """
import os, signal, sys
from pathlib import Path
from gateway.admin.operation import Officer, Role
from gateway.server.application import Gateway

home, old, new_file, at = Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3], int(sys.argv[4])
with Gateway.open(home, lambda: old) as gateway:
    count = 0
    def around(call):
        def struck(*words, **named):
            global count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*words, **named)
        return struck
    os.write, os.fsync = around(os.write), around(os.fsync)
    Path.replace, Path.unlink = around(Path.replace), around(Path.unlink)
    officer = Officer("P-1", frozenset({Role.OPERATOR}), second="P-2")
    values = {"passphrase_file": new_file, "reason": "crash", "to": "file:keys/second.json"}
    gateway.admin.perform(officer, "custody.rewrap", values)
print("finished")
"""


@pytest.mark.slow
def test_a_gateway_killed_at_any_step_opens_by_one_of_the_two_passphrases(
    homes: Any, secret: Any, new_file: Path, tmp_path: Path, programs: Programs
) -> None:
    """Real SIGKILLs of a real gateway, at every fifth step; every one is killed in tests/keys/test_rewrap."""
    import shutil

    found, at, runs, finished = {"old": 0, "new": 0}, 1, 0, False
    while not finished:
        home = tmp_path / f"home-{at}"
        shutil.copytree(homes[0], home)
        run = programs.run(CRASH, home, secret().decode(), new_file, at)
        finished = "finished" in run.stdout
        assert finished or run.returncode == -9, run.stderr
        for name, passphrase in (("old", secret), ("new", lambda: NEW)):
            try:
                gateway = Gateway.open(home, passphrase)
            except WrongPassphrase:
                continue
            with gateway:
                found[name] += 1
                assert not custody_rewrap.pending(gateway.settings.keys.keyset)
                left = [path.name for path in (home / "keys").iterdir()]
                assert not [name for name in left if name.endswith(".next") or name[0] == "."]
                assert gateway.keyset.primary(KeyKind.SIGNING)
        assert self_check.verify_ledger(home).ok
        at += 5
        runs += 1
        shutil.rmtree(home)
    assert found["old"] + found["new"] == runs > 5
    assert found["old"] >= 2
    assert found["new"] >= 2


# The last good keyset


def damage(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-40])


def test_a_damaged_keyset_is_recovered_from_the_copy_that_the_ledger_agrees_with(
    key_operations: Any, gateway: Gateway, secret: Any
) -> None:
    key_operations.do("keys.generate", kind="KEM")
    file, home = gateway.settings.keys.keyset, gateway.home
    whole = file.read_bytes()
    gateway.close()
    damage(file)

    with pytest.raises(DamagedFile, match="passerelle keys recover"):
        Gateway.open(home, secret)
    recovered(home, secret)

    assert file.read_bytes() == whole
    assert file.with_name("keyset.json.damaged").exists()
    with Gateway.open(home, secret) as again:
        room.recovered(again.keys.active, "2026")
    assert self_check.verify_ledger(home).ok


def recovered(home: Path, secret: Any) -> str:
    settings = config.load(home)
    database = open_store(settings.store.path)
    try:
        return room.recover(settings, database, secret)
    finally:
        database.close()


def test_a_copy_that_is_behind_the_ledger_is_not_put_back(
    key_operations: Any, gateway: Gateway, secret: Any
) -> None:
    """Who restores yesterday's copy must not revive what was stopped since."""
    file, home = gateway.settings.keys.keyset, gateway.home
    made = key_operations.do("keys.generate", kind="KEM")["moves"][0]["key"]
    older = file.read_bytes()
    key_operations.do("keys.suspend", key=made)
    gateway.close()
    damage(file)
    file.with_name("keyset.json.last").write_bytes(older)
    damaged = file.read_bytes()

    with pytest.raises(UserError, match="put back the newest keyset file"):
        recovered(home, secret)
    assert file.read_bytes() == damaged


def test_a_whole_keyset_is_not_replaced(gateway: Gateway, secret: Any) -> None:
    home = gateway.home
    gateway.close()

    with pytest.raises(UserError, match="nothing to recover"):
        recovered(home, secret)


def test_nothing_is_recovered_under_an_open_gateway(gateway: Gateway, secret: Any) -> None:
    damage(gateway.settings.keys.keyset)

    with pytest.raises(UserError, match="another process writes") as refused:
        recovered(gateway.home, secret)
    # Whoever started it finds it again: which process, and what says whether it serves.
    assert "`passerelle serve`" in str(refused.value)
    assert "passerelle status DIR" in str(refused.value)
    if Path("/proc/locks").exists():
        assert f"(process {os.getpid()})" in str(refused.value)
