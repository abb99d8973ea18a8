"""`passerelle keys`: each step is a command, says what moved and what comes next, and can be foretold."""

from __future__ import annotations

import resource
from typing import Any

import pytest


@pytest.fixture
def home(homes: Any, officer: Any) -> Any:
    """CAN, with an operator, P-1."""
    officer("P-1", "operator")
    return homes["CAN"]


@pytest.fixture
def keys(home: Any, run: Any, passphrase: Any) -> Any:
    """Run a command on CAN's keys."""

    def start(verb: str, *words: Any, json: bool = True) -> Any:
        return run("keys", verb, home, *words, *passphrase, *(("--json",) if json else ()))

    return start


@pytest.fixture
def kid(keys: Any) -> Any:
    """Return the id of the newest key of a kind and state."""

    def find(kind: str, state: str = "ACTIVE") -> str:
        rows = keys("list").document["keys"]
        found = [row for row in rows if (row["kind"], row["state"]) == (kind, state)]
        return str(max(found, key=lambda row: row["created"])["kid"])

    return find


@pytest.fixture
def approve(home: Any, run: Any, passphrase: Any, officer: Any, tmp_path: Any) -> Any:
    """Approve a proposal as P-1, or as P-2, who is let in for it."""
    folders = {"P-1": tmp_path / "p1", "P-2": officer("P-2", "operator")}

    def start(proposal: str, by: str) -> Any:
        words = ("proposals", "approve", home, proposal, "--yes", *passphrase)
        return run(*words, "--as", folders[by])

    return start


def introduce(homes: Any, run: Any, tmp_path: Any) -> None:
    """Have CAN know AUS."""
    exported = run("party", "export", homes["AUS"], "-o", tmp_path / "AUS.json", "--json").document
    said = run(
        *("party", "import", homes["CAN"], tmp_path / "AUS.json"),
        *("--fingerprint", exported["fingerprint"]),
    )
    assert said.code == 0, said.err


def test_a_rotation_prints_the_fingerprint_that_export_prints(
    run: Any, keys: Any, home: Any, tmp_path: Any
) -> None:
    said = keys("rotate", "KEM", "--reason", "weekly").document

    assert said["promoted"]
    assert [move["to"] for move in said["moves"]] == ["PREACTIVE", "ACTIVE", "DEACTIVATED"]
    exported = run("party", "export", home, "-o", tmp_path / "b", "--json").document
    assert exported["fingerprint"] == said["fingerprint"]


def test_a_rotation_names_who_has_not_seen_the_key(
    run: Any, keys: Any, homes: Any, tmp_path: Any
) -> None:
    introduce(homes, run, tmp_path)

    said = keys("rotate", "SIGNING", "--reason", "yearly", json=False)

    assert said.code == 0
    assert "AUS not seen with it yet" in said.out
    assert "passerelle keys promote" in said.out
    refused = keys(
        "promote", keys("list").document["next"][0]["what"].split()[1], "--reason", "now"
    )
    assert refused.code == 2
    assert "not seen by AUS" in refused.document["error"]["message"]


def test_three_steps_are_three_commands(keys: Any, kid: Any) -> None:
    old = kid("SIGNING")
    made = keys("generate", "SIGNING", "--reason", "yearly").document["moves"][0]["key"]
    assert keys("publish").document["published"]
    assert not keys("publish").document["published"]
    assert keys("promote", made[:8], "--reason", "yearly").code == 0
    assert keys("deactivate", old[:16], "--reason", "succeeded").code == 0

    shown = keys("show", old[:8]).document

    assert (shown["state"], shown["has_private"]) == ("DEACTIVATED", False)
    assert keys("show", made).document["in_use"]


def test_the_list_says_what_comes_next(keys: Any) -> None:
    keys("rotate", "KEM", "--reason", "weekly")

    listed = keys("list").document

    old, new = (key for key in listed["keys"] if key["kind"] == "KEM")
    assert old["state"] == "DEACTIVATED"
    assert old["next"].startswith("destroy: ")
    assert new["next"].startswith("successor: ")
    assert {row["kind"]: row["on"] for row in listed["schedules"]}["KEM"]
    assert "rotates by itself" in keys("list", json=False).out


def test_each_step_can_be_foretold_and_then_does_nothing(keys: Any, kid: Any, home: Any) -> None:
    file = home / "keys" / "keyset.json"
    before = file.read_bytes()
    kem = kid("KEM")
    for verb, words, code in (
        ("generate", ("KEM",), 0),
        ("publish", (), 0),
        ("rotate", ("KEM",), 0),
        ("promote", (kem,), 2),
        ("suspend", (kem,), 0),
        ("resume", (kem,), 2),
        ("deactivate", (kem,), 2),
        ("revoke", (kem,), 0),
        ("destroy", (kem,), 2),
        ("cancel", (kem,), 2),
        ("schedule", ("KEM", "on", "--every", "5"), 0),
    ):
        said = keys(verb, *words, "--dry-run")
        assert said.code == code, (verb, said.err)
        assert said.document["plan"], verb
        if code:  # the act is refused too, with the same code
            assert keys(verb, *words, "--reason", "a test").code == code, verb

    assert file.read_bytes() == before
    assert keys("revoke", kem, "--dry-run").document["two_persons"]
    assert not keys("suspend", kem, "--dry-run").document["two_persons"]


def test_what_takes_two_persons_is_proposed_and_done_when_another_approves(
    keys: Any, kid: Any, approve: Any
) -> None:
    """One alone gets no further than a proposal."""
    kem = kid("KEM")

    proposed = keys("revoke", kem, "--reason", "the thief had it").document
    assert "COMPROMISED for ever" in " ".join(proposed["plan"])
    assert keys("show", kem).document["state"] == "ACTIVE"
    assert approve(proposed["proposal"], by="P-1").code == 1  # nobody approves their own
    done = approve(proposed["proposal"], by="P-2")

    assert done.code == 0, done.err
    assert keys("show", kem).document["state"] == "COMPROMISED"


def test_a_proposal_dies_with_the_state_it_was_made_in(keys: Any, kid: Any, approve: Any) -> None:
    """Another key moved meanwhile: the second person would approve something else than the first proposed."""
    kem = kid("KEM")
    proposed = keys("revoke", kem, "--reason", "the thief had it").document["proposal"]
    keys("generate", "SIGNING", "--reason", "yearly")

    assert approve(proposed, by="P-2").code != 0

    assert keys("show", kem).document["state"] == "ACTIVE"


def test_a_schedule_is_set_by_a_word(keys: Any) -> None:
    said = keys("schedule", "SIGNING", "on", "--every", "100", "--reason", "policy 4")
    assert said.document | {"ok": True} == {
        "ok": True,
        "kind": "SIGNING",
        "on": True,
        "days": 100,
    }
    assert keys("schedule", "KEM", "off", "--reason", "moving").document["on"] is False
    assert keys("schedule", "KEM", "perhaps", "--reason", "?").code == 2
    assert keys("schedule", "KEM", "on", "--every", "99", "--reason", "?").code == 2


def test_a_step_wants_a_reason(keys: Any, kid: Any) -> None:
    said = keys("suspend", kid("KEM"))

    assert said.code == 2
    assert "say why" in said.document["error"]["message"]


@pytest.mark.parametrize("named", ["deadbeef", "1234", "not-a-key"])
def test_an_unknown_key_is_refused_with_its_remedy(keys: Any, named: str) -> None:
    said = keys("suspend", named, "--reason", "a test")

    assert said.code == 2
    assert "key: " in said.document["error"]["message"]


def test_a_kind_that_does_not_exist_is_refused(keys: Any) -> None:
    assert keys("rotate", "KEYS", "--reason", "a test").code == 2


def test_the_list_needs_no_officer_where_the_gateway_is_closed(
    homes: Any, run: Any, passphrase: Any
) -> None:
    assert run("keys", "list", homes["AUS"], *passphrase).code == 0

    said = run("keys", "rotate", homes["AUS"], "KEM", "--reason", "weekly", *passphrase)

    assert said.code == 2
    assert "--as FOLDER" in said.err


def test_a_command_that_opens_keys_leaves_no_core_image(keys: Any) -> None:
    keys("list")

    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def test_the_list_explains_who_has_seen_a_key(
    run: Any, keys: Any, homes: Any, tmp_path: Any
) -> None:
    introduce(homes, run, tmp_path)
    keys("rotate", "SIGNING", "--reason", "yearly")

    listed = keys("list", json=False).out
    help_text = " ".join(run("keys", "list", "--help").out.replace("│", " ").split())

    assert "v2 not AUS" in listed
    for text in (" ".join(listed.split()), help_text):
        assert "names the key first" in text
        assert "no message of AUS has named" in text
