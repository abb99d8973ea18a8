"""Everything that whoever holds the files could do to a ledger, done many times, and what of it is not found out.

(1) the rows, by an operator with a shell: `gateway.exercises.crashtest.tamper`, found by `passerelle ledger verify`
(2) the end of another ledger spliced in
(3) two histories under the true keys, each shown to another partner, whose witnesses then compare
(4) a database restored from yesterday, with and without new entries since, before a witness
(5) receipts: of another index, of another entry, with any byte flipped; checkpoints of another name
(6) an exported bundle: any byte flipped, cut, lengthened; an entry changed and the digest mended
(7) tiles, as others read them: any byte flipped, or a tile missing
(8) published files, held against the rows: any byte flipped, one missing, cut or in the place of another

Each trial is told by its kind and number. A trial that changes nothing is not counted.
"""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from gateway.client.checkpoint_memory import CannotProve, Witness
from gateway.client.errors import SplitView
from gateway.domain.messages import Receipt
from gateway.errors import PasserelleError
from gateway.exercises.crashtest import fixture_ledger, tamper
from gateway.exercises.drill.tampered_files import Files, Trial, flipped, nodes_of
from gateway.ledger import merkle, signed_note
from gateway.ledger.archive import Archive, Held, Manifest
from gateway.ledger.archive_verify import verify_archive
from gateway.ledger.archive_writer import Writer
from gateway.ledger.errors import AuditFault
from gateway.ledger.merkle import Frontier
from gateway.ledger.proof import make_proof, verify_receipt

OTHER_ORIGIN = "elsewhere.example/exchange-log"

FOUND = (True, True)
MISSED = (False, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; later versions add fields and remove none.

    undetected   trials that no verification found out
    unnamed      trials that were found out without the index of the entry that was changed
    missed       kinds of which a trial was undetected or unnamed
    """

    trials: int
    kinds: int
    undetected: int
    unnamed: int
    tried: dict[str, int]
    missed: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was tried, and found out."""
        return not self.undetected and not self.unnamed and all(self.tried.values())


def drill(folder: Path, count: int, progress: Callable[[float], None] = lambda _: None) -> Figures:
    """Do `count` trials, every kind in turn; `progress` is told of each."""
    kinds = Tampering(folder).kinds()
    tried: Counter[str] = Counter(dict.fromkeys(kinds, 0))
    missed: set[str] = set()
    undetected = unnamed = 0
    for number, (name, trial) in enumerate(islice(cycle(kinds.items()), count)):
        seed = f"{name} {number}"
        told = trial(random.Random(seed))  # noqa: S311 - a trial is told by its seed
        progress(1)
        if told is None:
            continue
        tried[name] += 1
        found, named = told
        undetected += not found
        unnamed += not named
        if not (found and named):
            missed.add(seed)
    return Figures(
        trials=sum(tried.values()),
        kinds=len(kinds),
        undetected=undetected,
        unnamed=unnamed,
        tried=dict(tried),
        missed=tuple(sorted(missed)),
    )


class Tampering:
    """All kinds, over one specimen in a scratch folder."""

    def __init__(self, folder: Path) -> None:
        """Write the ledgers, the bundle and the tiles that are tampered with; raises where they do not verify."""
        self._folder, self._path = folder, folder / "tampered.db"
        self._ledger = fixture_ledger.make(folder)
        self._other = fixture_ledger.make(folder, 1)
        self._nodes = nodes_of([each.leaf for each in self._ledger.held])
        self._bundle = self._bound(self._ledger.held)
        self._files = Files(folder, self._ledger)
        tamper.do(self._path, lambda *_: (True, None), random.Random(0), self._ledger)  # noqa: S311
        whole = fixture_ledger.verify(self._path, self._ledger, keys=True).ok and self._read(
            self._bundle
        )
        if not whole or not self._files.whole():
            raise PasserelleError("the specimen does not verify before anything was done to it")

    def kinds(self) -> dict[str, Trial]:
        """Return every kind by its name."""
        rows = {name: self._row(act) for name, act in tamper.acts().items()}
        return {
            **rows,
            "splice two ledgers": self._splice,
            "two histories before two witnesses": self._fork,
            "restored from yesterday before a witness": self._yesterday,
            "restored from yesterday and written on": self._regrown,
            "a checkpoint of another name": self._other_name,
            "a checkpoint signed by other keys": self._other_keys,
            "a receipt with another index": self._wrong_index,
            "a receipt of another entry": self._other_entry,
            "flip a bit of a receipt": self._receipt_bit,
            "flip a bit of a bundle": self._bundle_bit,
            "cut or lengthen a bundle": self._bundle_end,
            "change an entry of a bundle and mend its digest": self._bundle_entry,
            **self._files.kinds(),
        }

    # (1), (2) ---------------------------------------------------------------------------------------

    def _row(self, act: tamper.Act) -> Trial:
        def trial(chance: random.Random) -> tuple[bool, bool] | None:
            changed, index = tamper.do(self._path, act, chance, self._ledger)
            return self._judged(index) if changed else None

        return trial

    def _splice(self, chance: random.Random) -> tuple[bool, bool]:
        tamper.splice(self._path, self._ledger, self._other, chance)
        return self._judged(None)

    def _judged(self, index: int | None) -> tuple[bool, bool]:
        try:
            report = fixture_ledger.verify(self._path, self._ledger, keys=True)
        except PasserelleError:
            return FOUND
        named = index is None or index in {finding.index for finding in report.findings}
        # A cosignature of a key that we do not know is a notice: partners replace theirs.
        noticed = any("cosignature" in finding.text for finding in report.findings)
        return not report.ok or noticed, named

    # (3), (4) ---------------------------------------------------------------------------------------

    def _fork(self, chance: random.Random) -> tuple[bool, bool] | None:
        """Each partner's witness is content with what it is shown; then one is shown the other's."""
        mine = [each.leaf for each in self._ledger.held]
        at = chance.randrange(1, len(mine))
        forked = [*mine[:at], *(each.leaf for each in self._other.held[at : len(mine)])]
        forked += [mine[0]] * chance.randrange(3)
        if forked[: len(mine)] == mine:
            return None  # the two ledgers end alike: one history, perhaps longer
        one, two = self._witness(mine), self._witness(forked)
        return self._splits(two, mine) and self._splits(one, forked), True

    def _yesterday(self, chance: random.Random) -> tuple[bool, bool]:
        mine = [each.leaf for each in self._ledger.held]
        return self._splits(self._witness(mine), mine[: -chance.randrange(1, 99)]), True

    def _regrown(self, chance: random.Random) -> tuple[bool, bool]:
        mine = [each.leaf for each in self._ledger.held]
        again = [*mine[: -chance.randrange(2, 99)], *[mine[0]] * 100]
        return self._splits(self._witness(mine), again), True

    def _witness(self, history: Sequence[bytes]) -> Witness:
        witness = Witness(self._ledger.log)
        self._show(witness, history)
        return witness

    def _splits(self, witness: Witness, history: Sequence[bytes]) -> bool:
        try:
            self._show(witness, history)
        except SplitView:
            return True
        return False

    def _show(self, witness: Witness, history: Sequence[bytes]) -> None:
        """Show a witness a history's head, signed by the true keys, with what proofs it can give."""
        get, size = nodes_of(history), len(history)
        said = signed_note.Checkpoint(fixture_ledger.ORIGIN, size, merkle.root_at(size, get))
        signed = signed_note.sign_checkpoint(said, self._ledger.key, fixture_ledger.START)

        def prove(old: int, new: int) -> Sequence[bytes]:
            if new > size:
                raise CannotProve
            return merkle.consistency_proof(old, new, get)

        witness.accept(signed, self._ledger.log.open(signed), witness.size, prove)

    # (5) --------------------------------------------------------------------------------------------

    def _other_name(self, chance: random.Random) -> tuple[bool, bool]:
        said = signed_note.Checkpoint(OTHER_ORIGIN, chance.randrange(1, 9), bytes(32))
        return self._refused(
            signed_note.sign_checkpoint(said, self._ledger.key, fixture_ledger.START)
        ), True

    def _other_keys(self, chance: random.Random) -> tuple[bool, bool]:
        return self._refused(chance.choice(self._other.notes)), True

    def _refused(self, signed: bytes) -> bool:
        try:
            self._ledger.log.open(signed)
        except AuditFault:
            return True
        return False

    def _wrong_index(self, chance: random.Random) -> tuple[bool, bool]:
        index, receipt, _ = self._ledger.answered
        head, _, signed = receipt.tlog_proof.partition(b"\n\n")
        wrong = chance.choice([n for n in range(self._ledger.size) if n != index])
        lines = head.split(b"\n")
        lines[1] = b"index %d" % wrong
        return self._no_receipt(receipt.leaf, b"\n".join(lines) + b"\n\n" + signed)

    def _other_entry(self, chance: random.Random) -> tuple[bool, bool]:
        """A true proof, but of another leaf than that of this answer."""
        index, receipt, _ = self._ledger.answered
        wrong = chance.choice([n for n in range(self._ledger.size) if n != index])
        hashes = merkle.inclusion_proof(wrong, self._ledger.size, self._nodes)
        proof = make_proof(wrong, hashes, self._ledger.notes[-1])
        leaf = chance.choice((receipt.leaf, self._ledger.held[wrong].leaf))
        return self._no_receipt(leaf, proof)

    def _receipt_bit(self, chance: random.Random) -> tuple[bool, bool]:
        _, receipt, _ = self._ledger.answered
        if chance.random() < 0.3:
            return self._no_receipt(flipped(receipt.leaf, chance), receipt.tlog_proof)
        return self._no_receipt(receipt.leaf, flipped(receipt.tlog_proof, chance))

    def _no_receipt(self, leaf: bytes, proof: bytes) -> tuple[bool, bool]:
        expected = self._ledger.answered[2]
        try:
            verify_receipt(Receipt(leaf, proof), log=self._ledger.log, expected=expected)
        except AuditFault:
            return FOUND
        return MISSED

    # (6) --------------------------------------------------------------------------------------------

    def _bundle_bit(self, chance: random.Random) -> tuple[bool, bool]:
        return not self._read(flipped(self._bundle, chance)), True

    def _bundle_end(self, chance: random.Random) -> tuple[bool, bool]:
        many = chance.randrange(1, 20_000)
        changed = chance.choice((self._bundle[:-many], self._bundle + bytes(many)))
        return not self._read(changed), True

    def _bundle_entry(self, chance: random.Random) -> tuple[bool, bool]:
        """What a whole bundle can say of its entries; a sealed key is committed to nowhere."""
        held = list(self._ledger.held)
        at = chance.choice([each.index for each in held if each.ciphertext and each.sealed_dek])
        one = held[at]
        ciphertext = one.ciphertext or b""
        held[at] = chance.choice(
            (
                replace(one, leaf=flipped(one.leaf, chance)),
                replace(one, ciphertext=flipped(ciphertext, chance)),
                replace(one, ciphertext=None),
                replace(one, sealed_dek=None),
                replace(one, leaf=held[at - 1].leaf),
            )
        )
        return not self._read(self._bound(held)), True

    def _bound(self, held: Sequence[Held]) -> bytes:
        path = self._folder / "bundle"
        with Writer(path) as writer:
            writer.document("party.json", b"{}")
            writer.frontier(Frontier())
            writer.entries(held)
            writer.checkpoints(self._ledger.notes)
            writer.cosignatures(())
            writer.tokens(())
            writer.finish(Manifest("CAN", fixture_ledger.ORIGIN, 0, len(held), "2026-01-01"))
        content = path.read_bytes()
        path.unlink()
        return content

    def _read(self, content: bytes) -> bool:
        try:
            return verify_archive(Archive(io.BytesIO(content)), self._ledger.log).ok
        except AuditFault:
            return False
