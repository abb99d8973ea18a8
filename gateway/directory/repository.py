"""Our directory as a TUF repository: its roles, what they sign, and in which order it comes to disk.

    role        keys, threshold                                    signs                                 for
    root        five root key holders, 3; at most two of Ed25519            who signs each role                   1 year
    targets     three of them, 2; at most one of Ed25519           that <PARTY> speaks for this party    90 days
    <PARTY>     the gateway's DELEGATION pair, both halves           our entry, partners' entries, rights  90 days
    snapshot    the gateway's SNAPSHOT pair, both halves             which files belong together           24 hours
    timestamp   the gateway's TIMESTAMP pair, both halves            that this was the newest              24 hours

Nothing a partner believes changes before timestamp.json is replaced, which comes last: a crash before it leaves
the old state, whole. A version that was ever written is never written with other content: the next publication
takes a higher one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from securesystemslib.signer import Key as TufKey
from securesystemslib.signer import Signer
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from gateway.errors import InternalError, UserError
from gateway.trust import directory_signers
from gateway.trust.directory_files import TIMESTAMP, DirectoryFiles
from gateway.trust.directory_signers import keeper_signer, pair_publics
from gateway.trust.partners import hybrid
from keys.key_record import KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import KeyKind
from keys.tuf_root_key import RootKeyHolder

ROOT_LIFE = timedelta(days=365)
TARGETS_LIFE = timedelta(days=90)
DELEGATION_LIFE = timedelta(days=90)
ONLINE_LIFE = timedelta(hours=24)  # snapshot and timestamp: how long a frozen directory can deceive
ROOT_THRESHOLD = 3
TARGETS_THRESHOLD = 2
PAIR = 2  # signatures that a role of a pair asks for: both halves
KEPT = 4  # latest versions of each file that partners may be reading at this moment
ONLINE = (KeyKind.DELEGATION, KeyKind.SNAPSHOT, KeyKind.TIMESTAMP)

_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """One role as it is now.

    keys   how many there are; threshold: how many must sign
    """

    name: str
    version: int
    expires: datetime
    keys: int
    threshold: int


class Repository:
    """The directory of one party, on disk. Not for several threads at once."""

    def __init__(self, files: DirectoryFiles, party: str) -> None:
        self._files = files
        self._party = party

    # Founding

    def found(self, keepers: Sequence[RootKeyHolder], keyset: Keyset, now: datetime) -> None:
        """Write the first root and the first targets, signed by all `keepers`; nothing is published yet."""
        targets = [keeper for keeper in keepers if keeper.targets is not None]
        root = Root(version=1, expires=_until(now, ROOT_LIFE), consistent_snapshot=True)
        for keeper in keepers:
            root.add_key(keeper_signer(keeper.root).public_key, Root.type)
        root.roles[Root.type].threshold = ROOT_THRESHOLD
        for keeper in targets:
            if keeper.targets is not None:
                root.add_key(keeper_signer(keeper.targets).public_key, Targets.type)
        root.roles[Targets.type].threshold = TARGETS_THRESHOLD
        self._name_online(root, keyset)
        first = Metadata(self._targets(1, keyset, now))
        self.keep(_signed(Metadata(root), (keeper_signer(each.root) for each in keepers)), now)
        self.keep(
            _signed(first, (keeper_signer(k.targets) for k in targets if k.targets is not None)),
            now,
        )

    # Drafting, signing and keeping what root key holders sign

    def next_root(self, keyset: Keyset, now: datetime) -> Metadata[Root]:
        """Return the root that would follow, unsigned: a year more, and the pairs that wait or are in use."""
        root = self.root()
        root.version += 1
        root.expires = _until(now, ROOT_LIFE)
        self._name_online(root, keyset)
        return Metadata(root)

    def next_targets(self, keyset: Keyset, now: datetime) -> Metadata[Targets]:
        """Return the targets that would follow, unsigned: 90 days more, and the delegation pair likewise."""
        return Metadata(self._targets(self._files.newest(Targets.type) + 1, keyset, now))

    def keep(self, content: bytes, now: datetime) -> str:
        """Keep a root or targets file that enough root key holders signed; return its role. Raises as `follows` does."""
        signed = self.follows(content, now)
        role = str(signed.type)
        self._files.put_metadata(f"{signed.version}.{role}.json", content)
        return role

    def follows(self, content: bytes, now: datetime) -> Root | Targets:
        """Return what root key holders signed, where it may follow what we have; it is not kept yet.

        Raises UserError for one that does not follow the newest, has ended, is signed by too few, or whose quorum
        Ed25519 keys alone could be.
        """
        metadata = parse(content)
        signed = metadata.signed
        if not isinstance(signed, Root | Targets):
            raise UserError("root key holders sign root and targets files; this is another")
        kind = str(signed.type)
        newest = self._files.newest(kind)
        if signed.version != newest + 1:
            raise UserError(
                f"version {signed.version} of {kind} does not follow {newest}; draft it anew"
            )
        if signed.is_expired(now):
            raise UserError(f"this {kind} file has ended; draft it anew")
        if isinstance(signed, Root):
            delegators = [signed] if newest == 0 else [self.root(), signed]
            _demand_hybrid(signed)
        else:
            delegators = [self.root()]
            if signed.targets or signed.delegations is None:
                raise UserError("this targets file does not delegate to the party; draft it anew")
            _demand_pair(signed.delegations, self._party)
        for delegator in delegators:
            self._verify(delegator, kind, metadata)
        return signed

    def named_in(self, signed: Root | Targets, keyset: Keyset) -> tuple[KeyRecord, ...]:
        """Return our pairs that a root or targets file names. Raises UserError where it names others."""
        kinds = ONLINE[1:] if isinstance(signed, Root) else ONLINE[:1]
        return tuple(
            directory_signers.ours(keyset, kind, self._keyids(signed, kind)) for kind in kinds
        )

    # Publishing

    def publish(
        self,
        wanted: Mapping[str, bytes],
        keyset: Keyset,
        now: datetime,
        *,
        leap: int = 0,
    ) -> None:
        """Sign `wanted`, path to content, as our part of the directory; then what makes it count.

        leap   by how much more versions grow, where a restored folder may have forgotten some

        Raises what the disk raises, with the old state in force, and KeyNotUsable.
        """
        for path, content in wanted.items():
            self._files.put_target(path, content)
        delegated = Targets(
            version=self._files.newest(self._party) + 1 + leap,
            expires=_until(now, DELEGATION_LIFE),
            targets={
                path: TargetFile.from_data(path, content, ["sha256"])
                for path, content in sorted(wanted.items())
            },
        )
        pair = self._signers(keyset, KeyKind.DELEGATION)
        self._files.put_metadata(
            f"{delegated.version}.{self._party}.json", _signed(Metadata(delegated), pair)
        )
        self.resign(keyset, now, leap=leap)

    def resign(self, keyset: Keyset, now: datetime, *, leap: int = 0) -> None:
        """Say of the newest files that they belong together and are the newest; the timestamp comes last."""
        names = {
            f"{role}.json": f"{self._files.newest(role)}.{role}.json"
            for role in (Targets.type, self._party)
        }
        snapshot = Snapshot(
            version=self._files.newest(Snapshot.type) + 1 + leap,
            expires=_until(now, ONLINE_LIFE),
            meta={
                name: MetaFile.from_data(int(file.partition(".")[0]), self._there(file), ["sha256"])
                for name, file in names.items()
            },
        )
        content = _signed(Metadata(snapshot), self._signers(keyset, KeyKind.SNAPSHOT))
        self._files.put_metadata(f"{snapshot.version}.snapshot.json", content)
        timestamp = Timestamp(
            version=self._timestamped() + 1 + leap,
            expires=_until(now, ONLINE_LIFE),
            snapshot_meta=MetaFile.from_data(snapshot.version, content, ["sha256"]),
        )
        pair = self._signers(keyset, KeyKind.TIMESTAMP)
        self._files.put_metadata(TIMESTAMP, _signed(Metadata(timestamp), pair))  # the commit point
        self._prune()

    # Looking

    def root(self) -> Root:
        """Return the newest root."""
        return _read_as(Root, self._files.latest(Root.type))

    def published(self) -> Mapping[str, bytes]:
        """Return what partners find at this moment: path to SHA-256; nothing where they find no complete state."""
        delegated = self._delegated()
        return (
            {}
            if delegated is None
            else {
                path: bytes.fromhex(target.hashes["sha256"])
                for path, target in delegated.targets.items()
            }
        )

    def sound(self) -> bool:
        """Return whether what is published is complete, and valid under the newest root and targets."""
        content = self._files.metadata(TIMESTAMP)
        delegated = self._delegated()
        if content is None or delegated is None:
            return False
        try:
            root = self.root()
            self._verify(root, Timestamp.type, parse(content))
            snapshot = self._snapshot()
            self._verify(root, Snapshot.type, snapshot)
        except UserError:
            return False
        if not self.speaks():
            return False
        listed = {name: meta.version for name, meta in snapshot.signed.meta.items()}
        newest = {f"{r}.json": self._files.newest(r) for r in (Targets.type, self._party)}
        return listed == newest

    def speaks(self) -> bool:
        """Return whether our newest part is signed by whom the newest targets name."""
        try:
            self._verify(self._targets_file(), self._party, parse(self._files.latest(self._party)))
        except UserError:
            return False
        return True

    def expires(self) -> dict[str, datetime]:
        """Return when each role ends, by its name; the roles that are there."""
        return {role.name: role.expires for role in self.status()}

    def status(self) -> tuple[RoleStatus, ...]:
        """Return the state of each role, from root to timestamp."""
        root = self.root()
        targets = self._targets_file()
        found: list[tuple[str, Root | Targets | Snapshot | Timestamp, int, int]] = []
        for name, signed in ((Root.type, root), (Targets.type, targets)):
            role = root.roles[name]
            found.append((name, signed, len(role.keyids), role.threshold))
        delegated = self._delegated()
        if delegated is not None:
            found.append((self._party, delegated, PAIR, PAIR))
            found.append((Snapshot.type, self._snapshot().signed, PAIR, PAIR))
            content = self._files.metadata(TIMESTAMP)
            if content is not None:
                found.append((Timestamp.type, _read_as(Timestamp, content), PAIR, PAIR))
        return tuple(
            RoleStatus(name, signed.version, _aware(signed.expires), keys, threshold)
            for name, signed, keys, threshold in found
        )

    def named(self, keyset: Keyset, kind: KeyKind) -> bytes:
        """Return the id of our pair of `kind` that the directory asks for. Raises UserError where we have it not."""
        signed = self._targets_file() if kind is KeyKind.DELEGATION else self.root()
        return directory_signers.ours(keyset, kind, self._keyids(signed, kind)).kid

    # Inside

    def _targets_file(self) -> Targets:
        return _read_as(Targets, self._files.latest(Targets.type))

    def _keyids(self, signed: Root | Targets, kind: KeyKind) -> set[str]:
        if isinstance(signed, Root):
            return set(signed.roles[kind.value.lower()].keyids)
        if signed.delegations is None or signed.delegations.roles is None:
            raise InternalError("the directory's targets delegate to nobody")
        return set(signed.delegations.roles[self._party].keyids)

    def _signers(self, keyset: Keyset, kind: KeyKind) -> tuple[Signer, ...]:
        return directory_signers.signers(keyset, kind, self.named(keyset, kind))

    def _name_online(self, root: Root, keyset: Keyset) -> None:
        for kind in (KeyKind.SNAPSHOT, KeyKind.TIMESTAMP):
            role = kind.value.lower()
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
            for key in pair_publics(directory_signers.following(keyset, kind).public):
                root.add_key(key, role)
            root.roles[role].threshold = PAIR

    def _targets(self, version: int, keyset: Keyset, now: datetime) -> Targets:
        keys = pair_publics(directory_signers.following(keyset, KeyKind.DELEGATION).public)
        role = DelegatedRole(
            name=self._party,
            keyids=[key.keyid for key in keys],
            threshold=PAIR,
            terminating=True,
            paths=[f"{self._party}.json", "partners/*", "rights/*"],
        )
        delegations = Delegations({key.keyid: key for key in keys}, {self._party: role})
        return Targets(
            version=version, expires=_until(now, TARGETS_LIFE), targets={}, delegations=delegations
        )

    def _delegated(self) -> Targets | None:
        """Return our part as the timestamp has it, or None where there is no complete state yet."""
        if self._files.metadata(TIMESTAMP) is None:
            return None
        meta = self._snapshot().signed.meta[f"{self._party}.json"]
        return _read_as(Targets, self._there(f"{meta.version}.{self._party}.json"))

    def _snapshot(self) -> Metadata[Snapshot]:
        timestamp = _read_as(Timestamp, self._there(TIMESTAMP))
        content = self._there(f"{timestamp.snapshot_meta.version}.snapshot.json")
        return _whole_as(Snapshot, content)

    def _timestamped(self) -> int:
        content = self._files.metadata(TIMESTAMP)
        return 0 if content is None else _read_as(Timestamp, content).version

    def _there(self, name: str) -> bytes:
        content = self._files.metadata(name)
        if content is None:
            raise InternalError(f"the directory lacks {name}; restore the folder from backup")
        return content

    def _prune(self) -> None:
        kept = {TIMESTAMP}
        targets: set[tuple[str, bytes]] = set()
        for role in (Targets.type, self._party, Snapshot.type):
            newest = self._files.newest(role)
            kept |= {f"{version}.{role}.json" for version in range(newest - KEPT + 1, newest + 1)}
        for version in range(
            self._files.newest(self._party) - KEPT + 1, self._files.newest(self._party) + 1
        ):
            content = self._files.metadata(f"{version}.{self._party}.json")
            if content is not None:
                for path, target in _read_as(Targets, content).targets.items():
                    targets.add((path, bytes.fromhex(target.hashes["sha256"])))
        self._files.prune(kept, targets)

    @staticmethod
    def _verify(delegator: Root | Targets, role: str, metadata: Metadata[Any]) -> None:
        try:
            delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError:
            raise UserError(
                f"too few root key holders signed this {role} file; have more of them sign"
            ) from None
        except (RepositoryError, ValueError) as fault:
            raise UserError(f"this {role} file does not stand: {fault}") from None


def _signed(metadata: Metadata[_T], signers: Iterable[Signer]) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def _until(now: datetime, life: timedelta) -> datetime:
    return (now + life).astimezone(UTC).replace(microsecond=0)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse(content: bytes) -> Metadata[Any]:
    """Return a metadata file as it reads. Raises UserError."""
    try:
        return Metadata.from_bytes(content)
    except (RepositoryError, ValueError, RecursionError):
        raise UserError("this is no metadata file of a directory; draft it anew") from None


def _read_as(kind: type[_T], content: bytes) -> _T:
    """Return what a file of ours says, of the role that it must have. Raises InternalError."""
    return _whole_as(kind, content).signed


def _whole_as(kind: type[_T], content: bytes) -> Metadata[_T]:
    """Return a file of ours with its signatures, of the role that it must have. Raises InternalError."""
    try:
        metadata: Metadata[_T] = Metadata.from_bytes(content)
    except (RepositoryError, ValueError, RecursionError):
        raise InternalError("a metadata file is damaged; restore the folder from backup") from None
    if not isinstance(metadata.signed, kind):
        raise InternalError("a metadata file is of another role; restore the folder from backup")
    return metadata


def _demand_hybrid(root: Root) -> None:
    """Raise UserError where Ed25519 keys alone could sign a role."""
    for name, role in root.roles.items():
        kinds = [root.keys[keyid].keytype for keyid in role.keyids]
        if not hybrid(role.threshold, kinds):
            raise UserError(f"Ed25519 keys alone could sign {name}; replace one by ML-DSA-65")


def _demand_pair(delegations: Delegations, party: str) -> None:
    """Raise UserError unless `delegations` are to the party alone, and ask for more than Ed25519."""
    role = (delegations.roles or {}).get(party)
    if role is None or len(delegations.roles or {}) != 1:
        raise UserError("this targets file does not delegate to the party alone; draft it anew")
    kinds = [_keytype(delegations.keys[keyid]) for keyid in role.keyids]
    if not hybrid(role.threshold, kinds):
        raise UserError(f"Ed25519 keys alone could sign for {party}; draft it anew")


def _keytype(key: TufKey) -> str:
    return str(key.keytype)
