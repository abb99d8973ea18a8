"""An independent witness: what it keeps and cosigns, what it refuses, and what it can show to others."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.auditor.witness import HistoryRewritten, Watcher, fetching
from gateway.cli.main import app
from gateway.errors import UserError
from gateway.ledger import merkle, signed_note, split_view, tiles
from gateway.ledger.entry import EntryClass, EntryType, Frame, encode
from gateway.ledger.signed_note import Checkpoint, KeyType, LogIdentity, VerifierKey
from gateway.ledger.split_view import EvidenceRefused, Verdict
from gateway.trust.bundle import PartyBundle
from keys.signatures import LogKey, WitnessKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOG = LogKey.from_seed(b"l" * 64)
ORIGIN = "passerelle/CAN"
IDENTITY = LogIdentity.from_log_key(ORIGIN, LOG)
KEY = WitnessKey.from_seed(b"w" * 32)
NAME = "privacy.example.ca/witness"


def leaves(count: int, other_from: int = 10**9) -> list[bytes]:
    """Return a history; one that is another from some entry on."""
    frame = Frame(type=EntryType.START, entry_class=EntryClass.OTHER, time=NOW)
    return [
        encode(
            Frame(
                type=frame.type,
                entry_class=frame.entry_class,
                time=frame.time,
                subject_reference=f"{n}-{'b' if n >= other_from else 'a'}",
            )
        )
        for n in range(count)
    ]


def publish(folder: Path, history: list[bytes], log: LogKey = LOG) -> bytes:
    """Write a history as tlog-tiles; return its checkpoint."""
    hashes = [merkle.leaf_hash(leaf) for leaf in history]

    def node(level: int, number: int) -> bytes:
        return merkle.root(hashes[number << level : (number + 1) << level])

    for path in tiles.new_since(0, len(history)):
        span = range(path.first, path.first + path.width)
        if path.level is None:
            octets = tiles.entry_tile([history[at] for at in span])
        else:
            octets = tiles.hash_tile([node(path.height, at) for at in span])
        place = folder / path.format()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(octets)
    checkpoint = Checkpoint(ORIGIN, len(history), merkle.root(hashes))
    signed = signed_note.sign_checkpoint(checkpoint, log, NOW)
    (folder / "checkpoint").write_bytes(signed)
    return signed


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "published").mkdir()
    return tmp_path / "published"


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    (tmp_path / "w").mkdir()
    return Watcher(tmp_path / "w", IDENTITY, NAME, KEY)


def look(watcher: Watcher, place: Path) -> Any:
    return watcher.look(fetching(str(place)), NOW)


def test_a_ledger_that_grows_is_kept_and_cosigned(watcher: Watcher, place: Path) -> None:
    history = leaves(700)
    for size in (3, 256, 257, 700):
        signed = publish(place, history[:size])
        seen = look(watcher, place)

        assert (seen.checkpoint.size, seen.grown) == (size, True)
        assert watcher.kept() == signed
        vkey = VerifierKey(NAME, KeyType.MLDSA44, KEY.public)
        assert signed_note.line_of(seen.file.read_bytes(), vkey) is not None
    assert not look(watcher, place).grown


def test_split_view_two_witnesses_convict_with_what_each_was_shown(tmp_path: Path) -> None:
    """A forked history shown to two partners: each sees its own, and the two notes convict."""
    shown = []
    for name, other_from in (("aus", 10**9), ("nzl", 200)):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}-memory").mkdir()
        shown.append(publish(tmp_path / name, leaves(300, other_from)))
        look(Watcher(tmp_path / f"{name}-memory", IDENTITY, NAME, KEY), tmp_path / name)

    one, other = shown
    assert split_view.judge(one, other, IDENTITY).verdict is Verdict.CONVICTED


def test_a_rewritten_history_is_not_cosigned_and_evidence_is_kept(
    watcher: Watcher, place: Path
) -> None:
    publish(place, leaves(300))
    before = look(watcher, place)
    publish(place, leaves(400, other_from=200))

    with pytest.raises(HistoryRewritten) as caught:
        look(watcher, place)

    assert before.file.read_bytes() == before.cosigned
    _, one, other = split_view.read(caught.value.evidence.read_bytes())
    assert split_view.judge(one, other, IDENTITY).verdict is Verdict.ACCUSED
    node = tiles.Tiles(fetching(str(place)), 400).node
    judged = split_view.judge(one, other, IDENTITY, node)
    assert judged.verdict is Verdict.CONVICTED


def test_restored_from_backup_a_rollback_is_seen(watcher: Watcher, place: Path) -> None:
    publish(place, leaves(300))
    look(watcher, place)
    publish(place, leaves(200))

    with pytest.raises(HistoryRewritten, match="backwards"):
        look(watcher, place)


def test_a_race_of_two_processes_accuses_nobody(
    watcher: Watcher, place: Path, tmp_path: Path
) -> None:
    """One has read the checkpoint and is slow; another, of the same folder, looks meanwhile at a larger tree."""
    history = leaves(500)
    publish(place, history[:300])
    slow = fetching(str(place))
    other = Watcher(tmp_path / "w", IDENTITY, NAME, KEY)
    beside: list[threading.Thread] = []

    def fetch(path: str) -> bytes | None:
        octets = slow(path)
        if path == "checkpoint":
            publish(place, history)
            beside.append(threading.Thread(target=look, args=(other, place)))
            beside[0].start()
            beside[0].join(0.3)  # it waits for us; were it let in, it would be done by now
        return octets

    assert watcher.look(fetch, NOW).checkpoint.size == 300
    beside[0].join()

    kept = watcher.kept()
    assert kept is not None
    assert IDENTITY.open(kept).size == 500
    assert not list((tmp_path / "w").glob("*.split-*"))


def test_files_that_are_late_or_damaged_accuse_nobody(watcher: Watcher, place: Path) -> None:
    publish(place, leaves(300))
    look(watcher, place)
    publish(place, leaves(520))
    tile = place / "tile/0/001"
    whole = tile.read_bytes()

    tile.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="do not show it yet"):
        look(watcher, place)
    tile.unlink()
    with pytest.raises(UserError, match="do not show it yet"):
        look(watcher, place)
    tile.write_bytes(whole)

    assert look(watcher, place).checkpoint.size == 520


def test_a_checkpoint_of_another_key_is_refused(watcher: Watcher, place: Path) -> None:
    publish(place, leaves(10), LogKey.from_seed(b"x" * 64))

    with pytest.raises(UserError, match="refused"):
        look(watcher, place)
    assert watcher.kept() is None


def test_an_honest_ledger_clears_itself(tmp_path: Path, place: Path) -> None:
    history = leaves(600)
    old = publish(place, history[:300])
    new = publish(place, history)

    assert split_view.judge(old, new, IDENTITY).verdict is Verdict.ACCUSED
    node = tiles.Tiles(fetching(str(place)), 600).node
    assert split_view.judge(old, new, IDENTITY, node).verdict is Verdict.CONSISTENT


def test_hashes_that_are_not_the_ledgers_neither_convict_nor_clear(tmp_path: Path) -> None:
    for name in ("true", "made-up"):
        (tmp_path / name).mkdir()
    old = publish(tmp_path / "true", leaves(300))
    new = publish(tmp_path / "true", leaves(600))
    publish(tmp_path / "made-up", leaves(600, other_from=100))
    node = tiles.Tiles(fetching(str(tmp_path / "made-up")), 600).node

    with pytest.raises(EvidenceRefused, match="do not lead"):
        split_view.judge(old, new, IDENTITY, node)


def test_a_note_that_the_ledger_did_not_sign_is_no_evidence(place: Path) -> None:
    true = publish(place, leaves(300))
    forged = publish(place, leaves(300, other_from=5), LogKey.from_seed(b"x" * 64))

    with pytest.raises(EvidenceRefused, match="not two checkpoints"):
        split_view.judge(true, forged, IDENTITY)


class _Web(BaseHTTPRequestHandler):
    """A web server that has one folder, sends some away, and babbles to others."""

    folder: Path

    def do_GET(self) -> None:
        if self.path.startswith("/babble"):
            self.wfile.write(b"no answer of HTTP at all\r\n\r\n")
            return
        file = self.folder / self.path.removeprefix("/moved/").lstrip("/")
        moved = self.path.startswith("/moved/")
        self.send_response(302 if moved else 200 if file.is_file() else 404)
        if moved:
            self.send_header("Location", f"/{self.path.removeprefix('/moved/')}")
        self.end_headers()
        if not moved and file.is_file():
            self.wfile.write(file.read_bytes())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        del format, args


@pytest.fixture
def web(place: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Web", (_Web,), {"folder": place}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_ledger_is_watched_over_the_web(watcher: Watcher, place: Path, web: str) -> None:
    history = leaves(300)
    with pytest.raises(UserError, match="no checkpoint at that place"):
        watcher.look(fetching(web), NOW)
    for size in (40, 300):
        publish(place, history[:size])
        assert watcher.look(fetching(f"{web}/"), NOW).checkpoint.size == size


@pytest.mark.parametrize("path", ["moved", "babble"])
def test_a_web_server_that_sends_us_away_or_babbles_is_no_ledger(
    watcher: Watcher, place: Path, web: str, path: str
) -> None:
    """What we were told to watch is what we watch; and nobody is accused for it."""
    publish(place, leaves(40))

    with pytest.raises(UserError, match="nothing came from"):
        watcher.look(fetching(f"{web}/{path}"), NOW)
    assert watcher.kept() is None


@pytest.mark.parametrize("place", ["ftp://example.ca/ledger", "file:///etc", "no/such/folder"])
def test_a_place_of_another_kind_is_refused(place: str) -> None:
    with pytest.raises(UserError, match=r"https?|folder"):
        fetching(place)


def test_a_folder_that_cannot_be_read_is_told_and_watched_on(watcher: Watcher, place: Path) -> None:
    (place / "checkpoint").mkdir(parents=True)

    with pytest.raises(UserError, match="cannot be read"):
        watcher.look(fetching(str(place)), NOW)


@pytest.mark.parametrize("name", ["priv\u00e9.example/w", "a b", "w+1", "", "x" * 200, "/w"])
def test_a_witness_whom_no_policy_could_name_is_not_made(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "pass"
    secret.write_bytes(b"a witness's own")
    secret.chmod(0o600)

    code, _ = run("witness", "new", tmp_path / "w", "--name", name, "--passphrase-file", secret)

    assert code == 2
    assert not (tmp_path / "w").exists()


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"], prog_name="passerelle")
    assert "Traceback" not in result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def commissioner(tmp_path: Path) -> tuple[list[object], str]:
    secret = tmp_path / "w.pass"
    secret.write_text("a witness's own")
    secret.chmod(0o600)
    folder = tmp_path / "commissioner"
    code, told = run("witness", "new", folder, "--name", NAME, "--passphrase-file", secret)
    assert code == 0, told
    return [folder, "--passphrase-file", secret], told["policy"]


def test_a_witness_by_its_commands(
    archive: Any, commissioner: Any, place: Path, secret: Any, tmp_path: Path
) -> None:
    """It looks at published files, and an operator brings its line, where the policy names it."""
    from gateway.ledger.archive import Archive
    from gateway.server.application import Gateway

    words, line = commissioner
    party = archive.home / "party.json"
    with Archive.open(archive.bundle) as ledger_archive:
        history = [held.leaf for held in ledger_archive.held()]
        size = PartyBundle.parse(party.read_bytes()).log.open(list(ledger_archive.notes())[-1]).size
    with Gateway.open(archive.home, secret) as gateway:
        log = gateway.keyset.log()
    assert isinstance(log, LogKey)
    publish(place, history[:size], log)

    code, told = run("witness", "run", *words, "--party", party, "--from", place, "--once")
    assert (code, told["size"], told["grown"]) == (0, size, True)
    code, shown = run("witness", "show", words[0], "--party", party)
    assert (code, shown["size"], shown["evidence"]) == (0, size, [])

    me = ("--passphrase-file", archive.root / "gateway.pass", "--as", archive.root / "p1")
    code, refused = run("witness", "submit", archive.home, told["cosigned"], *me)
    assert code != 0
    assert "evidence.policy" in refused["error"]["message"]
    settings = archive.home / "passerelle.toml"
    before = settings.read_text()
    try:
        (archive.home / "policy").write_text(f"{line}\nquorum privacy\n")
        settings.write_text(f'{before}\n[evidence]\npolicy = "policy"\n')
        code, kept = run("witness", "submit", archive.home, told["cosigned"], *me)
        assert (code, kept["witnesses"]) == (0, NAME), kept
        _, listed = run("witness", "list", archive.home, *me)
        assert [row["witness"] for row in listed["witnesses"]] == [NAME]
    finally:
        settings.write_text(before)


def test_evidence_is_judged_by_a_command(tmp_path: Path, archive: Any, place: Path) -> None:
    def bundle() -> Path:
        """Return a bundle whose ledger is the one of these tests."""
        known = PartyBundle.parse((archive.home / "party.json").read_bytes())
        octets = known.to_bytes().replace(
            json.dumps(known.log.ed25519_vkey)[1:-1].encode(), IDENTITY.ed25519_vkey.encode()
        )
        octets = octets.replace(known.log.mldsa44_vkey.encode(), IDENTITY.mldsa44_vkey.encode())
        (tmp_path / "CAN.json").write_bytes(octets)
        return tmp_path / "CAN.json"

    one = publish(place, leaves(300))
    other = publish(place, leaves(300, other_from=7))
    (tmp_path / "evidence.json").write_bytes(split_view.write("two trees", ORIGIN, one, other))
    for name, signed in (("a", one), ("b", other)):
        (tmp_path / name).write_bytes(signed)
    party = bundle()

    code, told = run("witness", "check", tmp_path / "evidence.json", "--party", party)
    assert (code, told["verdict"]) == (1, "convicted")
    code, told = run("witness", "check", tmp_path / "a", tmp_path / "b", "--party", party)
    assert (code, told["verdict"], told["sizes"]) == (1, "convicted", [300, 300])
    code, told = run("witness", "check", tmp_path / "a", tmp_path / "a", "--party", party)
    assert (code, told["verdict"]) == (0, "consistent")
    code, told = run("witness", "check", tmp_path / "CAN.json", "--party", party)
    assert code == 2
