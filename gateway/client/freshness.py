"""How fresh our view of a partner is: when its directory is read again, and what follows from what is read.

The directory is read when a time is over, and at once when the partner says that we are behind. Where nobody
answers, what we hold serves on until it has ended; where something answers that cannot be believed, nothing is
asked: whoever shows an old or a forged directory would also choose which of our keys to believe.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.client.directory_client import Source, Trust
from gateway.client.errors import DirectoryRefused, PartnerError
from gateway.errors import UserError
from gateway.trust.bundle import MalformedBundle, PartyBundle
from gateway.trust.partners import EntryWaits

EVERY = 600.0  # seconds; protocol's accept windows are days, and evidence of a new key should not take one
AGAIN = 60.0  # seconds after a reading that nobody answered
PATIENCE = 5.0  # seconds for one reading, where the caller leaves more

Keep = Callable[[bytes], PartyBundle]


class Freshness:
    """When to read a partner's directory, and what to do with what it says; for several threads.

    folder   where the newest metadata are kept; None for a folder that goes with the process
    keep     makes an entry durable and returns the bundle to believe; raises UserError for one not to believe
    """

    def __init__(self, folder: Path | None, keep: Keep | None, every: float) -> None:
        self._own = None if folder else Path(tempfile.mkdtemp(prefix="passerelle-directory-"))
        self._trust = Trust(folder or self._own or Path())
        self._keep = keep
        self._every = every
        self._turn = threading.Lock()
        self._due = time.monotonic() + (every if folder is None else _wait(folder, every))

    def due(self) -> bool:
        """Return whether the time is over."""
        return time.monotonic() >= self._due

    def read(self, held: PartyBundle, source: Source, *, wait: bool) -> PartyBundle:
        """Return the newest bundle: `held`, or another that its directory vouches for.

        wait   also for another thread that is reading now

        Raises DirectoryRefused, and a `PartnerError` where nobody answers.
        """
        if held.root is None or not self._turn.acquire(blocking=wait):
            return held
        try:
            self._due = time.monotonic() + AGAIN
            octets = self._trust.update(held, source)
            newest = held if octets is None else self._kept(held, octets)
        except DirectoryRefused:
            self._due = (
                time.monotonic()
            )  # the next question reads first too, and is not asked either
            raise
        else:
            self._due = time.monotonic() + self._every
            return newest
        finally:
            self._turn.release()

    def demand(self, held: PartyBundle) -> None:
        """Raise DirectoryRefused where what we last read has ended and nothing newer could be read."""
        if held.root is not None and self._trust.stale():
            self._due = min(self._due, time.monotonic())
            raise DirectoryRefused(
                f"the directory of {held.party} ended and cannot be read anew; ask its operators"
            )

    def close(self) -> None:
        """Remove the folder that goes with the process."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def _kept(self, held: PartyBundle, octets: bytes) -> PartyBundle:
        try:
            if self._keep is not None:
                return self._keep(octets)
            bundle = PartyBundle.parse(octets)
        except EntryWaits:
            return held  # put aside for people, who decide; what we hold is in force until then
        except (UserError, MalformedBundle) as fault:
            raise DirectoryRefused(
                f"the directory of {held.party} names an entry not to be believed: {fault}"
            ) from None
        if bundle.version <= held.version:
            raise DirectoryRefused(
                f"the directory of {held.party} has other content under version {held.version}"
            )
        return bundle


def reading_deadline(deadline: float) -> float:
    """Return the monotonic moment until which a reading may take a call's time."""
    return min(deadline, time.monotonic() + PATIENCE)


def unanswered(fault: PartnerError) -> bool:
    """Return whether a reading failed because nobody answered it, rather than by what was answered."""
    return not isinstance(fault, DirectoryRefused)


def _wait(folder: Path, every: float) -> float:
    """Return after how many seconds a directory that was read before is read again."""
    try:
        age = time.time() - (folder / "timestamp.json").stat().st_mtime
    except OSError:
        return 0.0
    return min(every, max(0.0, every - age))
