"""Whether a gateway serves and why not is told without a passphrase, by what it says itself and by what it left."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import errors, telemetry
from gateway.cli.home.status import _headline
from gateway.errors import DirectoryStale, Refusal, UserError
from gateway.ledger.entry import EntryType
from gateway.server.application import Gateway
from gateway.server.lifecycle import FAULT, WATCHDOG
from gateway.server.status import REMEDIES, Status, look


def now() -> datetime:
    return datetime.now(UTC)


def test_a_gateway_that_serves_says_since_when_and_whom_it_answered(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there, and nobody is asked
    before = look(pair.home, now())
    assert (before.serving, before.told(pair.home)) == (True, ("", ""))
    assert before.answer is None

    pair.partner().capabilities()

    after = look(pair.home, now())
    assert after.serving
    assert after.since == before.since
    assert after.since is not None
    assert after.since <= now()
    assert after.answer is not None
    assert after.answer.partner == "AUS"
    assert after.entries == before.entries + 2
    assert after.gallery is not None
    assert (after.gallery.subjects, after.unread, after.missing) == (5, (), ())


def test_why_it_does_not_serve_is_the_reason_that_partners_are_refused_with(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended() -> None:
        raise DirectoryStale

    monkeypatch.setattr(pair.gateway.directory.publication, "demand", ended)
    pair.serving._show_readiness()
    seen = look(pair.home, now())
    assert (seen.serving, seen.why) == (False, "DIRECTORY_STALE")
    assert seen.told(pair.home)[1] == f"passerelle directory renew {pair.home}"

    monkeypatch.setattr(pair.serving._readiness, "_ended", True)
    monkeypatch.setattr(pair.gateway.directory.publication, "demand", lambda: None)
    pair.serving._show_readiness()
    assert look(pair.home, now()).why == "KEYS_UNAVAILABLE"

    monkeypatch.setattr(pair.serving._readiness, "_ended", False)
    pair.serving._show_readiness()
    assert look(pair.home, now()).serving


def test_what_was_never_started_stopped_or_cut_off_is_told_apart(homes: Any, secret: Any) -> None:
    home = homes[0]
    assert look(home, now()).why == "NEVER_STARTED"

    with Gateway.open(home, secret) as gateway:
        gateway.record(EntryType.START)
    cut = look(home, now())
    assert cut.why == "ENDED"
    assert cut.newest is not None
    assert (cut.since, cut.served) == (None, cut.newest.time)  # when it ended, nobody knows

    with Gateway.open(home, secret) as gateway:
        gateway.record(EntryType.STOP)
        assert look(home, now()).why == ("OPEN" if Path("/proc/locks").exists() else "STOPPED")
    assert look(home, now()).why == "STOPPED"


def test_a_process_that_ended_without_a_word_is_said_with_when_it_last_served_and_not_since() -> (
    None
):
    served = datetime(2026, 3, 1, 17, 15, tzinfo=UTC)

    said = _headline(Status("CAN", "ENDED", None, served), Path("can"))

    assert "since" not in said
    assert "last known to serve at 2026-03-01 17:15 UTC" in said


def test_an_address_that_a_crash_left_behind_is_not_believed(pair: Any, homes: Any) -> None:
    """Another gateway may listen there by now: only one of this party's name speaks for the folder."""
    other = homes[1]
    (other / "door.json").write_bytes((pair.home / "door.json").read_bytes())
    assert look(other, now()).why == "NEVER_STARTED"

    for text in ("{}", "[]", "no JSON", json.dumps({"metrics": "127.0.0.1:1"})):
        (other / "door.json").write_text(text)
        assert look(other, now()).why == "NEVER_STARTED"


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_told(homes: Any) -> None:
    (homes[0] / "keys" / "keyset.json").write_text("{}")

    seen = look(homes[0], now())

    assert [text.partition(":")[0] for text in seen.unread] == ["keys"]
    assert seen.gallery is not None

    (homes[0] / "store" / "passerelle.db").unlink()
    seen = look(homes[0], now())
    assert {text.partition(":")[0] for text in seen.unread} == {"keys", "store"}
    assert not seen.serving


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="passerelle init"):
        look(tmp_path, now())


def test_every_reason_has_words_and_a_remedy() -> None:
    named = {FAULT, WATCHDOG}
    for kind in (
        errors.Draining,
        errors.KeysUnavailable,
        errors.AuditUnavailable,
        errors.DirectoryStale,
        errors.RetentionOverdue,
        errors.EvidenceOverdue,
        errors.EngineUnavailable,
    ):
        assert issubclass(kind, Refusal)
        named.add(kind.reason)

    assert named <= set(REMEDIES)
    assert Status("CAN", "OF_A_LATER_RELEASE", None).told(Path("can"))[0] == "OF_A_LATER_RELEASE"


def test_the_gauge_keeps_the_moment_at_which_a_reason_began() -> None:
    def sample(name: str, **labels: str) -> float | None:
        return telemetry.REGISTRY.get_sample_value(name, labels)

    telemetry.show_serving("NZL", "", 100.0)
    telemetry.show_serving("NZL", "", 200.0)
    assert sample("passerelle_serving", gateway="NZL", reason="") == 1
    assert sample("passerelle_serving_since_seconds") == 100.0

    telemetry.show_serving("NZL", "DRAINING", 300.0)
    assert sample("passerelle_serving", gateway="NZL", reason="") is None
    assert sample("passerelle_serving", gateway="NZL", reason="DRAINING") == 0
    assert sample("passerelle_serving_since_seconds") == 300.0
