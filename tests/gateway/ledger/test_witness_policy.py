"""Whose cosignatures a checkpoint needs, read from a tlog-policy file; and what such lines are worth."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UserError
from gateway.ledger import signed_note
from gateway.ledger import witness_policy as policies
from gateway.ledger.errors import AuditFault, NoteRefused
from gateway.ledger.signed_note import Checkpoint, KeyType, LogIdentity, VerifierKey
from gateway.ledger.witness_policy import (
    DEEPEST,
    MAX_GROUPS,
    MAX_POLICY,
    MAX_WITNESSES,
    Policy,
    PolicyRefused,
)
from gateway.ledger_ops.witnesses import Witnesses, policy_of
from keys.signatures import LogKey, WitnessKey

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
    return signed_note.sign_checkpoint(
        Checkpoint("passerelle/CAN", size, bytes([size]) * 32), LOG, NOW
    )


def cosigned(*names: str) -> bytes:
    signed = checkpoint()
    for name in names:
        signed = signed_note.cosign(signed, f"passerelle/{name}/witness", KEYS[name], NOW)
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


CLASSICAL = Ed25519PrivateKey.from_private_bytes(b"c" * 32)


def cosigner(name: str = "witness.example.org/w1") -> VerifierKey:
    return VerifierKey(name, KeyType.ED25519_COSIGNER, CLASSICAL.public_key().public_bytes_raw())


def with_classical(signed: bytes, seconds: int = 1_772_000_000, stamp: bytes = b"") -> bytes:
    """Return a note with a line of an Ed25519 cosigner, made as tlog-cosignature says and not by our code."""
    text = signed_note.parse_note(signed).text
    said = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    payload = (stamp or seconds.to_bytes(8, "big")) + CLASSICAL.sign(said)
    key = cosigner()
    return signed_note.with_lines(
        signed, [signed_note.SignatureLine(key.name, key.key_id, payload)]
    )


def test_the_cosignature_that_the_specification_prints_verifies() -> None:
    """tlog-cosignature's example checkpoint, whose witness signs with a key of type 0x04; the key is not printed with it."""
    line = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=="
    raw = base64.b64decode(line)
    read = signed_note.SignatureLine("witness.example.com/w1", raw[:4], raw[4:])

    assert (len(read.payload), read.stated) == (8 + 64, 1679315147)


def test_an_ed25519_cosigner_counts_beside_ml_dsa_44() -> None:
    rules = policy(f"witness w1 {cosigner().format()}", "group both all aus w1", "quorum both")

    assert rules.cosigned(with_classical(cosigned("aus"))) == {"aus", "w1"}
    assert rules.satisfied(rules.cosigned(with_classical(cosigned("aus"))))
    assert rules.cosigned(cosigned("aus")) == {"aus"}


@pytest.mark.parametrize(
    "spoilt",
    [
        with_classical(checkpoint(), stamp=(1_772_000_001).to_bytes(8, "big")),  # another time than was signed
        with_classical(checkpoint(), seconds=0),
        with_classical(checkpoint(), seconds=2**63),
        signed_note.with_lines(checkpoint(8), signed_note.parse_note(with_classical(checkpoint())).signatures[-1:]),
    ],
    ids=["time", "no time", "beyond the last time", "another checkpoint"],
)  # fmt: skip
def test_a_line_of_an_ed25519_cosigner_that_does_not_hold_counts_for_nothing(spoilt: bytes) -> None:
    assert not policy(f"witness w1 {cosigner().format()}", "quorum w1").cosigned(spoilt)


def test_a_signature_of_the_text_alone_is_no_cosignature() -> None:
    """Type 0x01 signs the text and 0x04 a header before it: one must not pass for the other."""
    signed, key = checkpoint(), cosigner()
    payload = CLASSICAL.sign(signed_note.parse_note(signed).text.encode())
    lines = [
        signed_note.SignatureLine(key.name, key.key_id, each + payload)
        for each in (b"", b"\0" * 7 + b"\1")
    ]

    for line in lines:
        assert not policy(f"witness w1 {key.format()}", "quorum w1").cosigned(
            signed_note.with_lines(signed, [line])
        )


def test_urls_may_follow_and_words_may_stand_between_tabs() -> None:
    log = VerifierKey("passerelle/CAN", KeyType.MLDSA44, LOG.mldsa44_public).format()
    rules = policy(
        f"\tlog\t{log}  https://log.example.ca/",
        f"witness  w1\t{cosigner().format()} https://w1.example.org/ ",
        "  # a comment",
        "group g any aus w1",
        "quorum g",
    )

    assert set(rules.witnesses) == {*NAMES, "w1"}
    assert len(rules.logs) == 1


@pytest.mark.parametrize(
    "line", ["quorum aus more", "group g any aus\nquorum g more", "log", "witness w1", "quorum"]
)
def test_only_logs_and_witnesses_have_a_url(line: str) -> None:
    with pytest.raises(PolicyRefused, match=r"line \d+: "):
        policy(*line.split("\n"))


@pytest.mark.parametrize("control", ["\r", "\v", "\f", "\0", "\x7f", "\x1b"])
def test_a_control_character_is_refused(control: str) -> None:
    with pytest.raises(PolicyRefused, match=r"line 4: a control character"):
        policy(f"quorum aus{control}")


def test_names_are_octets_and_alike_only_where_these_are() -> None:
    """The Kelvin sign is another name than K, and bytes that are no UTF-8 are names too."""
    kelvin, raw = "\N{KELVIN SIGN}".encode(), b"\xff\xfe"
    known = [f"witness {name} {vkey(name)}".encode() for name in ("nzl", "gbr")]
    lines = [b"witness " + kelvin + b" " + vkey("aus").encode(), *known]

    Policy.parse(b"\n".join([*lines, b"quorum " + kelvin, b""]))
    with pytest.raises(PolicyRefused, match="names nothing"):
        Policy.parse(b"\n".join([*lines, b"quorum K", b""]))
    lines[1] = b"witness " + raw + b" " + vkey("nzl").encode()
    assert Policy.parse(b"\n".join([*lines, b"quorum " + raw, b""])).quorum


def test_a_log_is_named_by_either_of_its_keys() -> None:
    ours = LogIdentity.from_log_key("passerelle/CAN", LOG)
    theirs = LogIdentity.from_log_key("passerelle/CAN", LogKey.generate())

    for own in (ours.ed25519_vkey, ours.mldsa44_vkey):
        policy(f"log {own} https://log.example.ca/", "quorum aus").demand(ours)
        with pytest.raises(PolicyRefused, match="another ledger"):
            policy(f"log {own}", "quorum aus").demand(theirs)
    with pytest.raises(PolicyRefused, match="ML-DSA-44"):
        policy(f"log {cosigner().format()}", "quorum aus")


@pytest.mark.parametrize("name", ["witness_with_url.policy", "ed25519_cosigner.policy"])
def test_policies_as_others_write_them_are_read(shared: Path, name: str) -> None:
    path = shared / "cases" / "policy" / name
    if not path.is_file():
        pytest.skip(f"no case at {path}")

    rules = Policy.parse(path.read_bytes())

    assert rules.quorum in rules.witnesses


def test_as_many_witnesses_as_one_note_has_room_for_and_no_more() -> None:
    most = MAX_WITNESSES - len(NAMES)

    assert len(policy(*crowd(most), "quorum none").witnesses) == MAX_WITNESSES
    assert MAX_WITNESSES + 4 <= signed_note.MAX_SIGNATURES  # beside two pairs of the ledger
    with pytest.raises(PolicyRefused, match=r"line \d+: more than 32 witnesses"):
        policy(*crowd(most + 1), "quorum none")


def test_groups_nest_so_deep_and_no_deeper_and_there_are_so_many() -> None:
    """Ten thousand within each other fit into the file; whoever counts them would never come back."""
    assert policy(*chain(DEEPEST)).satisfied(frozenset({"aus"}))
    with pytest.raises(PolicyRefused, match="more than 8 groups within each other"):
        policy(*chain(DEEPEST + 1))

    many = [*crowd(MAX_WITNESSES - len(NAMES))]
    many += [f"group s{n} any w{n}" for n in range(MAX_WITNESSES - len(NAMES))]
    many += ["group a any aus", "group b any nzl", "group c any gbr"]
    assert len(policy(*many, "quorum none").groups) == MAX_GROUPS
    with pytest.raises(PolicyRefused, match="more than 32 groups"):
        policy(*many, "group h any a", "quorum none")


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
    real = signed_note.parse_note

    def count(raw: bytes) -> signed_note.Note:
        parsed.append(raw)
        return real(raw)

    for module in (signed_note, policies):
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
    line = signed_note.parse_note(cosigned("aus")).signatures[-1]
    moved = signed_note.with_lines(checkpoint(8), [line])

    assert policy("quorum aus").cosigned(moved) == frozenset()
    with pytest.raises(NoteRefused, match="does not verify"):
        signed_note.line_of(moved, VerifierKey.parse(vkey("aus")))


def test_a_line_under_the_name_of_another_witness_counts_for_nothing() -> None:
    signed = signed_note.cosign(checkpoint(), "passerelle/nzl/witness", KEYS["aus"], NOW)

    assert policy("quorum nzl").cosigned(signed) == frozenset()


def test_any_flipped_bit_of_a_cosignature_is_found() -> None:
    signed = cosigned("aus")
    line = signed_note.parse_note(signed).signatures[-1]
    for at in range(0, len(line.payload), 97):
        spoilt = bytearray(line.payload)
        spoilt[at] ^= 1
        other = signed_note.SignatureLine(line.name, line.key_id, bytes(spoilt))
        assert not policy("quorum aus").cosigned(signed_note.with_lines(checkpoint(), [other]))


def test_a_replaced_key_that_the_directory_vouches_for_is_still_that_witness() -> None:
    new = WitnessKey.from_seed(b"n" * 32)
    key = VerifierKey("passerelle/aus/witness", KeyType.MLDSA44, new.public)
    signed = signed_note.cosign(checkpoint(), key.name, new, NOW)
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

    assert signed_note.open_checkpoint(signed, *both).size == 7
    assert signed_note.with_lines(signed, signed_note.parse_note(signed).signatures) == signed


def test_a_witness_key_is_none_of_the_pair_it_is_drawn_from() -> None:
    assert LOG.witness().public == LOG.witness().public
    assert LOG.witness().public != LOG.mldsa44_public
    assert LogKey.from_seed(b"a" * 64).witness().public != LOG.witness().public


@given(st.binary(max_size=300))
def test_bytes_of_anybody_are_a_policy_or_refused(octets: bytes) -> None:
    try:
        Policy.parse(octets)
    except AuditFault:
        return
    assert b"quorum" in octets


def of_size(size: int, name: str) -> bytes:
    return signed_note.cosign(checkpoint(size), f"passerelle/{name}/witness", KEYS[name], NOW)


def test_a_quorum_has_reached_what_enough_witnesses_have_gone_beyond() -> None:
    rules = policy("group two 2 aus nzl gbr", "quorum two")

    assert rules.reached([]) == 0
    assert rules.reached([of_size(9, "aus")]) == 0
    assert rules.reached([of_size(9, "aus"), of_size(5, "aus")]) == 0  # one witness, twice
    assert rules.reached([of_size(9, "aus"), of_size(5, "nzl")]) == 5
    assert rules.reached([of_size(9, "aus"), of_size(5, "nzl"), of_size(7, "gbr")]) == 7


def test_a_line_that_does_not_verify_carries_no_quorum_further() -> None:
    line = signed_note.parse_note(of_size(5, "aus")).signatures[-1]
    moved = signed_note.with_lines(checkpoint(9), [line])

    assert policy("quorum aus").reached([moved, of_size(5, "aus")]) == 5


def test_a_policy_of_which_nothing_can_be_read_is_refused_and_waited_for_by_nobody(
    tmp_path: Path, pipe: Any
) -> None:
    with pytest.raises(UserError, match=r"evidence\.policy names a file .* no regular file"):
        policy_of(pipe(tmp_path / "policy"))


def test_a_witness_that_signs_with_a_key_of_each_type_has_both_lines_kept() -> None:
    name = "passerelle/aus/witness"
    key = VerifierKey(name, KeyType.ED25519_COSIGNER, CLASSICAL.public_key().public_bytes_raw())
    signed = cosigned("aus")
    said = f"cosignature/v1\ntime 1772000000\n{signed_note.parse_note(signed).text}".encode()
    payload = (1_772_000_000).to_bytes(8, "big") + CLASSICAL.sign(said)
    both = signed_note.with_lines(signed, [signed_note.SignatureLine(name, key.key_id, payload)])

    found = Witnesses._lines(both, [VerifierKey.parse(vkey("aus")), key])

    assert [len(line.payload) for line in found[name]] == [8 + 2420, 8 + 64]
