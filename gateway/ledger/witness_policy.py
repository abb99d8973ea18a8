"""Whose cosignatures a checkpoint needs: the policy file of C2SP tlog-policy (C2SP/C2SP@5ba5ee8).

    log <vkey> [<url>]                   the log; ours is named by either of its two keys
    witness <name> <vkey> [<url>]        a witness, by a cosigner's key: ML-DSA-44 (0x06) or Ed25519 (0x04)
    group <name> <all|any|k> <member>…   k of the members; members are witnesses or groups of earlier lines
    quorum <name>                        exactly one: a witness, a group, or `none`

Names refer backwards only, each is in one group at most, and no key stands twice. Words stand between spaces and
tabs, lines end in a line feed; other control characters are refused. URLs are for programs that ring a log or a
witness up: they are passed over. A quorum of `none` permits what nobody cosigned; whoever wants that must write it.
Both log signatures are demanded besides, whatever the file says: a policy that took any listed log key would let
whoever forges Ed25519 write history.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.ledger.errors import AuditFault, NoteRefused
from gateway.ledger.signed_note import (
    Checkpoint,
    KeyType,
    LogIdentity,
    VerifierKey,
    line_of,
    parse_note,
)

MAX_POLICY: Final = 262_144  # bytes; 32 logs and 32 witnesses of 1.8 KB each, their URLs, and room
MAX_WITNESSES: Final = (
    32  # as the specification asks for; a note has room for them and two pairs of the log
)
MAX_GROUPS: Final = 32
DEEPEST: Final = 8  # groups within each other
NONE: Final = "none"
LOGS: Final = {KeyType.MLDSA44: "ML-DSA-44 (0x06)", KeyType.ED25519: "Ed25519 (0x01)"}
COSIGNERS: Final = {
    KeyType.MLDSA44: "ML-DSA-44 (0x06)",
    KeyType.ED25519_COSIGNER: "an Ed25519 cosigner (0x04)",
}

# A note's key name may be a witness's, and is as long. The controls beyond ASCII would move a terminal's cursor.
_name = re.compile(r"[!-~\xa0-\U0010ffff]{1,255}")
_control = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_blank = re.compile(rb"[ \t]+")
_number = re.compile(r"[1-9][0-9]{0,3}")


class PolicyRefused(AuditFault):
    """A policy file breaks a rule of tlog-policy; the message names the line."""


@dataclass(frozen=True, slots=True)
class Group:
    """So many of these members."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as read; `quorum` names a witness or a group, or is `none`."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey] = field(repr=False)
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, octets: bytes) -> Policy:
        """Read a policy file strictly; raises `PolicyRefused`."""
        return _parse(octets)

    def demand(self, log: LogIdentity) -> None:
        """Raise `PolicyRefused` where the policy names ledgers, and not this one by any of its pairs."""
        pairs = (log.vkeys, *log.past, *(each[:2] for each in log.stopped))
        own = {VerifierKey.parse(vkey).public for pair in pairs for vkey in pair}
        if self.logs and own.isdisjoint(each.public for each in self.logs):
            raise PolicyRefused(f"the policy is of another ledger than {log.origin}")

    def satisfied(self, names: frozenset[str]) -> bool:
        """Return whether these witnesses, by their names in the policy, make the quorum."""
        return self.quorum == NONE or self._counts(self.quorum, names)

    def cosigned(
        self, note: bytes, more: Mapping[str, Sequence[VerifierKey]] | None = None
    ) -> frozenset[str]:
        """Return which witnesses' lines stand under a note and verify, by their names in the policy.

        more   further keys by the name that they sign under, which the directory vouches for: a witness that has
               replaced its key is still the witness whom the policy names

        A line that does not verify counts for nothing.
        """
        found = set()
        try:
            parsed = parse_note(note)
        except NoteRefused:
            return frozenset()
        for name, key in self.witnesses.items():
            for each in (key, *((more or {}).get(key.name, ()))):
                try:
                    if each.name == key.name and line_of(parsed, each) is not None:
                        found.add(name)
                        break
                except NoteRefused:
                    continue
        return frozenset(found)

    def reached(
        self,
        notes: Iterable[bytes],
        more: Mapping[str, Sequence[VerifierKey]] | None = None,
    ) -> int:
        """Return up to which size of one tree the quorum has cosigned; 0 where it never did.

        notes  checkpoints of one tree, which the caller MUST have verified to be of one; each with whatever lines
        more   as in `cosigned`

        Witnesses look at different moments. Whoever signed a larger tree has had it proved that it begins with the
        smaller one, and so counts for that one too.
        """
        sizes: dict[str, int] = {}
        for note in notes:
            size = Checkpoint.parse(parse_note(note).text).size
            for name in self.cosigned(note, more):
                sizes[name] = max(size, sizes.get(name, 0))
        for size in sorted(set(sizes.values()), reverse=True):
            if self.satisfied(frozenset(name for name, own in sizes.items() if own >= size)):
                return size
        return 0

    def _counts(self, name: str, names: frozenset[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in names
        return sum(self._counts(each, names) for each in group.members) >= group.threshold


def _parse(octets: bytes) -> Policy:
    if len(octets) > MAX_POLICY:
        raise PolicyRefused(f"the policy is longer than {MAX_POLICY} bytes")
    reader = _Reader()
    for number, line in enumerate(octets.split(b"\n"), 1):
        if _control.search(line):
            raise PolicyRefused(
                f"line {number}: a control character; lines end in a line feed alone, without a carriage return"
            )
        words = [word for word in _blank.split(line) if word]
        if not words or words[0].startswith(b"#"):
            continue
        try:
            # Octets beyond ASCII are opaque: what is no UTF-8 keeps a spelling of its own, and is never equal to another.
            reader.read([word.decode("utf-8", "backslashreplace") for word in words])
        except (PolicyRefused, NoteRefused) as fault:
            raise PolicyRefused(f"line {number}: {fault}") from None
    return reader.policy()


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.grouped: set[str] = set()
        self.depths: dict[str, int] = {}
        self.quorum = ""

    def read(self, words: list[str]) -> None:
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self.logs.append(self._key(vkey, LOGS))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self._new(name)
                if len(self.witnesses) == MAX_WITNESSES:
                    raise PolicyRefused(f"more than {MAX_WITNESSES} witnesses")
                self.witnesses[name] = self._key(vkey, COSIGNERS)
            case ["group", name, threshold, *members] if members:
                self._new(name)
                if len(self.groups) == MAX_GROUPS:
                    raise PolicyRefused(f"more than {MAX_GROUPS} groups")
                self.groups[name] = self._group(threshold, members)
                self.depths[name] = 1 + max(self.depths.get(each, 0) for each in members)
                if self.depths[name] > DEEPEST:
                    raise PolicyRefused(f"more than {DEEPEST} groups within each other")
            case ["quorum", name]:
                if self.quorum:
                    raise PolicyRefused("a second quorum")
                if name != NONE and name not in self.witnesses and name not in self.groups:
                    raise PolicyRefused("the quorum names nothing of an earlier line")
                self.quorum = name
            case _:
                raise PolicyRefused(
                    "not `log VKEY [URL]`, `witness NAME VKEY [URL]`, `group NAME K MEMBER…` or `quorum NAME`"
                )

    def policy(self) -> Policy:
        if not self.quorum:
            raise PolicyRefused("there is no quorum line; `quorum none` says that none is wanted")
        return Policy(tuple(self.logs), self.witnesses, self.groups, self.quorum)

    def _key(self, vkey: str, types: Mapping[KeyType, str]) -> VerifierKey:
        key = VerifierKey.parse(vkey)
        if key.type not in types:
            raise PolicyRefused(f"the key is not of {' or '.join(types.values())}")
        if key.public in {each.public for each in (*self.logs, *self.witnesses.values())}:
            raise PolicyRefused("the key stands twice, under whatever names: it is one witness")
        return key

    def _new(self, name: str) -> None:
        if name in self.witnesses or name in self.groups or name == NONE:
            raise PolicyRefused("the name stands twice, or is kept for `quorum none`")
        if not _name.fullmatch(name):
            raise PolicyRefused("a name has 1 to 255 visible characters")

    def _group(self, threshold: str, members: list[str]) -> Group:
        if len(members) > MAX_WITNESSES + MAX_GROUPS:
            raise PolicyRefused("a group names more than there can be")
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise PolicyRefused("a group names nothing of an earlier line")
            if member in self.grouped or members.count(member) > 1:
                raise PolicyRefused("a member is in a group already")
        self.grouped.update(members)
        if threshold in {"all", "any"}:
            return Group(len(members) if threshold == "all" else 1, tuple(members))
        if not _number.fullmatch(threshold) or int(threshold) > len(members):
            raise PolicyRefused("a group needs all, any, or a number of its members")
        return Group(int(threshold), tuple(members))
