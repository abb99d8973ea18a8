from __future__ import annotations

import json
from datetime import datetime
from importlib.resources import files

import cryptography
import pytest

from keys import selftest
from keys.errors import KeyNotUsable, SelfTestFailed
from keys.keyset import KeyKind, Keyset, KeyState

PACKAGED = (files("keys") / "vectors" / "known-answers.json").read_bytes()
MEMBERS = [(name, member) for name, known in json.loads(PACKAGED).items() for member in known]


def test_this_machine_gives_the_published_answers() -> None:
    passed = selftest.run()

    assert passed[0].startswith("cryptography 5")
    assert len(passed) == 9


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_any_other_answer_refuses_to_serve(name: str, member: str) -> None:
    """Each value of each known answer counts: change a bit of it and the gateway stays shut."""
    answers = json.loads(PACKAGED)
    value = bytes.fromhex(answers[name][member])
    answers[name][member] = (bytes([value[0] ^ 1]) + value[1:]).hex()

    with pytest.raises(SelfTestFailed, match="reinstall"):
        selftest.run(json.dumps(answers).encode())


def test_a_missing_answer_refuses_to_serve() -> None:
    with pytest.raises(SelfTestFailed):
        selftest.run(b"{}")


@pytest.mark.parametrize("version", ["49.0.9", "5.0", "0"])
def test_an_older_library_refuses_to_serve(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cryptography, "__version__", version)

    with pytest.raises(SelfTestFailed, match=f"cryptography {version}"):
        selftest.run()


@pytest.mark.parametrize("target", ["OpeningKey.decrypt", "VerifyingKey.verify"])
def test_cryptography_that_refuses_nothing_refuses_to_serve(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = bytes.fromhex(json.loads(PACKAGED)["suite"]["plaintext"])
    monkeypatch.setattr(f"keys.selftest.{target}", lambda *_: known)

    with pytest.raises(SelfTestFailed):
        selftest.run()


def test_only_what_passed_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process tries once; one that failed tries again, and fails again."""
    selftest.run_once.cache_clear()
    for _ in range(2):
        with monkeypatch.context() as old:
            old.setattr(cryptography, "__version__", "49.0.9")
            with pytest.raises(SelfTestFailed):
                selftest.run_once()

    assert list(selftest.run_once()) == selftest.run()


def test_each_live_key_is_tried_once_before_serving(gateway: Keyset) -> None:
    assert len(selftest.rehearse(gateway)) == 3


def test_a_gateway_with_a_key_missing_does_not_serve(gateway: Keyset, now: datetime) -> None:
    for kind in (KeyKind.KEM, KeyKind.SIGNING, KeyKind.LOG, KeyKind.DATA):
        kid = gateway.primary(kind).kid
        without, _ = gateway.transition(kid, KeyState.SUSPENDED, now, "doubt", "operator")
        with pytest.raises(KeyNotUsable):
            selftest.rehearse(without)
