"""A rotation of every kind of key while partners ask without pause: what operators run in staging.

    (1) a gateway and its partners are made from nothing; the partners begin to ask
    (2) each kind is rotated in turn, by the operations that operators use, until the time is over: a successor is made,
        announced, promoted once every partner was seen to know it; its predecessor steps down. The pairs of the
        directory are promoted when its root key holders name them, with the keys in their folders
    (3) the partners stop, and say what came of their questions
    (4) the ledger is verified, as `passerelle ledger verify` does
    (5) a copy of the folder is opened by clocks that are ahead: two days later its round destroys the old sealing
        keys, a week later the old data keys, as two persons decided; messages that partners sealed, and records,
        which opened until then, are tried again

Nothing waits for days: a rotation is asked for, not awaited, and the 48 hours and the week pass on the copy alone.
"""

from __future__ import annotations

import base64
import itertools
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import gateway.server  # settles what gRPC speaks, before anything imports it  # noqa: F401
from gateway import user_files
from gateway.admin.operation import Officer
from gateway.client import Matter, Partner
from gateway.client.local_settings import read_folder
from gateway.directory.root_holders import KEEPERS
from gateway.directory.sign_draft import sign_as
from gateway.domain.messages import Header, Modality, Purpose, SignedEnvelope
from gateway.errors import UserError
from gateway.exercises.demo.parties import Party
from gateway.exercises.demo.queries import percentile
from gateway.exercises.live_gateway import HOME, PARTNERS, Stage, agreement
from gateway.exercises.load_client import questions
from gateway.exercises.scratch_folder import Scratch
from gateway.exercises.steady_client import Tally
from gateway.operations.declaration import Role
from gateway.server import self_check
from gateway.server.application import Gateway
from gateway.store.times import utc_now
from gateway.trust.partners import own_bundle
from keys import envelope
from keys.envelope import OpeningKey
from keys.errors import KeysError
from keys.keyset import Keyset
from keys.lifecycle import DESTRUCTION_WAIT, DIRECTORY, KEM_WINDOW, KeyKind, KeyState

# Every kind; an authority before the leaf that it issues.
_FIRST = (KeyKind.KEM, KeyKind.SIGNING, KeyKind.TLS_CA, KeyKind.TLS_LEAF)
ORDER = (*_FIRST, *(kind for kind in KeyKind if kind not in _FIRST))
SIGN = {
    "root": ("1", "2", "3"),
    "targets": ("1", "2"),
}  # root key holders who sign, as few as it takes
KEK = "KEK"  # the key above the keys: every seed is wrapped anew
TURNS = (*(kind.value for kind in ORDER), KEK)
LONGEST = 300.0  # seconds until it gives up on one rotation; every partner asks many times a second
PAUSE = 0.1  # seconds between looks
DAYS = (KEM_WINDOW + timedelta(hours=1), KEM_WINDOW + DESTRUCTION_WAIT + timedelta(hours=2))
REASON = "a drill"

ONE = Officer("O-1", frozenset({Role.OPERATOR}))
TWO = Officer("O-1", frozenset({Role.OPERATOR}), second="O-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; later versions add fields and remove none.

    seconds                 from the first rotation to the last, while all partners asked
    rotations, by_kind      successors that were put in use
    failed                  queries that were refused, or whose answer did not prove itself
    unanswered              queries to which nothing came back in time
    old_ciphertexts         messages and records that were sealed to keys that are destroyed now
    old_ciphertext_opens    those of them that still open
    ledger_verified         whether the whole ledger holds
    """

    seconds: float
    clients: int
    rotations: int
    by_kind: Mapping[str, int]
    queries: int
    failed: int
    failed_by_reason: Mapping[str, int]
    unanswered: int
    unanswered_by_reason: Mapping[str, int]
    old_ciphertexts: int
    old_ciphertext_opens: int
    ledger_verified: bool
    ledger_entries: int
    versions: int
    p50_ms: float
    p95_ms: float

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, nothing old opens, and every kind was rotated."""
        return (
            not self.failed
            and not self.unanswered
            and not self.old_ciphertext_opens
            and self.old_ciphertexts > 0
            and self.queries > 0
            and self.ledger_verified
            and all(self.by_kind.get(turn, 0) for turn in TURNS)
        )


_RECORD = b"a record of nobody"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message that a partner sealed to one of our keys."""

    envelope: SignedEnvelope
    header: Header


class Turner:
    """Rotates the keys of a serving gateway, kind by kind."""

    def __init__(
        self,
        gateway: Gateway,
        passphrase_file: Path | None = None,
        keepers_passphrase: Callable[[], bytes] | None = None,
    ) -> None:
        """Take the gateway.

        passphrase_file      the file with its passphrase, where that is to be changed too
        keepers_passphrase   of the root key holders' folders, where the directory's own pairs are to be rotated too
        """
        self._gateway, self._file = gateway, passphrase_file
        self._keepers_passphrase = keepers_passphrase
        self.done: Counter[str] = Counter()

    def rotate(self, kind: KeyKind) -> None:
        """Put a successor in use, and let its predecessors step down. Raises UserError where that takes too long."""
        before = self._active(kind)
        kid = self._adopted() if kind is KeyKind.AUDIT else self._rotated(kind)
        if kind in DIRECTORY:
            self._named(kind)
        self._until(lambda: self._active(kind)[-1:] == [kid], f"{kind.value} was not promoted")
        if kind is KeyKind.TLS_LEAF:
            self._leave((*before, *self._active(KeyKind.TLS_CA)[:-1]))
        elif kind in {KeyKind.SNAPSHOT, KeyKind.TIMESTAMP}:
            self._leave(before)
        elif kind is not KeyKind.TLS_CA:
            self._until(lambda: self._active(kind) == [kid], f"the old {kind.value} key stays")
        self.done[kind.value] += 1

    def rewrap(self) -> None:
        """Wrap all seeds under a new key, by another passphrase, which then stands in the file."""
        if self._file is None:
            raise UserError("the file with the passphrase was not named")
        new = self._file.with_suffix(".new")
        user_files.write(new, secrets.token_urlsafe(24).encode("ascii") + b"\n")
        values = {"passphrase_file": str(new.absolute()), "reason": REASON}
        self._gateway.admin.perform(TWO, "custody.rewrap", values)
        new.replace(self._file)
        self.done[KEK] += 1

    def _rotated(self, kind: KeyKind) -> bytes:
        answer = self._gateway.admin.perform(
            ONE, "keys.rotate", {"kind": kind.value, "reason": REASON}
        )
        return bytes.fromhex(str(answer["key"]))

    def _adopted(self) -> bytes:
        public = OpeningKey.generate().public
        answer = self._gateway.admin.perform(
            TWO, "keys.adopt", {"public": public.hex(), "reason": REASON}
        )
        return bytes.fromhex(str(answer["key"]))

    def _named(self, kind: KeyKind) -> None:
        """Have root key holders name the pair that waits, as they do at `passerelle directory root` or `renew`.

        A new root comes with a version of our entry: then every partner is waited for who has not walked to it.
        """
        if self._keepers_passphrase is None:
            raise UserError("the file with the root key holders' passphrase was not named")
        role = "targets" if kind is KeyKind.DELEGATION else "root"
        answer = self._gateway.admin.perform(ONE, "directory.draft", {"role": role})
        content = base64.b64decode(str(answer["metadata"]))
        for name in SIGN[role]:
            folder = self._gateway.home / KEEPERS / name
            content = sign_as(content, folder, self._keepers_passphrase())
        text = base64.b64encode(content).decode("ascii")
        adopted = self._gateway.admin.perform(ONE, "directory.adopt", {"metadata": text})
        version = int(str(adopted["entry_version"]))
        self._until(lambda: self._seen(version), f"the new {role} was not read by all")

    def _seen(self, version: int) -> bool:
        seen = self._gateway.keys.rotation.partners().values()
        return all(each is not None and each.version >= version for each in seen)

    def _leave(self, kids: Iterable[bytes]) -> None:
        """Let keys step down now, whose time would come after connections have grown old."""
        for kid in kids:
            if self._gateway.keyset.record(kid).state is KeyState.ACTIVE:
                self._gateway.admin.perform(
                    ONE, "keys.deactivate", {"key": kid.hex(), "reason": REASON}
                )

    def _active(self, kind: KeyKind) -> list[bytes]:
        found = [
            record
            for record in self._gateway.keyset.records
            if (record.kind, record.state) == (kind, KeyState.ACTIVE)
        ]
        return [r.kid for r in sorted(found, key=lambda record: (record.created, record.kid))]

    def _until(self, there: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + LONGEST
        while not there():
            if time.monotonic() > until:
                raise UserError(
                    f"{otherwise} within {LONGEST:.0f} s; the log above says what waits"
                )
            time.sleep(PAUSE)


def drill(
    folder: Path, *, clients: int, seconds: float, tell: Callable[[str], None] = lambda _: None
) -> Figures:
    """Run the drill in a scratch folder; raises UserError where a part does not start, or a rotation stands still."""
    with Scratch(folder) as scratch, ExitStack() as stack:
        tell("founding the parties")
        stage = stack.enter_context(Stage(scratch.folder, clients))
        callers = [stack.enter_context(each) for each in stage.callers()]
        for each in callers:
            each.wait_ready()
        home = stage.home
        turner = Turner(stage.gateway, home.passphrase_file, home.keepers_passphrase)
        sealed, records = list[Sealed](), list[bytes]()
        began = time.monotonic()
        for number in itertools.count():
            turn = TURNS[number % len(TURNS)]
            if number >= len(TURNS) and time.monotonic() >= began + seconds:
                break
            tell(f"{turn}, rotation {number + 1}")
            if turn == KEK:
                turner.rewrap()
                continue
            kind = KeyKind(turn)
            if kind is KeyKind.KEM:
                sealed.append(_sealed(stage.partners[0], stage.home))
            if kind is KeyKind.DATA:
                records.append(stage.gateway.keys.data_key.seal(_RECORD, _RECORD))
            turner.rotate(kind)
        lasted = time.monotonic() - began
        tell("ending the questions")
        tallies = [each.end() for each in callers]
        stack.close()
        tell("verifying the ledger")
        report = self_check.verify_ledger(stage.home.home)
        tell("days later, on a copy")
        opens = _later(stage.home, scratch.folder / "later", sealed, records)
        return _figures(
            tallies,
            turner.done,
            seconds=round(lasted, 1),
            clients=clients,
            old_ciphertexts=len(sealed) + len(records),
            old_ciphertext_opens=opens,
            ledger_verified=report.ok,
            ledger_entries=report.size,
            versions=own_bundle(stage.home.home).version,
        )


def _sealed(partner: Party, home: Party) -> Sealed:
    """Return a message that a partner seals to our key of this moment, and does not send."""
    folder = read_folder(partner.home, HOME, partner.passphrase)
    person, samples = questions(1)[0]
    matter = Matter(
        purpose=Purpose.TRAVEL_ENTER_REMAIN,
        agreement=(agreement(PARTNERS[0][1]), 1),
        case="drill",
        unit="drill",
        person=person.pseudonym,
    )
    bundle = own_bundle(home.home)
    with Partner.connect(folder.party, folder.keyset, bundle) as client:
        outgoing = client.compose(samples, **matter)
    return Sealed(outgoing.envelope, outgoing.question.header)


def _later(home: Party, copy: Path, sealed: Iterable[Sealed], records: Iterable[bytes]) -> int:
    """Let the windows end on a copy of the folder; return how many messages and records open after that.

    Raises UserError where one does not open before: then nothing was shown.
    """
    envelopes, blobs = tuple(sealed), tuple(records)
    shutil.copytree(home.home, copy)
    opens = []
    for ahead in DAYS:
        with _ahead(home, copy, ahead) as gateway:
            opens.append(_opening(gateway, envelopes, blobs))
            gateway.keys.reencryption.round()
            gateway.keys.rotation.round()
    if opens[0] != len(envelopes) + len(blobs):
        raise UserError(
            "something did not open before its key was destroyed; the drill shows nothing"
        )
    with _ahead(home, copy, DAYS[-1]) as gateway:
        if not list(gateway.subjects.gallery.batches(Modality.FINGER, 0, 1)):
            raise UserError(
                "the gallery is empty: what old data keys sealed was not moved to the new one"
            )
        return _opening(gateway, envelopes, blobs)


def _ahead(home: Party, copy: Path, by: timedelta) -> Gateway:
    return Gateway.open(copy, home.passphrase, clock=lambda: utc_now() + by)


def _opening(gateway: Gateway, envelopes: Iterable[Sealed], blobs: Iterable[bytes]) -> int:
    """Return how many open now."""
    found = sum(_opens(each, gateway.keyset) for each in envelopes)
    for blob in blobs:
        with suppress(KeysError):
            found += gateway.keys.data_key.open(blob, _RECORD) == _RECORD
    return found


def _opens(sealed: Sealed, keyset: Keyset) -> bool:
    """Say whether a message opens, at the kindest moment: inside the window of its key."""
    kid = sealed.header.kem_key_id
    try:
        key = keyset.opening(kid, keyset.record(kid).changed)
        envelope.open_sealed(
            sealed.envelope.sealed, sealed.envelope.header, sealed.header.payload_commitment, key
        )
    except KeysError:
        return False
    return True


def _figures(tallies: list[Tally], done: Counter[str], **known: object) -> Figures:
    failed: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    for tally in tallies:
        failed.update(tally.failed)
        silent.update(tally.unanswered)
    latencies = [each for tally in tallies for each in tally.latencies]
    return Figures(
        rotations=done.total(),
        by_kind={turn: done[turn] for turn in TURNS},
        queries=sum(tally.queries for tally in tallies),
        failed=failed.total(),
        failed_by_reason=dict(failed),
        unanswered=silent.total(),
        unanswered_by_reason=dict(silent),
        p50_ms=round(percentile(latencies, 0.5) * 1000, 2),
        p95_ms=round(percentile(latencies, 0.95) * 1000, 2),
        **known,  # type: ignore[arg-type]  # the rest of the fields, as `drill` names them
    )
