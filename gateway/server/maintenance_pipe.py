"""What a command and the process that opens a stopped gateway for it say to each other, and how that process may end."""

from __future__ import annotations

from typing import IO, Final

EXIT_LEDGER: Final = (
    74  # sysexits.h EX_IOERR: the ledger could not be written, and nothing is retried
)
LENGTH_BYTES: Final = 4  # of the passphrase's length, big-endian


def hand_over(stream: IO[bytes], passphrase: bytes) -> None:
    """Write the passphrase of the keys, after its length."""
    stream.write(len(passphrase).to_bytes(LENGTH_BYTES, "big") + passphrase)
    stream.flush()


def take(stream: IO[bytes]) -> bytes:
    """Return the passphrase that was handed over; what there is of it where the stream ended before."""
    return stream.read(int.from_bytes(stream.read(LENGTH_BYTES), "big"))
