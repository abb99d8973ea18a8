"""Whose cosignatures a checkpoint needs, read from a tlog-policy file; and what such lines are worth."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import note
from gateway.audit import policy as policies
from gateway.audit.errors import AuditFault, NoteRefused
from gateway.audit.note import Checkpoint, KeyType, VerifierKey
from gateway.audit.policy import (
    DEEPEST,
    MAX_GROUPS,
    MAX_POLICY,
    MAX_WITNESSES,
    Policy,
    PolicyRefused,
)
from gateway.audit.proof import LogIdentity
from gateway.errors import Remedy
from gateway.office.witnesses import policy_of
from keys.sign import LogKey, WitnessKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LOG = LogKey.from_seed(bytes(64))
NAMES = ("aus", "nzl", "gbr")
KEYS = {name: WitnessKey.from_seed(bytes([n + 1]) * 32) for n, name in enumerate(NAMES)}


def vkey(name: str) -> str:
    return VerifierKey(f"passerelle/{name}/witness", KeyType.MLDSA44, KEYS[name].public).format()


def policy(*lines: str) -> Policy:
    known = [f"witness {name} {vkey(name)}" for name in NAMES]
    return Policy.parse("\n".join([*known, *lines, ""]).encode())


def checkpoint(size: int = 7) -> bytes:
    return note.sign_checkpoint(Checkpoint("passerelle/CAN", size, bytes([size]) * 32), LOG, NOW)


def cosigned(*names: str) -> bytes:
    signed = checkpoint()
    for name in names:
        signed = note.cosign(signed, f"passerelle/{name}/witness", KEYS[name], NOW)
    return signed


@pytest.mark.parametrize(
    ("threshold", "names", "enough"),
    [
        ("any", ["aus"], True),
        ("any", [], False),
        ("2", ["aus"], False),
        ("2", ["aus", "gbr"], True),
        ("all", ["aus", "gbr"], False),
        ("all", ["aus", "gbr", "nzl"], True),
    ],
)
def test_a_quorum_is_counted(threshold: str, names: list[str], enough: bool) -> None:
    rules = policy(f"group five {threshold} aus nzl gbr", "quorum five")

    found = rules.cosigned(cosigned(*names))

    assert found == frozenset(names)
    assert rules.satisfied(found) is enough


def test_groups_nest_by_organisation() -> None:
    rules = policy("group south any aus nzl", "group both all south gbr", "quorum both")

    assert rules.satisfied(frozenset({"nzl", "gbr"}))
    assert not rules.satisfied(frozenset({"aus", "nzl"}))


def test_nothing_is_wanted_only_where_it_is_written() -> None:
    assert policy("quorum none").satisfied(frozenset())
    with pytest.raises(PolicyRefused, match="no quorum line"):
        policy()


@pytest.mark.parametrize(
    "line",
    [
        "quorum nobody",
        "group g 4 aus nzl gbr\nquorum g",
        "group g 0 aus\nquorum g",
        "group g any\nquorum g",
        "group g any aus later\ngroup later any nzl\nquorum g",
        "group g any aus aus\nquorum g",
        "group g any aus\ngroup h any aus\nquorum g",
        "group aus any nzl\nquorum aus",
        "group none any nzl\nquorum none",
        "quorum aus\nquorum nzl",
        "witness four " + "x" * 10 + "\nquorum aus",
        "wittness five\nquorum aus",
        "quorum \xe4us",
    ],
)
def test_a_file_that_breaks_a_rule_is_refused_and_the_line_named(line: str) -> None:
    with pytest.raises(PolicyRefused, match=r"line \d+"):
        policy(*line.split("\n"))


def crowd(count: int) -> list[str]:
    keys = (WitnessKey.from_seed(n.to_bytes(32, "big")) for n in range(1000, 1000 + count))
    return [
        f"witness w{n} {VerifierKey(f'w{n}', KeyType.MLDSA44, key.public).format()}"
        for n, key in enumerate(keys)
    ]


def chain(depth: int) -> list[str]:
    first = ["group g1 any aus"]
    return [*first, *(f"group g{n} any g{n - 1}" for n in range(2, depth + 1)), f"quorum g{depth}"]


def test_as_many_witnesses_as_one_note_has_room_for_and_no_more() -> None:
    most = MAX_WITNESSES - len(NAMES)

    assert len(policy(*crowd(most), "quorum none").witnesses) == MAX_WITNESSES
    assert MAX_WITNESSES + 4 <= note.MAX_SIGNATURES  # beside two pairs of the ledger
    with pytest.raises(PolicyRefused, match=r"line \d+: more than 28 witnesses"):
        policy(*crowd(most + 1), "quorum none")


def test_groups_nest_so_deep_and_no_deeper_and_there_are_so_many() -> None:
    """Ten thousand within each other fit into the file; whoever counts them would never come back."""
    assert policy(*chain(DEEPEST)).satisfied(frozenset({"aus"}))
    with pytest.raises(PolicyRefused, match="more than 8 groups within each other"):
        policy(*chain(DEEPEST + 1))

    many = [*crowd(MAX_WITNESSES - len(NAMES))]
    many += [f"group s{n} any w{n}" for n in range(MAX_WITNESSES - len(NAMES))]
    many += ["group a any aus", "group b any nzl", "group c any gbr", "group d any a"]
    many += ["group e any b", "group f any c", "group g any d"]
    assert len(policy(*many, "quorum none").groups) == MAX_GROUPS
    with pytest.raises(PolicyRefused, match="more than 32 groups"):
        policy(*many, "group h any e", "quorum none")


def test_a_policy_file_is_bounded_in_bytes() -> None:
    whole = "\n".join([f"witness aus {vkey('aus')}", "quorum aus", ""]).encode()

    Policy.parse(whole.ljust(MAX_POLICY, b"\n"))
    with pytest.raises(PolicyRefused, match="longer than"):
        Policy.parse(whole.ljust(MAX_POLICY + 1, b"\n"))
    with pytest.raises(PolicyRefused, match="more than there can be"):
        policy(f"group g any {'aus ' * (MAX_WITNESSES + MAX_GROUPS + 1)}", "quorum none")


def test_a_note_is_parsed_once_however_many_witnesses_a_policy_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = policy(*crowd(MAX_WITNESSES - len(NAMES)), "quorum none")
    signed = cosigned("aus", "nzl")
    parsed: list[bytes] = []
    real = note.parse_note

    def count(raw: bytes) -> note.Note:
        parsed.append(raw)
        return real(raw)

    for module in (note, policies):
        monkeypatch.setattr(module, "parse_note", count)

    assert rules.cosigned(signed) == {"aus", "nzl"}
    assert len(parsed) == 1


def test_one_key_under_two_names_is_one_witness() -> None:
    """two_keys_one_person, the other way round: it would count twice."""
    with pytest.raises(PolicyRefused, match="key stands twice"):
        policy(f"witness again {vkey('aus')}", "quorum aus")
    other = VerifierKey("elsewhere/witness", KeyType.MLDSA44, KEYS["aus"].public).format()
    with pytest.raises(PolicyRefused, match="key stands twice"):
        policy(f"witness again {other}", "group both all aus again", "quorum both")


def test_a_policy_of_another_ledger_counts_for_nothing() -> None:
    """Its log lines say of which ledgers it is; without any it is of whichever it is shown."""
    ours = LogIdentity.from_log_key("passerelle/CAN", LOG)
    theirs = LogIdentity.from_log_key("passerelle/CAN", LogKey.generate())
    named = policy(f"log {ours.mldsa44_vkey}", "quorum aus")

    named.demand(ours)
    with pytest.raises(PolicyRefused, match="another ledger"):
        named.demand(theirs)
    named.demand(replace(theirs, past=(ours.vkeys,)))  # a pair that left is still of that ledger
    policy("quorum aus").demand(theirs)


def test_an_ed25519_key_is_no_witness_of_ours() -> None:
    key = VerifierKey("passerelle/CAN", KeyType.ED25519, LOG.ed25519_public).format()
    with pytest.raises(PolicyRefused, match="ML-DSA-44"):
        policy(f"witness classical {key}", "quorum aus")


def test_a_line_under_another_checkpoint_counts_for_nothing() -> None:
    """A witness's line, cut from one note and pasted under another."""
    line = note.parse_note(cosigned("aus")).signatures[-1]
    moved = note.with_lines(checkpoint(8), [line])

    assert policy("quorum aus").cosigned(moved) == frozenset()
    with pytest.raises(NoteRefused, match="does not verify"):
        note.line_of(moved, VerifierKey.parse(vkey("aus")))


def test_a_line_under_the_name_of_another_witness_counts_for_nothing() -> None:
    signed = note.cosign(checkpoint(), "passerelle/nzl/witness", KEYS["aus"], NOW)

    assert policy("quorum nzl").cosigned(signed) == frozenset()


def test_any_flipped_bit_of_a_cosignature_is_found() -> None:
    signed = cosigned("aus")
    line = note.parse_note(signed).signatures[-1]
    for at in range(0, len(line.payload), 97):
        spoilt = bytearray(line.payload)
        spoilt[at] ^= 1
        other = note.SignatureLine(line.name, line.key_id, bytes(spoilt))
        assert not policy("quorum aus").cosigned(note.with_lines(checkpoint(), [other]))


def test_a_replaced_key_that_the_directory_vouches_for_is_still_that_witness() -> None:
    new = WitnessKey.from_seed(b"n" * 32)
    key = VerifierKey("passerelle/aus/witness", KeyType.MLDSA44, new.public)
    signed = note.cosign(checkpoint(), key.name, new, NOW)
    rules = policy("quorum aus")

    assert rules.cosigned(signed) == frozenset()
    assert rules.cosigned(signed, {key.name: [key]}) == frozenset({"aus"})
    assert rules.cosigned(signed, {"passerelle/nzl/witness": [key]}) == frozenset()


def test_the_logs_own_lines_stay_what_they_were() -> None:
    signed = cosigned("aus", "gbr")
    both = [
        VerifierKey("passerelle/CAN", KeyType.ED25519, LOG.ed25519_public).format(),
        VerifierKey("passerelle/CAN", KeyType.MLDSA44, LOG.mldsa44_public).format(),
    ]

    assert note.open_checkpoint(signed, *both).size == 7
    assert note.with_lines(signed, note.parse_note(signed).signatures) == signed


def test_a_witness_key_is_none_of_the_pair_it_is_drawn_from() -> None:
    assert LOG.witness().public == LOG.witness().public
    assert LOG.witness().public != LOG.mldsa44_public
    assert LogKey.from_seed(b"a" * 64).witness().public != LOG.witness().public


@given(st.binary(max_size=300))
def test_bytes_of_a_stranger_are_a_policy_or_refused(octets: bytes) -> None:
    try:
        Policy.parse(octets)
    except AuditFault:
        return
    assert b"quorum" in octets


def of_size(size: int, name: str) -> bytes:
    return note.cosign(checkpoint(size), f"passerelle/{name}/witness", KEYS[name], NOW)


def test_a_quorum_has_reached_what_enough_witnesses_have_gone_beyond() -> None:
    rules = policy("group two 2 aus nzl gbr", "quorum two")

    assert rules.reached([]) == 0
    assert rules.reached([of_size(9, "aus")]) == 0
    assert rules.reached([of_size(9, "aus"), of_size(5, "aus")]) == 0  # one witness, twice
    assert rules.reached([of_size(9, "aus"), of_size(5, "nzl")]) == 5
    assert rules.reached([of_size(9, "aus"), of_size(5, "nzl"), of_size(7, "gbr")]) == 7


def test_a_line_that_does_not_verify_carries_no_quorum_further() -> None:
    line = note.parse_note(of_size(5, "aus")).signatures[-1]
    moved = note.with_lines(checkpoint(9), [line])

    assert policy("quorum aus").reached([moved, of_size(5, "aus")]) == 5


def test_a_policy_of_which_nothing_can_be_read_is_refused_and_waited_for_by_nobody(
    tmp_path: Path, pipe: Any
) -> None:
    with pytest.raises(Remedy, match=r"evidence\.policy names a file .* no regular file"):
        policy_of(pipe(tmp_path / "policy"))
