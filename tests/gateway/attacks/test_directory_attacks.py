"""The attacks on a TUF repository, each on a directory of ours: refused, and the last good state stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.client.directory_client import LARGEST, Absent, Trust
from gateway.client.errors import DirectoryRefused
from gateway.directory.repository import Repository
from gateway.directory.root_holders import SEATS
from gateway.directory.sign_draft import add_signature
from gateway.errors import InternalError, UserError
from gateway.keymanagement import bundle_renewal
from gateway.trust.bundle import PartyBundle
from gateway.trust.directory_files import DirectoryFiles
from gateway.trust.directory_signers import keeper_signer
from gateway.trust.partners import hybrid
from keys.custody import Argon2Cost, FileCustody
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState
from keys.tuf_root_key import RootKeyHolder, make

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass
class World:
    """A directory, who keeps it, and a partner who reads it. `shown` is what the network makes of a file."""

    folder: Path
    keyset: Keyset
    keepers: list[RootKeyHolder]
    bundle: PartyBundle
    trust: Trust
    shown: Callable[[str, bytes | None], bytes | None] = lambda _, content: content

    @property
    def files(self) -> DirectoryFiles:
        return DirectoryFiles(self.folder)

    @property
    def repository(self) -> Repository:
        return Repository(self.files, "CAN")

    def publish(self, version: int, now: datetime = NOW, **other: object) -> PartyBundle:
        bundle = replace(self.bundle, version=version, root=self.files.anchor(), **other)
        self.repository.publish({"CAN.json": bundle.to_bytes()}, self.keyset, now)
        return bundle

    def metadata(self, name: str) -> bytes:
        return self._found(name, self.files.metadata(name))

    def target(self, path: str, sha256: bytes) -> bytes:
        return self._found(path, self.files.target(path, sha256))

    def _found(self, name: str, content: bytes | None) -> bytes:
        shown = self.shown(name, content)
        if shown is None:
            raise Absent
        return shown

    def read(self, held: PartyBundle) -> PartyBundle:
        octets = self.trust.update(held, self)
        return held if octets is None else PartyBundle.parse(octets)

    def sign(self, draft: bytes, *numbers: int, role: str = "root") -> bytes:
        chosen = [self.keepers[number - 1] for number in numbers]
        keys = [each.root if role == "root" else each.targets for each in chosen]
        return add_signature(draft, [keeper_signer(key) for key in keys if key is not None])

    def next_root(self, *numbers: int) -> bytes:
        return self.sign(self.repository.next_root(self.keyset, NOW).to_bytes(), *numbers)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Keyset, list[RootKeyHolder]]:
    folder = tmp_path_factory.mktemp("keepers")
    custody = FileCustody.create(
        folder / "kek.json", b"a passphrase for tests", Argon2Cost(64, 1, 1)
    )
    keyset = Keyset.create(NOW - DAY, "CAN", custody)
    keepers = [
        make(folder / str(n), custody, party="CAN", name=str(n), root=root, targets=targets)
        for n, (root, targets) in enumerate(SEATS, start=1)
    ]
    return keyset, keepers


@pytest.fixture
def world(parts: tuple[Keyset, list[RootKeyHolder]], tmp_path: Path) -> World:
    keyset, keepers = parts
    folder = tmp_path / "directory"
    Repository(DirectoryFiles(folder), "CAN").found(keepers, keyset, NOW)
    bundle = bundle_renewal.bundle_of(
        keyset,
        party="CAN",
        legal_name="CAN",
        endpoints=("127.0.0.1:7443",),
        origin="can.example/log",
        version=1,
        now=NOW,
        root=DirectoryFiles(folder).anchor(),
    )
    made = World(folder, keyset, keepers, bundle, Trust(tmp_path / "trust"))
    made.publish(1)
    return made


def refused(world: World, held: PartyBundle, why: str) -> None:
    """Demand that what the partner is shown is refused, and that the honest state is believed afterwards."""
    with pytest.raises(DirectoryRefused, match=why):
        world.read(held)


def saved(world: World, name: str) -> Path:
    return Path(shutil.copytree(world.folder, world.folder.with_name(name)))


def test_an_honest_directory_is_followed(world: World) -> None:
    assert world.read(world.bundle) == world.bundle
    two = world.publish(2)
    assert world.read(world.bundle) == two
    assert world.read(two) == two


def test_frozen_directory(world: World) -> None:
    """Yesterday's files are shown for ever: after 24 hours they are over."""
    world.publish(2, NOW - 2 * DAY)

    refused(world, world.bundle, "expired")
    three = world.publish(3)
    assert world.read(world.bundle) == three
    assert not world.trust.stale()
    tomorrow = Trust(world.folder.with_name("trust"), lambda: datetime.now(UTC) + 2 * DAY)
    assert tomorrow.stale()


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot", "CAN"])
def test_rolled_back_role(world: World, name: str) -> None:
    """An older file of one role among newer ones, or all of them older."""
    old = DirectoryFiles(saved(world, "old"))
    held = world.publish(2)
    world.read(world.bundle)
    world.publish(3)
    world.read(held)
    older = {"snapshot": "1.snapshot.json", "CAN": "1.CAN.json"}.get(name, name)

    def shown(asked: str, content: bytes | None) -> bytes | None:
        if name == "timestamp.json":
            return old.metadata(asked) if asked == name else content
        return old.metadata(older) if asked.endswith(f".{name}.json") else content

    if name != "timestamp.json":
        world.publish(4)
    world.shown = shown
    refused(world, held, "stays")
    world.shown = lambda _, content: content
    assert world.read(held).version >= 3


def test_rolled_back_entry(world: World) -> None:
    """All metadata are new and signed, and the entry in them is an older one."""
    held = world.publish(5)
    world.read(world.bundle)
    world.publish(4)

    refused(world, held, "older than 5")


def test_mixed_and_matched_files(world: World) -> None:
    """The newest timestamp beside the snapshot of another moment."""
    world.publish(2)
    newest = world.files.newest("snapshot")
    other = world.files.metadata(f"{newest - 1}.snapshot.json")
    world.shown = lambda name, content: other if name.endswith("snapshot.json") else content

    refused(world, world.bundle, "hash|length|not match")
    world.shown = lambda _, content: content
    assert world.read(world.bundle).version == 2


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("role", ["timestamp.json", "snapshot.json", "CAN.json"])
def test_one_half_of_a_pair_signs_alone(world: World, role: str, left: int) -> None:
    """One Ed25519 signature without ML-DSA, or the reverse, is no quorum of two."""

    def shown(name: str, content: bytes | None) -> bytes | None:
        if content is None or not name.endswith(role) or name == "CAN.json":
            return content
        tree = json.loads(content)
        tree["signatures"] = [tree["signatures"][left]]
        return json.dumps(tree).encode()

    world.publish(2)
    world.shown = shown
    refused(world, world.bundle, "stays")


def test_metadata_altered_after_signing(world: World) -> None:
    def shown(name: str, content: bytes | None) -> bytes | None:
        if content is None or name != "timestamp.json":
            return content
        tree = json.loads(content)
        tree["signed"]["version"] += 7
        return json.dumps(tree).encode()

    world.shown = shown
    refused(world, world.bundle, "signed by 0/2")


@pytest.mark.parametrize("size", [LARGEST + 1, 16_385])
def test_oversized_metadata(world: World, size: int) -> None:
    """What is longer than any honest file is not read to its end."""
    world.shown = lambda name, content: b" " * size if name == "timestamp.json" else content

    refused(world, world.bundle, "too large")


def test_a_root_that_nobody_compared(world: World, tmp_path: Path) -> None:
    """Another's root is whole in itself, and not the one that the bundle pins."""
    other = DirectoryFiles(tmp_path / "other")
    Repository(other, "CAN").found(world.keepers, world.keyset, NOW + DAY)
    world.shown = lambda name, content: (
        other.metadata(name) if name.endswith("root.json") else content
    )

    refused(world, world.bundle, "fingerprint was compared")


def test_an_entry_of_another_party(world: World) -> None:
    octets = replace(world.bundle, legal_name="another").to_bytes()
    hostile = octets.replace(b'"party":"CAN"', b'"party":"AUS"')
    world.repository.publish({"CAN.json": hostile}, world.keyset, NOW)

    refused(world, world.bundle, "stays")


def test_an_entry_that_starts_from_elsewhere(world: World) -> None:
    """A stolen delegation cannot move the partner to a root of the thief's."""
    stolen = replace(world.bundle, version=2, root=None)
    world.repository.publish({"CAN.json": stolen.to_bytes()}, world.keyset, NOW)

    refused(world, world.bundle, "starts from a root")


def test_an_entry_that_goes_back_to_an_older_root(world: World) -> None:
    """Whoever still holds keys of the older root, and a stolen delegation, would lead the partner back to them."""
    older = world.files.anchor()
    world.repository.keep(world.next_root(1, 3, 5), NOW)
    held = world.read(world.publish(2))
    assert held.root is not None
    assert older is not None
    assert held.root.version > older.version

    back = replace(held, version=3, root=older)
    world.repository.publish({"CAN.json": back.to_bytes()}, world.keyset, NOW)

    refused(world, held, "goes back to an older root")


@pytest.mark.parametrize("kinds", [["ed25519"], ["rsa", "ml-dsa"], ["ecdsa", "ed25519"], ["x"]])
def test_a_kind_of_key_that_nobody_knows_is_no_post_quantum_one(kinds: list[str]) -> None:
    """RSA and ECDSA fall to a quantum computer as Ed25519 does: they must not count as its counterweight."""
    classical = sum(kind != "ml-dsa" for kind in kinds)

    assert not hybrid(classical, kinds)
    assert hybrid(classical + 1, kinds)


def test_a_delegation_that_reaches_outside_its_path(world: World) -> None:
    """What the party's role signs outside its paths is not found."""
    trusting = replace(world.bundle, party="NZL")
    octets = replace(trusting, version=9).to_bytes()
    with pytest.raises(InternalError, match="no target of ours"):
        world.files.put_target("../NZL.json", octets)
    world.repository.publish(
        {"CAN.json": world.bundle.to_bytes(), "NZL.json": octets}, world.keyset, NOW
    )
    refused(world, trusting, "there is no NZL.json")


@pytest.mark.parametrize(
    "name", ["../party.json", "a/../../x.json", "1.root.json/..", "x" * 200, ""]
)
def test_hostile_names_reach_no_file(world: World, name: str) -> None:
    assert world.files.metadata(name) is None
    assert world.files.target(name, bytes(32)) is None


# The root


def test_a_root_follows_under_the_old_and_the_new_threshold(world: World) -> None:
    world.read(world.bundle)
    world.repository.keep(world.next_root(1, 3, 5), NOW)
    two = world.publish(2)

    assert two.root is not None
    assert two.root.version == 2
    assert world.read(world.bundle) == two


@pytest.mark.parametrize("numbers", [(), (1,), (1, 5), (3, 4)])
def test_too_few_keepers_make_no_root(world: World, numbers: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="too few root key holders"):
        world.repository.keep(world.next_root(*numbers), NOW)
    assert world.files.newest("root") == 1


def test_a_root_signed_by_too_few_is_refused_by_a_partner(world: World) -> None:
    """Whoever holds the gateway writes the file past our own check; the partner still counts."""
    world.read(world.bundle)
    world.files.put_metadata("2.root.json", world.next_root(1, 5))

    refused(world, world.bundle, "signed by 2/3")


def test_a_keeper_signs_once_however_often(world: World) -> None:
    with pytest.raises(UserError, match="too few root key holders"):
        world.repository.keep(world.next_root(1, 1, 1), NOW)


def test_a_root_that_skips_a_version_is_refused(world: World) -> None:
    draft = world.repository.next_root(world.keyset, NOW)
    draft.signed.version = 9

    with pytest.raises(UserError, match="does not follow"):
        world.repository.keep(world.sign(draft.to_bytes(), 1, 2, 3), NOW)


def test_a_root_that_ed25519_alone_could_sign_is_refused(world: World) -> None:
    draft = world.repository.next_root(world.keyset, NOW)
    draft.signed.roles["root"].threshold = 2

    with pytest.raises(UserError, match="Ed25519 keys alone"):
        world.repository.keep(world.sign(draft.to_bytes(), 1, 2, 3, 4, 5), NOW)


def test_stolen_online_keys_that_ran_ahead_are_left_behind_by_the_next_root(world: World) -> None:
    """Fast-forward: a thief signed version 2³⁰; new pairs under a new root begin again below it."""
    world.repository.publish({"CAN.json": world.bundle.to_bytes()}, world.keyset, NOW, leap=2**30)
    world.read(world.bundle)
    for kind in (KeyKind.SNAPSHOT, KeyKind.TIMESTAMP):
        world.keyset, made = world.keyset.generate(kind, NOW, reason="stolen", actor="O-1")
        world.keyset, _ = world.keyset.transition(made.kid, KeyState.ACTIVE, NOW, "stolen", "O-1")
    world.repository.keep(world.next_root(2, 3, 4), NOW)
    held = world.publish(2)

    assert world.read(world.bundle) == held


# Publishing that is cut off


@pytest.mark.parametrize("after", range(6))
def test_a_publication_that_is_killed_leaves_the_old_state_and_the_next_one_finishes(
    world: World, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disk full at each write in turn: until the timestamp is replaced, partners find the old state, whole."""
    from keys import atomic_file

    done, replace_file = [], atomic_file.replace

    def failing(path: Path, content: bytes) -> None:
        if len(done) == after:
            raise OSError(28, "No space left on device")
        done.append(path)
        replace_file(path, content)

    monkeypatch.setattr(atomic_file, "replace", failing)
    if after < 4:
        with pytest.raises(OSError, match="No space"):
            world.publish(2)
        assert world.read(world.bundle).version == 1
    monkeypatch.setattr(atomic_file, "replace", replace_file)
    two = world.publish(2)

    assert world.repository.sound()
    assert world.read(world.bundle) == two
