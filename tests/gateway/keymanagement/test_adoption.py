"""What changed is written down when a gateway opens; what went backwards is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.errors import UserError
from gateway.ledger.entry import EntryType, decode
from gateway.server.application import Gateway
from gateway.store.keys import adopted_versions
from gateway.store.ledger import stored_ledger
from keys.custody import open_custody
from keys.keyset import KeyKind, Keyset, KeyState


def types(gateway: Gateway) -> list[EntryType]:
    return [decode(leaf).type for leaf in stored_ledger.iter_leaves(gateway.database)]


def test_the_first_opening_records_keys_agreements_and_partners(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        found = types(gateway)

    assert found.count(EntryType.KEY) == len(
        KeyKind
    )  # one of each kind, and the auditor's public half
    assert found.count(EntryType.AGREEMENT) == 5
    assert found.count(EntryType.DIRECTORY) == 2  # our own entry and the partner's


def test_opening_again_records_nothing(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret) as gateway:
        size = gateway.sequencer.size

    with Gateway.open(homes[0], secret) as gateway:
        assert gateway.sequencer.size == size


def test_an_agreement_changed_under_its_own_version_is_refused(
    homes: Any, secret: Any, agree: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Past decisions would be unexplainable: what was adopted stays in force, and the others serve."""
    with Gateway.open(homes[0], secret) as gateway:
        before = dict(gateway.agreements)
    text = (homes[0] / "agreements" / "au.toml").read_text()
    agree(homes[0], "au.toml", text.replace("fpir = 1e-4", "fpir = 1e-2"))

    with Gateway.open(homes[0], secret) as gateway:
        assert dict(gateway.agreements) == before
        assert types(gateway).count(EntryType.ALARM) == 1
    assert "higher version" in capsys.readouterr().err


def test_a_new_version_of_an_agreement_is_adopted(homes: Any, secret: Any, agree: Any) -> None:
    text = (homes[0] / "agreements" / "au.toml").read_text()
    agree(homes[0], "au-2.toml", text.replace("version = 1", "version = 2"))

    with Gateway.open(homes[0], secret) as gateway:
        assert types(gateway).count(EntryType.AGREEMENT) == 6


def test_an_older_keyset_put_back_is_refused(homes: Any, secret: Any) -> None:
    """keys.md 2.6: it would unwrap, and revive a key that was suspended since."""
    path = homes[0] / "keys" / "keyset.json"
    old = path.read_bytes()
    keyset = Keyset.load(path, open_custody(f"file:{homes[0]}/keys/kek.json", secret))
    newer, _ = keyset.generate(KeyKind.KEM, datetime.now(UTC), reason="test", actor="O-1")
    newer.save(path)
    with Gateway.open(homes[0], secret) as gateway:
        assert types(gateway).count(EntryType.KEY) == len(KeyKind) + 1
    path.write_bytes(old)

    with pytest.raises(UserError, match="newest keyset"):
        Gateway.open(homes[0], secret)


def moved(home: Any, secret: Any, kid: bytes, *states: KeyState) -> Keyset:
    """Move a key past the gateway, and save."""
    path = home / "keys" / "keyset.json"
    keyset = Keyset.load(path, open_custody(f"file:{home}/keys/kek.json", secret))
    for state in states:
        keyset, _ = keyset.transition(kid, state, datetime.now(UTC), reason="test", actor="O-1")
    keyset.save(path)
    return keyset


def successor(home: Any, secret: Any) -> bytes:
    """Make a KEM key, which the gateway records as PREACTIVE; return its id."""
    path = home / "keys" / "keyset.json"
    keyset = Keyset.load(path, open_custody(f"file:{home}/keys/kek.json", secret))
    keyset, made = keyset.generate(KeyKind.KEM, datetime.now(UTC), reason="test", actor="O-1")
    keyset.save(path)
    with Gateway.open(home, secret):
        return made.kid


def test_a_key_that_moved_forward_while_the_gateway_was_closed_is_recorded_step_by_step(
    homes: Any, secret: Any
) -> None:
    """A renewal that was killed after its keyset was saved is finished by the next opening."""
    kid = successor(homes[0], secret)
    moved(homes[0], secret, kid, KeyState.SUSPENDED, KeyState.ACTIVE)

    with Gateway.open(homes[0], secret) as gateway:
        assert types(gateway).count(EntryType.KEY) == len(KeyKind) + 2
        with gateway.database.reader() as reader:
            assert adopted_versions.key_states(reader)[kid].state is KeyState.ACTIVE


def test_a_suspended_key_is_not_revived_by_an_older_keyset(homes: Any, secret: Any) -> None:
    """SUSPENDED may return to ACTIVE, but not by a file from before it was suspended."""
    kid = successor(homes[0], secret)
    moved(homes[0], secret, kid, KeyState.ACTIVE)
    path = homes[0] / "keys" / "keyset.json"
    old = path.read_bytes()
    with Gateway.open(homes[0], secret):
        pass
    moved(homes[0], secret, kid, KeyState.SUSPENDED)
    with Gateway.open(homes[0], secret):
        pass
    path.write_bytes(old)

    with pytest.raises(UserError, match="newest keyset"):
        Gateway.open(homes[0], secret)


def test_a_key_that_moved_back_is_refused(homes: Any, secret: Any) -> None:
    kid = successor(homes[0], secret)
    path = homes[0] / "keys" / "keyset.json"
    old = path.read_bytes()
    moved(homes[0], secret, kid, KeyState.SUSPENDED)
    with Gateway.open(homes[0], secret):
        pass
    path.write_bytes(old)

    with pytest.raises(UserError, match="SUSPENDED: put back the newest keyset"):
        Gateway.open(homes[0], secret)


def test_a_gateway_that_refuses_to_open_releases_the_writer_lock(homes: Any, secret: Any) -> None:
    file = homes[0] / "keys" / "keyset.json"
    old = file.read_bytes()
    successor(homes[0], secret)
    newer = file.read_bytes()
    file.write_bytes(old)
    with pytest.raises(UserError):
        Gateway.open(homes[0], secret)
    file.write_bytes(newer)

    with Gateway.open(homes[0], secret):
        pass


def test_two_gateways_on_one_folder_are_one_too_many(homes: Any, secret: Any) -> None:
    with Gateway.open(homes[0], secret), pytest.raises(UserError):
        Gateway.open(homes[0], secret)
