"""Mutate the corpus until something breaks: any exception but a refusal is a find, and so is a slow read.

python tests/fuzz/fuzz.py [--rounds 1000000] [--seed 1] [--finds FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gateway.matching.engine import UnreadableSample
from gateway.matching.sample_files import opened
from gateway.sample_files import ansi_nist, ansi_nist_text, cbeff_xml, picture_text, piv_card
from gateway.sample_files.errors import MalformedFile
from matcher.errors import MalformedRecord
from matcher.face import record as face_record
from matcher.finger import record_ansi_nist, record_fmr
from matcher.iris import record as iris_record

CORPUS = Path(__file__).parent / "corpus"
STRIPPERS = (ansi_nist_text.stripped, cbeff_xml.stripped, piv_card.stripped)
REFUSED = (MalformedFile, MalformedRecord)  # what a strict reader says of a file
SLOW = 1.0  # seconds; a record of 64 KB is read in milliseconds
TELLING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 0x1C, 0x1D, 0x1E, 0x1F, 0x30, 0x39)


def strictly(data: bytes) -> None:
    """Read a record as a partner's is read, or a transaction file."""
    own = _own(data)
    if own is not None:
        own(data)
        return
    if not ansi_nist.is_transaction(data):
        record_fmr.read(data)
        return
    for record in ansi_nist.read(data):
        if record.kind != ansi_nist.TRANSACTION:
            record_ansi_nist.view(record.fields, record.start)


def leniently(data: bytes) -> None:
    """Read a record as an operator's file is read, and take text about a person out of it."""
    own = _own(data)
    if own is not None:
        own(data)
        return
    opened(data)
    for strip in STRIPPERS:
        with suppress(MalformedFile):
            strip(data)
    with suppress(MalformedFile):
        picture_text.names(data)


def _own(data: bytes) -> Callable[[bytes], object] | None:
    """Return the reader of a record of our own; None for another record or a file."""
    readers = {each.MAGIC: each.read for each in (face_record, iris_record)}
    return readers.get(data[:4])


def corpus() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.bin"))}


def mutated(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return a seed with one to five changes: a byte, a run copied, cut, doubled or taken from another seed."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 5)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.randint(1, 12))
        kind = rng.randrange(6)
        if kind <= 1 and start < len(data):
            data[start] = rng.choice(TELLING) if kind else rng.randrange(256)
        elif kind == 2:
            del data[start:end]
        elif kind == 3:
            data[start:start] = data[start:end]
        elif kind == 4:
            other = rng.choice(seeds)
            place = rng.randrange(len(other) + 1)
            data[start:end] = other[place : place + rng.randint(0, 40)]
        else:
            # Set the length right, so that what comes behind the gate is met too.
            data[8:12] = len(data).to_bytes(4, "big")
    return bytes(data)


def finds(rounds: int, seed: int) -> Iterator[tuple[bytes, str]]:
    """Yield what broke the readers, and how."""
    rng, seeds = random.Random(seed), list(corpus().values())
    for _ in range(rounds):
        data = mutated(seeds, rng)
        started = time.perf_counter()
        try:
            leniently(data)
        except (MalformedRecord, UnreadableSample):
            pass
        except Exception as fault:  # noqa: BLE001 - that is what a find is
            yield data, repr(fault)
        if time.perf_counter() - started > SLOW:
            yield data, "slow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finds", type=Path, default=Path("finds"))
    arguments = parser.parse_args()
    number = 0
    for data, how in finds(arguments.rounds, arguments.seed):
        number += 1
        arguments.finds.mkdir(exist_ok=True)
        path = arguments.finds / f"{hashlib.sha256(data).hexdigest()[:12]}.bin"
        path.write_bytes(data)
        sys.stdout.write(f"{path}: {how}\n")
    sys.stdout.write(f"{arguments.rounds} rounds, {number} finds\n")
    sys.exit(bool(number))


if __name__ == "__main__":
    main()
