"""The memory of a partner's ledger goes forwards only, whoever writes it and in whatever order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.client.checkpoint_memory import CannotProve, Witness
from gateway.client.errors import DeadlineExceeded, SplitView
from gateway.errors import UserError
from gateway.ledger import signed_note, split_view
from gateway.ledger import split_view_evidence as evidence
from tests.patience import PATIENCE


def refuse(old: int, new: int) -> Sequence[bytes]:
    raise AssertionError("no proof should be fetched")


def show(witness: Witness, log: Any, size: int, floor: int = 0) -> None:
    witness.accept(log.signed(size), log.checkpoint(size), floor, log.prove)


def test_the_first_checkpoint_is_kept_as_it_was_signed(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    signed = log.signed()

    witness.accept(signed, log.checkpoint(), 0, refuse)

    assert kept_in.read_bytes() == signed
    assert kept_in.stat().st_mode & 0o777 == 0o600
    assert witness.size == 5


def test_a_restart_remembers(log: Any, kept_in: Path) -> None:
    show(Witness(log.identity, kept_in), log, 4)

    again = Witness(log.identity, kept_in)

    assert again.size == 4
    show(again, log, 5)
    assert Witness(log.identity, kept_in).size == 5


def test_the_same_tree_needs_no_second_proof(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 3)
    show(witness, log, 5)

    witness.accept(log.signed(5), log.checkpoint(5), 5, refuse)
    witness.accept(log.signed(3), log.checkpoint(3), 0, refuse)


def test_answers_out_of_order_are_proved_and_never_kept_backwards(log: Any, kept_in: Path) -> None:
    """Two answers cross on the way: the older tree is the beginning of the newer one."""
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)

    show(witness, log, 3)

    assert witness.size == 5
    assert signed_note.open_checkpoint(kept_in.read_bytes(), *log.identity.vkeys).size == 5


@pytest.mark.parametrize("restarted", [False, True])
def test_a_forked_tree_convicts(log: Any, kept_in: Path, restarted: bool) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)
    forged = log.fork(3)
    forged.grow(4, b"another history")
    if restarted:
        witness = Witness(log.identity, kept_in)

    with pytest.raises(SplitView) as caught:
        show(witness, forged, 7)

    evidence = json.loads(caught.value.evidence.read_bytes())
    both = [
        signed_note.open_checkpoint(evidence[name].encode(), *log.identity.vkeys)
        for name in ("kept", "seen")
    ]
    assert [one.size for one in both] == [5, 7]
    assert str(caught.value.evidence) in str(caught.value)
    assert witness.size == 5
    assert kept_in.read_bytes() == evidence["kept"].encode()


def test_a_fork_that_grows_fills_no_folder(log: Any, kept_in: Path) -> None:
    """Each new checkpoint of it contradicts the one that we keep; the first is enough."""
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)
    forged = log.fork(3)
    found = set()
    for size in range(6, 26):
        forged.grow(size - forged.checkpoint().size, b"another history")
        with pytest.raises(SplitView) as caught:
            show(witness, forged, size)
        found.add(caught.value.evidence)

    assert len(found) == 1
    assert list(kept_in.parent.glob("*.split-*")) == list(found)


def test_evidence_of_one_kind_is_bounded_and_a_stronger_kind_has_its_own_room(
    log: Any, tmp_path: Path
) -> None:
    """A ledger that shows a good tree between two forks earns a new file each time, up to a few."""
    beside = tmp_path / "CAN.checkpoint"
    log.grow(20)
    seen = log.signed(25)

    weak = [
        evidence.keep(beside, "cannot prove", "log", (log.signed(size), seen))
        for size in range(1, 21)
    ]
    strong = evidence.keep(beside, "two trees of one size", "log", (log.signed(3), seen))

    assert len(set(weak)) == evidence.MOST
    assert weak[evidence.MOST :] == [min(weak)] * (20 - evidence.MOST)
    assert strong not in weak
    files = list(tmp_path.iterdir())
    assert len(files) == evidence.MOST + 1
    assert all(each.stat().st_size <= split_view.MOST for each in files)
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in files)


def test_evidence_that_is_there_is_not_written_over(log: Any, tmp_path: Path) -> None:
    """Its digest stands in our ledger."""
    beside = tmp_path / "CAN.checkpoint"
    first = evidence.keep(beside, "rewritten", "log", (log.signed(3), log.signed(4)))
    octets = first.read_bytes()

    again = evidence.keep(beside, "rewritten", "log", (log.signed(3), log.signed(5)))

    assert (again, again.read_bytes()) == (first, octets)


def test_two_trees_of_one_size_convict(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)
    forged = log.fork(4)
    forged.grow(1, b"another last leaf")

    with pytest.raises(SplitView, match="two trees of one size"):
        show(witness, forged, 5)


def test_an_older_fork_convicts(log: Any, kept_in: Path) -> None:
    """A smaller tree is no answer out of order unless it is the beginning of the one kept."""
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)
    forged = log.fork(2)
    forged.grow(1, b"another history")

    with pytest.raises(SplitView, match="rewritten"):
        witness.accept(forged.signed(3), forged.checkpoint(3), 0, log.prove)


def test_a_tree_restored_from_backup_convicts(log: Any, kept_in: Path) -> None:
    """The answer to a question sent after size 5 lies in a tree larger than 5, or history went back."""
    witness = Witness(log.identity, kept_in)
    show(witness, log, 5)

    with pytest.raises(SplitView, match="backwards"):
        show(witness, log, 4, floor=5)


def test_a_log_that_cannot_prove_is_convicted(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 3)

    def cannot(old: int, new: int) -> Sequence[bytes]:
        raise CannotProve

    with pytest.raises(SplitView, match="cannot prove"):
        witness.accept(log.signed(5), log.checkpoint(5), 0, cannot)

    assert witness.size == 3


def test_a_log_that_does_not_answer_is_not_accused(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 3)

    def silent(old: int, new: int) -> Sequence[bytes]:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        witness.accept(log.signed(5), log.checkpoint(5), 0, silent)

    assert not list(kept_in.parent.glob("*.json"))
    assert witness.size == 3


def test_many_threads_leave_the_largest_tree(log: Any, kept_in: Path) -> None:
    log.grow(60)
    witness = Witness(log.identity, kept_in)
    start = threading.Barrier(8)

    def ask(worker: int) -> None:
        start.wait()
        for size in range(1 + worker, 65, 8):
            show(witness, log, size)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))

    assert witness.size == 64
    assert signed_note.open_checkpoint(kept_in.read_bytes(), *log.identity.vkeys).size == 64


def test_one_proof_serves_all_who_saw_the_same_tree(log: Any) -> None:
    """Answers of one batch of the peer share a checkpoint."""
    witness = Witness(log.identity)
    show(witness, log, 2)
    fetched: list[tuple[int, int]] = []

    def prove(old: int, new: int) -> Sequence[bytes]:
        fetched.append((old, new))
        time.sleep(0.05)
        return log.prove(old, new)

    def see(_: int) -> None:
        witness.accept(log.signed(5), log.checkpoint(5), 2, prove)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(see, range(8)))

    assert fetched == [(2, 5)]


def test_nobody_waits_for_a_turn_past_his_deadline(log: Any) -> None:
    witness = Witness(log.identity)
    show(witness, log, 2)
    entered, leave = threading.Event(), threading.Event()

    def slow(old: int, new: int) -> Sequence[bytes]:
        entered.set()
        leave.wait(PATIENCE)
        return log.prove(old, new)

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(witness.accept, log.signed(4), log.checkpoint(4), 2, slow)
        entered.wait(PATIENCE)
        with pytest.raises(DeadlineExceeded):
            witness.accept(
                log.signed(5), log.checkpoint(5), 2, refuse, until=time.monotonic() + 0.05
            )
        leave.set()
        first.result(PATIENCE)

    assert witness.size == 4


def test_two_processes_never_move_the_file_backwards(log: Any, kept_in: Path) -> None:
    """Two witnesses on one file know nothing of each other but the file, like two processes."""
    one, other = Witness(log.identity, kept_in), Witness(log.identity, kept_in)
    show(one, log, 2)
    show(other, log, 5)

    show(one, log, 4)

    assert one.size == 5
    assert signed_note.open_checkpoint(kept_in.read_bytes(), *log.identity.vkeys).size == 5


def test_another_process_that_saw_a_fork_is_noticed(log: Any, kept_in: Path) -> None:
    one, other = Witness(log.identity, kept_in), Witness(log.identity, kept_in)
    forged = log.fork(2)
    forged.grow(4, b"another history")
    show(other, forged, 6)

    with pytest.raises(SplitView):
        show(one, log, 5)


def test_an_older_file_put_back_does_not_lower_a_running_witness(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 3)
    older = kept_in.read_bytes()
    show(witness, log, 5)
    kept_in.write_bytes(older)

    show(witness, log, 4)

    assert witness.size == 5
    assert signed_note.open_checkpoint(kept_in.read_bytes(), *log.identity.vkeys).size == 5


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\xff\xfe"])
def test_a_damaged_file_is_refused_with_a_remedy(log: Any, kept_in: Path, content: bytes) -> None:
    kept_in.parent.mkdir()
    kept_in.write_bytes(content)

    with pytest.raises(UserError, match="damaged"):
        Witness(log.identity, kept_in)


def test_without_a_folder_the_memory_is_the_process(log: Any) -> None:
    witness = Witness(log.identity)
    show(witness, log, 3)
    show(witness, log, 5)

    forged = log.fork(1)
    forged.grow(5, b"another history")
    with pytest.raises(SplitView) as caught:
        show(witness, forged, 6)
    assert caught.value.evidence is None


def test_an_empty_ledger_begins_every_ledger(log: Any, kept_in: Path) -> None:
    witness = Witness(log.identity, kept_in)
    show(witness, log, 0)

    witness.accept(log.signed(5), log.checkpoint(5), 0, refuse)

    assert witness.size == 5


def test_only_so_many_judged_trees_are_remembered(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.checkpoint_memory.JUDGED", 2)
    witness = Witness(log.identity)
    for size in (5, 4, 3, 2):
        show(witness, log, size)

    assert set(witness._judged) == {3, 2}
    assert witness.kept is not None
