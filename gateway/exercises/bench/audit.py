"""How long an auditor waits: every question of law.md section 9, by its command, on an invented year in a bundle.

What is timed is the whole command in a process of its own, as it is typed: start, the auditor's passphrase, the bundle
opened, the index held against it, the question, the answer in words. Each is asked twice and the second is told:
the first may read from a cold disk. The index is made once before.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from gateway import user_files
from gateway.auditor.demographic_groups import HEAD
from gateway.auditor.index import Index, secret_of
from gateway.auditor.source import ArchiveSource
from gateway.errors import UserError
from gateway.exercises.bench import synthetic_year
from gateway.exercises.bench.synthetic_events import BEGINS, CALIBRATIONS, subjects
from gateway.exercises.subprocess_cli import START, environment
from gateway.ledger.archive import Archive
from keys.custody import FileCustody
from keys.keyset import KeyKind, Keyset

WORDS: Final = b"an invented year"  # a passphrase that keeps nothing
# question of law.md section 9 → the words of its command
QUESTIONS: Final[Mapping[str, str]] = {
    "1 who": "explain TXN --only who",
    "2 purpose": "explain TXN --only purpose",
    "3 content": "explain TXN --only content",
    "4 calibration": "explain TXN --only calibration",
    "5 keys": "explain TXN --only keys",
    "6 destruction": "destruction --since 2026-01-01",
    "7 review": "explain TXN --only review",
    "8 subject": "subject PERSON --lang en,fr --out PACK",
    "9 refusals": "refusals --since 2026-01-01",
    "10 quota": "quota --since 2026-01-01",
    "11 corrections": "corrections --since 2026-01-01 --late",
    "12 recall": f"recall {CALIBRATIONS[0]}",
    "13 anomalies": "anomalies --since 2026-01-01",
    "15 rates": "rates --by sex,age_band,region --since 2026-01-01 --groups GROUPS",
    "16 changes": "changes --before TXN --window 24h",
}

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Timed:
    """One command."""

    seconds: float
    cpu_seconds: float
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What was measured.

    make_s, index_s   seconds to invent the year, and to open every detail and fill the index, once
    peak_mib          memory of both
    questions         of each command: seconds on the clock, seconds of a processor, which a busy machine does not
                      stretch as much, and the exit code, where 1 is an answer with findings
    """

    entries: int
    bytes: int
    make_s: float
    index_s: float
    peak_mib: int
    questions: Mapping[str, Timed] = field(default_factory=dict)


class _Custody:
    """Keys of a gateway that is gone with this process: wrapped by nothing."""

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Return the secret."""
        del aad
        return secret

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        """Return the secret."""
        del aad
        return blob

    def describe(self) -> str:
        """Return what this is."""
        return "none"


def measured(
    folder: Path, entries: int, progress: Progress, questions: Mapping[str, str] = QUESTIONS
) -> Waiting:
    """Invent a year in an empty folder, index it, and ask every question; `progress` is told entries done.

    Two steps for each entry: written, read. The folder keeps the bundle `year.bundle`, the auditor's keys `auditor/`
    under the passphrase in `auditor.pass`, and `groups.csv`: to be asked by hand afterwards.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; name a new folder")
    folder = folder.resolve()  # the commands run in it
    auditor = _founded(folder)
    begin = time.perf_counter()
    _invented(folder, entries, auditor, progress)
    made = time.perf_counter()
    words = _indexed(folder, auditor, progress)
    indexed = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    asked = {name: _asked(folder, line, words) for name, line in questions.items()}
    return Waiting(
        entries=entries,
        bytes=(folder / "year.bundle").stat().st_size,
        make_s=round(made - begin, 1),
        index_s=round(indexed - made, 1),
        peak_mib=peak,
        questions=asked,
    )


def _founded(folder: Path) -> Keyset:
    (folder / "auditor").mkdir(mode=0o700, parents=True)
    user_files.write(folder / "auditor.pass", WORDS)
    custody = FileCustody.create(folder / "auditor" / "kek.json", WORDS)
    auditor = Keyset.create_auditor(BEGINS, "CAN", custody)
    auditor.save(folder / "auditor" / "keyset.json")
    lines = [tuple(HEAD), *subjects(Random(6))]  # noqa: S311 - invented people
    user_files.write(
        folder / "groups.csv", "".join(",".join(each) + "\n" for each in lines).encode()
    )
    return auditor


def _invented(folder: Path, entries: int, auditor: Keyset, progress: Progress) -> None:
    public = auditor.primary(KeyKind.AUDIT).public
    gateway = Keyset.create(BEGINS, "CAN", _Custody(), audit_public=public)
    synthetic_year.write(folder / "year.bundle", entries, gateway, progress=_steps(progress))


def _indexed(folder: Path, auditor: Keyset, progress: Progress) -> dict[str, str]:
    """Make the index that the commands will find, and return what their words stand for."""
    secret = secret_of(folder / "auditor", auditor.custody.wrap, auditor.custody.unwrap)
    bundle = folder / "year.bundle"
    with Archive.open(bundle) as archive, Index(folder / "year.bundle.index", secret) as index:
        index.extend(ArchiveSource(archive), auditor.audit_ring(), _steps(progress))
        wanted = "SELECT number, subject FROM exchanges WHERE subject IS NOT NULL AND direction = 1"
        number, subject = index.rows(f"{wanted} ORDER BY idx DESC LIMIT 1")[0]
    return {"TXN": number, "PERSON": f"S-{subject}", "GROUPS": str(folder / "groups.csv")}


def _asked(folder: Path, line: str, words: Mapping[str, str]) -> Timed:
    """Return what the second of two runs of a command took; raises UserError where it could not answer."""
    timed = Timed(0.0, 0.0, 0)
    for turn in (1, 2):
        meant = {**words, "PACK": str(folder / f"pack-{turn}")}
        command = [meant.get(word, word) for word in line.split()]
        key = ["--key", "auditor", "--key-passphrase-file", "auditor.pass"]
        begin, spent = time.perf_counter(), _spent()
        done = subprocess.run(  # noqa: S603 - our own interpreter and our own words
            [sys.executable, "-c", START, "audit", *command, "--bundle", "year.bundle", *key],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=folder,
            env=environment(),
        )
        seconds, used = time.perf_counter() - begin, _spent() - spent
        if done.returncode not in {0, 1}:
            raise UserError(
                f"passerelle audit {command[0]}: {done.stderr.decode()[-2000:].strip()}"
            )
        timed = Timed(round(seconds, 3), round(used, 3), done.returncode)
    return timed


def _spent() -> float:
    """Return the seconds of a processor that commands of ours have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _steps(progress: Progress) -> Callable[[int], None]:
    """Return what turns how many are done into how many more."""
    told = 0

    def step(done: int) -> None:
        nonlocal told
        progress(done - told)
        told = done

    return step
