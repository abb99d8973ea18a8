"""What the ledger costs on this machine: to write, to verify, and to believe one receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.exercises.bench import machine_speed
from gateway.exercises.crashtest import throughput


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured; later versions add fields and remove none.

    verify_seconds, verify_peak_mib   the whole ledger of `entries`, in a process of its own, keys accounted for
    append_per_s        entries with sealed details, `callers` at once, flushed by groups as the gateway serves
    per_row_per_s       the same with a checkpoint and a flush for each entry
    plain_per_s         rows of a plain table, a flush each: no tree, no signature, no seal, one writer
    commit_ms, per_row_commit_ms   median of one COMMIT: what the disk takes, by groups and one by one
    receipt_ms, receipt_bytes   verifying the receipt of one answer under the last checkpoint
    signatures_per_s, sha256_mb_per_s   kernels of one thread: compare machines by ratios to these
    """

    entries: int
    verified: bool
    verify_seconds: float
    verify_peak_mib: float
    verify_per_s: float
    store_mib: float
    callers: int
    append_per_s: float
    per_row_per_s: float
    plain_per_s: float
    commit_ms: float
    per_row_commit_ms: float
    receipt_ms: float
    receipt_bytes: int
    signatures_per_s: float
    sha256_mb_per_s: float
    cores: int


def measure(
    folder: Path,
    entries: int,
    seconds: float,
    progress: Callable[[float], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Measure it in a scratch folder; writing takes three times so many seconds.

    progress   is called for entries: each once when it is written, once when it is verified
    """
    tell("kernels")
    machine, hashing = machine_speed.measure(), throughput.kernel()
    tell("writing by groups, one by one, and to a plain table")
    grouped = throughput.write(folder, seconds, group=throughput.BY_GROUP)
    single = throughput.write(folder, seconds, group=1)
    plain = throughput.plain_rows(folder, seconds)
    tell("writing the ledger that is verified")
    path = folder / "ledger.db"
    throughput.fill(path, entries, progress)
    tell("verifying it whole")
    whole = throughput.verify(path)
    progress(whole.entries)
    receipt_ms, receipt_bytes = throughput.receipt(path)
    return Figures(
        entries=whole.entries,
        verified=whole.ok,
        verify_seconds=whole.seconds,
        verify_peak_mib=whole.peak_mib,
        verify_per_s=round(whole.entries / whole.seconds, 1),
        store_mib=round(path.stat().st_size / throughput.MIB, 1),
        callers=throughput.CALLERS,
        append_per_s=grouped.per_s,
        per_row_per_s=single.per_s,
        plain_per_s=plain,
        commit_ms=grouped.commit_ms,
        per_row_commit_ms=single.commit_ms,
        receipt_ms=receipt_ms,
        receipt_bytes=receipt_bytes,
        signatures_per_s=machine.signatures_per_s,
        sha256_mb_per_s=hashing,
        cores=machine_speed.cores(),
    )
