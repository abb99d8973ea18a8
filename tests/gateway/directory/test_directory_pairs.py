"""The pairs of our directory turn when its root key holders name them: not before, not without, and nobody reads a gap."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.client.directory_client import Absent, Trust
from gateway.directory.root_holders import KEEPERS
from gateway.directory.sign_draft import sign_as
from gateway.errors import UserError
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.trust.bundle import PartyBundle
from gateway.trust.partners import own_bundle
from keys import atomic_file
from keys.keyset import KeyKind, KeyState

PASSPHRASE = b"the root key holders' own"
KINDS = [("DELEGATION", "targets"), ("SNAPSHOT", "root"), ("TIMESTAMP", "root")]
each_kind = pytest.mark.parametrize(("kind", "role"), KINDS)


class Reader:
    """A partner who reads our directory; `before` is done once, before the file of that name is handed out."""

    def __init__(self, gateway: Gateway, folder: Path, held: PartyBundle) -> None:
        self._files, self._trust = gateway.directory.publication.files, Trust(folder, gateway.clock)
        self.held = held
        self.before: dict[str, Callable[[], object]] = {}

    def read(self) -> PartyBundle:
        octets = self._trust.update(self.held, self)
        if octets is not None:
            self.held = PartyBundle.parse(octets)
        return self.held

    def metadata(self, name: str) -> bytes:
        self.before.pop(name, lambda: None)()
        return self._found(self._files.metadata(name))

    def target(self, path: str, sha256: bytes) -> bytes:
        return self._found(self._files.target(path, sha256))

    @staticmethod
    def _found(content: bytes | None) -> bytes:
        if content is None:
            raise Absent
        return content


@pytest.fixture
def reader(gateway: Gateway, tmp_path: Path) -> Reader:
    made = Reader(gateway, tmp_path / "trust", own_bundle(gateway.home))
    made.read()
    return made


def sign(gateway: Gateway, key_operations: Any, role: str, names: str = "123") -> str:
    """Return the next file of a role, signed by root key holders."""
    draft = gateway.admin.perform(key_operations.one, "directory.draft", {"role": role})
    content = base64.b64decode(str(draft["metadata"]))
    for name in names:
        content = sign_as(content, gateway.home / KEEPERS / name, PASSPHRASE)
    return base64.b64encode(content).decode()


def adopt(gateway: Gateway, key_operations: Any, metadata: str) -> None:
    gateway.admin.perform(key_operations.one, "directory.adopt", {"metadata": metadata})


@each_kind
def test_a_pair_takes_over_when_keepers_name_it_and_the_old_one_leaves(  # noqa: PLR0917 - the fixtures
    key_operations: Any, gateway: Gateway, reader: Reader, clock: Any, kind: str, role: str
) -> None:
    old = key_operations.key(KeyKind(kind), KeyState.ACTIVE)
    done = key_operations.do("keys.rotate", kind=kind)
    new = done["key"]
    assert (done["promoted"], done["keepers"]) == (False, role)
    gateway.keys.rotation.round()
    assert key_operations.state(new) is KeyState.PREACTIVE

    adopt(gateway, key_operations, sign(gateway, key_operations, role))

    assert key_operations.state(new) is KeyState.ACTIVE
    assert (
        gateway.directory.publication.repository.named(gateway.keyset, KeyKind(kind)).hex() == new
    )
    assert gateway.directory.publication.repository.sound()
    reader.read()
    clock.ahead = timedelta(hours=2)
    gateway.keys.rotation.round()
    assert key_operations.state(old) is KeyState.DEACTIVATED
    gateway.directory.publication.leap(1)  # signed by the new pair alone
    assert reader.read() == own_bundle(gateway.home)
    assert self_check.verify_ledger(gateway.home).ok


@each_kind
def test_a_pair_that_no_keeper_named_is_promoted_by_nobody(
    key_operations: Any, gateway: Gateway, kind: str, role: str
) -> None:
    new = key_operations.do("keys.generate", kind=kind)["moves"][0]["key"]
    verb = "renew" if role == "targets" else "root"

    for override in (False, True):
        with pytest.raises(UserError, match=f"passerelle directory {verb}"):
            key_operations.do("keys.promote", key_operations.two, key=new, override=override)

    assert key_operations.state(new) is KeyState.PREACTIVE
    listed = {row["kid"]: row for row in key_operations.do("keys.list")["keys"]}
    assert listed[new]["next"] == f"→ passerelle directory {verb}"


@each_kind
def test_a_file_that_too_few_keepers_signed_promotes_nothing(
    key_operations: Any, gateway: Gateway, kind: str, role: str
) -> None:
    new = key_operations.do("keys.rotate", kind=kind)["key"]
    with pytest.raises(UserError, match="too few root key holders"):
        adopt(gateway, key_operations, sign(gateway, key_operations, role, "2"))

    assert key_operations.state(new) is KeyState.PREACTIVE


def test_a_root_that_was_drafted_before_a_rotation_promotes_nothing(
    key_operations: Any, gateway: Gateway
) -> None:
    """It names the pair in use; the one that waits is named by the next."""
    early = sign(gateway, key_operations, "root")
    new = key_operations.do("keys.rotate", kind="SNAPSHOT")["key"]
    adopt(gateway, key_operations, early)
    assert key_operations.state(new) is KeyState.PREACTIVE

    adopt(gateway, key_operations, sign(gateway, key_operations, "root"))

    assert key_operations.state(new) is KeyState.ACTIVE


@each_kind
def test_the_old_pair_is_not_put_away_while_the_directory_names_it(
    key_operations: Any, gateway: Gateway, kind: str, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full between the promotion and the new file: both sign, and the root key holders' next file goes on."""
    old = key_operations.key(KeyKind(kind), KeyState.ACTIVE)
    new = key_operations.do("keys.rotate", kind=kind)["key"]
    text = sign(gateway, key_operations, role)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.directory.publication.files, "put_metadata", full)
        with pytest.raises(OSError, match="No space"):
            adopt(gateway, key_operations, text)
    gateway.keys.rotation.round()
    assert (key_operations.state(old), key_operations.state(new)) == (
        KeyState.ACTIVE,
        KeyState.ACTIVE,
    )
    with pytest.raises(UserError, match="have its root key holders name the successor"):
        key_operations.do("keys.deactivate", key=old)
    gateway.directory.publication.leap(1)
    assert gateway.directory.publication.repository.sound()

    adopt(gateway, key_operations, text)

    assert (
        gateway.directory.publication.repository.named(gateway.keyset, KeyKind(kind)).hex() == new
    )
    key_operations.do("keys.deactivate", key=old)


@each_kind
def test_whoever_reads_between_two_writes_of_an_adoption_believes_what_he_reads(  # noqa: PLR0917 - the fixtures
    key_operations: Any,
    gateway: Gateway,
    kind: str,
    role: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A partner who is shown what cannot be believed asks nothing: so none is, at any moment."""
    held = own_bundle(gateway.home)
    key_operations.do("keys.rotate", kind=kind)
    text = sign(gateway, key_operations, role)
    numbers, replace_file = itertools.count(), atomic_file.replace

    def watched(path: Path, content: bytes) -> None:
        replace_file(path, content)
        Reader(gateway, tmp_path / f"reader-{next(numbers)}", held).read()

    with monkeypatch.context() as patch:
        patch.setattr(atomic_file, "replace", watched)
        adopt(gateway, key_operations, text)

    assert next(numbers) > 3


@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json"])
def test_a_root_that_comes_while_a_partner_walks_is_walked_to(
    key_operations: Any, gateway: Gateway, reader: Reader, name: str
) -> None:
    key_operations.do("keys.rotate", kind="TIMESTAMP")
    text = sign(gateway, key_operations, "root")
    reader.before[name] = lambda: adopt(gateway, key_operations, text)

    reader.read()

    assert reader.before == {}
    assert reader.held.root == gateway.directory.publication.files.anchor()


def test_a_stopped_pair_is_succeeded_by_whom_keepers_name(
    key_operations: Any, gateway: Gateway, reader: Reader
) -> None:
    """A key compromise: the old pair signs no more, not even across the change."""
    old = key_operations.key(KeyKind.TIMESTAMP, KeyState.ACTIVE)
    key_operations.do("keys.suspend", key=old)
    key_operations.do("keys.rotate", kind="TIMESTAMP")

    adopt(gateway, key_operations, sign(gateway, key_operations, "root"))

    assert gateway.directory.publication.repository.sound()
    assert reader.read() == own_bundle(gateway.home)
