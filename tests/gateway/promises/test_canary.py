"""No byte of a probe stays: database, journal, logs, temporary files, core images (IRPR 315.43(2)).

What Python and gRPC copied of a request while it was under way cannot be overwritten from here; those copies
live in the memory of the process alone, and no image of that memory may be written.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.client import Partner, PartnerError
from gateway.config import load
from gateway.domain.messages import Outcome, Sample
from gateway.trust.partners import own_bundle
from keys.custody import open_custody
from keys.keyset import Keyset
from matcher.finger import record_fmr
from tests.patience import CALL, PATIENCE
from tests.programs import Programs

# The server does at the stage before "search" is over what the file `deed` tells it, once.
_SERVER = """
import ctypes, os, signal, sys
from pathlib import Path
from gateway.server.application import Gateway
from gateway.server.lifecycle import Serving

deed = Path(sys.argv[2])

def observe(stage):
    if stage != "prepare" or not deed.exists():
        return
    what = deed.read_text()
    deed.unlink()
    if what == "fail":
        raise RuntimeError("a search that cannot be completed")
    os.kill(os.getpid(), getattr(signal, what))

def ready(where):
    print(where.exchange, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)

with Gateway.open(Path(sys.argv[1]), lambda: b"a passphrase for tests") as gateway:
    Serving(gateway, observe=observe).run(ready)
"""

HEADER = 28  # bytes before the first minutia of an ISO record of one finger (ISO/IEC 19794-2:2005)
MINUTIA = 6


class Place:
    """A gateway in a process of its own, with its own temporary folder and its log in a file."""

    def __init__(self, home: Path, folder: Path, programs: Programs) -> None:
        self.home, self.folder, self._programs = home, folder, programs
        self.deed = folder / "deed"
        self.log, self.temporary = folder / "log", folder / "tmp"
        self.temporary.mkdir()

    @contextmanager
    def serving(self) -> Iterator[tuple[str, Any]]:
        process = self._programs.start(
            _SERVER,
            self.home,
            self.deed,
            stderr=self.log,
            folder=self.temporary,  # where a core image would lie
            TMPDIR=str(self.temporary),
        )
        port, dumpable = process.stdout.readline().split()
        assert dumpable == "0"  # PR_GET_DUMPABLE: no image, no attached debugger
        try:
            yield f"127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=PATIENCE)
            process.stdout.close()

    def demand_absent(self, samples: list[Sample]) -> None:
        """Look for three minutiae in a row, of any finger, in every file and in the store as it is loaded."""
        store = load(self.home).store.path
        images = {path: path.read_bytes() for path in files(self.home, self.folder)}
        with sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True) as reader:
            images[Path("image of the store")] = reader.serialize()
        reader.close()
        assert len(images) > 10
        for needle in needles(samples):
            for path, image in images.items():
                assert needle not in image, path.name
                assert needle.hex().encode() not in image.lower(), path.name


def files(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


def needles(samples: list[Sample]) -> Iterator[bytes]:
    for sample in samples:
        for start in range(HEADER, len(sample.data) - 3 * MINUTIA, MINUTIA):
            yield sample.data[start : start + 3 * MINUTIA]


@pytest.fixture
def place(homes: Any, tmp_path: Path, programs: Programs) -> Place:
    (tmp_path / "server").mkdir()
    return Place(homes[0], tmp_path / "server", programs)


@pytest.fixture
def asker(homes: Any, secret: Any) -> Any:
    home, asking = homes
    custody = open_custody(f"file:{asking}/keys/kek.json", secret)
    keyset = Keyset.load(asking / "keys" / "keyset.json", custody)
    return lambda address: Partner.connect("AUS", keyset, own_bundle(home), address=address)


def test_the_canary_would_be_seen(place: Place, people: Any) -> None:
    """A test that finds nothing anywhere must find it where it is."""
    probe = people.samples(people.unknown)
    (place.folder / "leak").write_bytes(b"x" + probe[0].data)

    with pytest.raises(AssertionError, match="leak"):
        place.demand_absent(probe)


def test_no_byte_stays_whatever_became_of_the_query(place: Place, people: Any, asker: Any) -> None:
    hit, miss = people.samples(1, impression=9), people.samples(people.unknown, impression=9)
    poor = [_poor(each) for each in people.samples(98, impression=9)]
    failed = people.samples(97, impression=9)
    probes = [*hit, *miss, *poor, *failed]
    with place.serving() as (address, _), asker(address) as partner:
        assert partner.query(hit, **people.matter()).outcome is Outcome.MATCH
        assert partner.query(miss, **people.matter()).outcome is Outcome.NO_MATCH
        answer = partner.query(poor, **people.matter())
        assert answer.outcome is Outcome.QUALITY_INSUFFICIENT
        place.deed.write_text("fail")
        with pytest.raises(PartnerError):
            partner.query(failed, **people.matter())
        assert not place.deed.exists()
        place.demand_absent(probes)
    place.demand_absent(probes)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGABRT", "SIGSEGV"])
def test_a_crash_in_mid_search_leaves_nothing_before_or_after_the_restart(
    place: Place, people: Any, asker: Any, how: str
) -> None:
    """Three ways to die; two of them would write a core image, if any could be written."""
    probe = people.samples(96, impression=9)
    with place.serving() as (address, process), asker(address) as partner:
        outgoing = partner.compose(probe, **people.matter())
        place.deed.write_text(how)
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(partner.send, outgoing, deadline=CALL)
            assert process.wait(timeout=PATIENCE) == -getattr(signal, how)
            partner.close()
            assert isinstance(sent.exception(timeout=PATIENCE), PartnerError)
    assert list(place.temporary.iterdir()) == []
    place.demand_absent(probe)

    with place.serving() as (address, _), asker(address) as partner:
        place.demand_absent(probe)
        assert partner.query(probe, **people.matter()).outcome is Outcome.NO_MATCH
    place.demand_absent(probe)


def _poor(sample: Sample) -> Sample:
    """Return a sample with too few minutiae to be searched, and enough to be looked for."""
    view = record_fmr.read(sample.data).views[0]
    full = view.minutiae
    left = replace(
        full, xy=full.xy[:3], angle=full.angle[:3], kind=full.kind[:3], quality=full.quality[:3]
    )
    return replace(
        sample,
        data=record_fmr.write(
            record_fmr.at_197(record_fmr.Format.ISO_19794_2_2005, [replace(view, minutiae=left)])
        ),
    )
