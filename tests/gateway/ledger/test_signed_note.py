"""Signed notes and checkpoints: one spelling, two signatures, and nothing that brings the parser down."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger import signed_note as module
from gateway.ledger.merkle import EMPTY_ROOT
from gateway.ledger.signed_note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    Checkpoint,
    KeyType,
    LogIdentity,
    Note,
    NoteRefused,
    SignatureLine,
    VerifierKey,
    cosign,
    line_of,
    open_checkpoint,
    open_note,
    parse_note,
    sign_checkpoint,
    signed_at,
    with_lines,
)
from keys.signatures import LogKey, WitnessKey, verify_mldsa44

ORIGIN = "can.example/exchange-log"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = LogKey.from_seed(bytes(range(64)))
LOG = LogIdentity.from_log_key(ORIGIN, KEY)
CHECKPOINT = Checkpoint(ORIGIN, 9, bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, KEY, NOW)


def opened(note: bytes) -> Checkpoint:
    return open_checkpoint(note, *LOG.vkeys)


def flips(raw: bytes) -> list[bytes]:
    return [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]


# --- the published example ---


def test_the_example_note_of_the_specification_verifies(vectors: Path) -> None:
    """C2SP/C2SP@5ba5ee8 signed-note.md, the example."""
    case = json.loads((vectors / "c2sp" / "signed-note-example.json").read_text())
    key, raw = VerifierKey.parse(case["vkey"]), case["note"].encode()

    assert key.name == "example.com/foo"
    assert key.key_id.hex() == "530d903a"
    assert key.format() == case["vkey"]
    assert open_note(raw, [key]) == "This is an example message.\n"
    assert parse_note(raw).format() == raw
    for damaged in flips(raw):
        with pytest.raises(NoteRefused):
            open_note(damaged, [key])


# --- checkpoints ---


def test_a_checkpoint_is_read_by_those_who_know_the_log() -> None:
    assert opened(NOTE) == CHECKPOINT
    assert parse_note(NOTE).format() == NOTE
    assert parse_note(NOTE).text == CHECKPOINT.format()
    assert [len(line.payload) for line in parse_note(NOTE).signatures] == [64, 8 + 2420]


def test_the_lattice_line_signs_the_published_structure() -> None:
    """tlog-cosignature: label, name, timestamp, origin, start, end, root (ledger 5)."""
    line = parse_note(NOTE).signatures[1]
    name = bytes([len(ORIGIN)]) + ORIGIN.encode()
    stamp = int(NOW.timestamp()).to_bytes(8, "big")
    signed = b"subtree/v1\n\0" + name + stamp + name + bytes(8) + bytes(7) + b"\x09"

    assert line.payload[:8] == stamp
    assert verify_mldsa44(KEY.mldsa44_public, line.payload[8:], signed + CHECKPOINT.root)


@pytest.mark.parametrize("part", range(2))
def test_every_flipped_byte_of_a_checkpoint_is_found(part: int) -> None:
    for damaged in flips(NOTE)[part::2]:
        with pytest.raises(NoteRefused):
            opened(damaged)


def test_every_truncation_of_a_checkpoint_is_found() -> None:
    for length in range(0, len(NOTE), 3):
        with pytest.raises(NoteRefused):
            opened(NOTE[:length])


@pytest.mark.parametrize("kept", [0, 1])
def test_whoever_forges_one_algorithm_forges_nothing(kept: int) -> None:
    """A policy that takes any listed key would accept this note (ledger 5, trap 1)."""
    note = parse_note(NOTE)
    half = replace(note, signatures=(note.signatures[kept],))

    with pytest.raises(NoteRefused, match="lacks its"):
        opened(half.format())


def test_a_forged_ed25519_line_beside_a_stale_lattice_line_is_refused() -> None:
    """The forger has the Ed25519 key and an old note, and wants another root."""
    forged = Checkpoint(ORIGIN, 9, bytes(32))
    mine, old = parse_note(sign_checkpoint(forged, KEY, NOW)), parse_note(NOTE)

    with pytest.raises(NoteRefused, match="MLDSA44 signature does not verify"):
        opened(Note(mine.text, (mine.signatures[0], old.signatures[1])).format())


def test_another_logs_key_signs_nothing_here() -> None:
    other = LogKey.from_seed(bytes(64))

    with pytest.raises(NoteRefused, match="lacks its"):
        opened(sign_checkpoint(CHECKPOINT, other, NOW))


def test_a_good_line_does_not_excuse_a_bad_one_of_the_same_key() -> None:
    note = parse_note(NOTE)
    good = note.signatures[0]
    bad = replace(good, payload=bytes(64))

    with pytest.raises(NoteRefused, match="two lines"):
        opened(replace(note, signatures=(*note.signatures, bad)).format())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the keys whose signatures are verified from now on."""
    verified: list[str] = []
    real = module._verifies

    def count(key: VerifierKey, text: str, payload: bytes) -> bool:
        verified.append(key.name)
        return real(key, text, payload)

    monkeypatch.setattr(module, "_verifies", count)
    return verified


def unknown(count: int) -> list[SignatureLine]:
    return [SignatureLine(f"unknown-{n}", b"\0\0\0\1", bytes(8 + 2420)) for n in range(count)]


def test_as_many_lines_as_a_note_has_room_for_are_read_and_one_more_is_not() -> None:
    note = parse_note(NOTE)
    full = replace(note, signatures=(*note.signatures, *unknown(MAX_SIGNATURES - 2)))
    more = replace(note, signatures=(*note.signatures, *unknown(MAX_SIGNATURES - 1)))

    assert len(full.format()) <= MAX_NOTE
    assert opened(full.format()) == CHECKPOINT
    with pytest.raises(NoteRefused, match=f"1 to {MAX_SIGNATURES} signature lines"):
        opened(more.format())
    with pytest.raises(NoteRefused, match="too large"):
        parse_note(NOTE.ljust(MAX_NOTE + 1, b"x"))


def test_lines_of_strangers_cost_nothing_and_a_known_key_is_verified_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    note = parse_note(NOTE)
    full = replace(note, signatures=(*unknown(MAX_SIGNATURES - 2), *note.signatures))
    verified = counted(monkeypatch)

    opened(full.format())

    assert verified == [ORIGIN, ORIGIN]  # its two keys


def test_a_key_that_has_two_lines_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty lines of one key would be thirty signatures to verify."""
    note = parse_note(NOTE)
    many = replace(note, signatures=(*note.signatures, *[note.signatures[1]] * 30)).format()
    verified = counted(monkeypatch)

    with pytest.raises(NoteRefused, match="two lines"):
        opened(many)
    with pytest.raises(NoteRefused, match="two lines"):
        signed_at(many, LOG.mldsa44_vkey)
    with pytest.raises(NoteRefused, match="two lines"):
        line_of(many, VerifierKey.parse(LOG.mldsa44_vkey))
    assert len(verified) <= 1


def test_a_witness_that_cosigns_again_has_one_line() -> None:
    witness = WitnessKey.from_seed(bytes(32))
    first = cosign(NOTE, "w", witness, NOW)
    again = cosign(first, "w", witness, NOW + timedelta(days=1))

    assert len(parse_note(again).signatures) == 3
    line = line_of(again, VerifierKey("w", KeyType.MLDSA44, witness.public))
    assert line is not None
    assert line.stated == int(NOW.timestamp()) + 86_400


def test_a_note_without_room_is_not_cosigned_and_gets_no_line() -> None:
    note = parse_note(NOTE)
    lines = unknown(MAX_SIGNATURES - 2)
    full = replace(note, signatures=(*note.signatures, *lines)).format()
    last = replace(note, signatures=(*note.signatures, *lines[:-1])).format()
    witness = WitnessKey.from_seed(bytes(32))

    parse_note(cosign(last, "w", witness, NOW))
    with pytest.raises(NoteRefused, match=f"has room for {MAX_SIGNATURES}"):
        cosign(full, "w", witness, NOW)
    assert with_lines(full, lines) == full
    with pytest.raises(NoteRefused, match=f"has room for {MAX_SIGNATURES}"):
        with_lines(full, [SignatureLine("w", b"\0\0\0\2", b"x")])


def test_lines_of_unknown_keys_are_ignored() -> None:
    note = parse_note(NOTE)
    unknown = SignatureLine("witness.example", b"\1\2\3\4", b"whatever it signs")

    assert opened(replace(note, signatures=(unknown, *note.signatures)).format()) == CHECKPOINT


def test_the_time_of_a_lattice_line_is_signed_and_never_zero() -> None:
    note = parse_note(NOTE)
    classical, lattice = note.signatures
    for payload in (bytes(8) + lattice.payload[8:], lattice.payload[:5], bytes(8)):
        with pytest.raises(NoteRefused, match="does not verify"):
            opened(
                replace(note, signatures=(classical, replace(lattice, payload=payload))).format()
            )
    with pytest.raises(NoteRefused, match="beginning of time"):
        sign_checkpoint(CHECKPOINT, KEY, datetime(1970, 1, 1, tzinfo=UTC))


def test_the_keys_must_be_one_of_each_type_of_the_log_itself() -> None:
    ed25519, mldsa44 = LOG.vkeys
    other = LogIdentity.from_log_key("other.example/exchange-log", KEY)
    for pair in [
        (ed25519, ed25519),
        (mldsa44, ed25519),
        (ed25519, other.mldsa44_vkey),
        (other.ed25519_vkey, other.mldsa44_vkey),
    ]:
        with pytest.raises(NoteRefused):
            open_checkpoint(NOTE, *pair)


def test_a_checkpoint_of_one_origin_signed_under_the_name_of_another_is_refused() -> None:
    """A new epoch is another log (ledger 5): its keys do not speak for the old one."""
    text = Checkpoint(ORIGIN + "/2", 9, bytes(32)).format()
    name, log = ORIGIN, LOG
    stamp = int(NOW.timestamp()).to_bytes(8, "big")
    structure = b"subtree/v1\n\0" + bytes([len(name)]) + name.encode() + stamp
    structure += bytes([len(name) + 2]) + name.encode() + b"/2" + bytes(8) + bytes(7) + b"\x09"
    lines = (
        SignatureLine(name, _key_id(log.ed25519_vkey), KEY.sign_ed25519(text.encode())),
        SignatureLine(
            name, _key_id(log.mldsa44_vkey), stamp + KEY.sign_mldsa44(structure + bytes(32))
        ),
    )

    with pytest.raises(NoteRefused, match="another log"):
        opened(Note(text, lines).format())


def _key_id(vkey: str) -> bytes:
    return VerifierKey.parse(vkey).key_id


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    text = "not a checkpoint\n"
    lines = (
        SignatureLine(ORIGIN, _key_id(LOG.ed25519_vkey), KEY.sign_ed25519(text.encode())),
        SignatureLine(ORIGIN, _key_id(LOG.mldsa44_vkey), bytes([1] * 2428)),
    )

    with pytest.raises(NoteRefused, match="three lines"):
        opened(Note(text, lines).format())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n",
        "log\n9\n",
        f"log\n9\n{'A' * 43}=",  # no last newline
        f"log\n9\n{'A' * 43}=\nextension\n",
        f"log\n09\n{'A' * 43}=\n",
        f"log\n+9\n{'A' * 43}=\n",
        f"log\n-9\n{'A' * 43}=\n",
        f"log\n9 \n{'A' * 43}=\n",
        f"log\n٩\n{'A' * 43}=\n",
        f"log\n{'9' * 19}\n{'A' * 43}=\n",  # beyond 2^63
        f"log\n{'9' * 9000}\n{'A' * 43}=\n",
        f"log\n0\n{'A' * 43}=\n",  # a root for nothing
        f"log\n9\n{'A' * 43}\n",  # no padding
        f"log\n9\n{'A' * 42}B=\n",  # stray bits
        f"log\n9\n{'A' * 42}-=\n",  # the other alphabet
        f"log\n9\n{'A' * 42}é=\n",
        "log\n9\nAAAA\n",
        "log\n9\n\n",
        f"\n9\n{'A' * 43}=\n",
        f"a log\n9\n{'A' * 43}=\n",
        f"log+\n9\n{'A' * 43}=\n",
        f"{'l' * 256}\n9\n{'A' * 43}=\n",
    ],
)
def test_a_checkpoint_has_one_spelling(text: str) -> None:
    with pytest.raises(NoteRefused):
        Checkpoint.parse(text)


def test_an_empty_log_has_the_root_of_nothing() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)

    assert opened(sign_checkpoint(empty, KEY, NOW)) == empty


def test_sizes_are_bounded() -> None:
    for size in (-1, 2**63):
        with pytest.raises(NoteRefused, match="out of range"):
            Checkpoint(ORIGIN, size, bytes(32))
    assert Checkpoint.parse(Checkpoint(ORIGIN, 2**63 - 1, bytes(32)).format()).size == 2**63 - 1


# --- notes ---

LINE = "— name " + base64.b64encode(b"idnosignature").decode() + "\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"\n\n",
        f"text\n{LINE}".encode(),
        f"text\n\n{LINE[:-1]}".encode(),
        f"text\n\n{LINE}\n".encode(),
        f"text\r\n\n{LINE}".encode(),
        f"te\0xt\n\n{LINE}".encode(),
        f"text\n\n{LINE.replace('—', '-')}".encode(),
        f"text\n\n{LINE.replace('name', '')}".encode(),
        f"text\n\n{LINE.replace('name', 'na+me')}".encode(),
        f"text\n\n{LINE}".replace("name", "na\u2003me").encode(),
        f"text\n\n{LINE.replace(' name', '  name')}".encode(),
        f"text\n\n{LINE.replace('=', '')}".encode(),
        "text\n\n— name aWQxMg==\n".encode(),
        "text\n\n— name \n".encode(),
        b"text\n\n\xe2\x80\n",
        f"text\n\n{LINE * (MAX_SIGNATURES + 1)}".encode(),
        f"{'t' * MAX_NOTE}\n\n{LINE}".encode(),
    ],
)
def test_a_malformed_note_is_refused(raw: bytes) -> None:
    with pytest.raises(NoteRefused):
        parse_note(raw)


def test_the_text_ends_at_the_last_empty_line() -> None:
    note = parse_note(f"one\n\ntwo\n\n{LINE}".encode())

    assert note.text == "one\n\ntwo\n"
    assert len(parse_note(f"t\n\n{LINE * MAX_SIGNATURES}".encode()).signatures) == MAX_SIGNATURES


def test_without_a_key_no_note_is_opened() -> None:
    with pytest.raises(NoteRefused, match="no key"):
        open_note(NOTE, [])


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_bytes_bring_down_the_note_parser(raw: bytes) -> None:
    for note in (raw, raw + f"\n\n{LINE}".encode(), b"log\n9\n" + raw + f"\n\n{LINE}".encode()):
        try:
            parsed = parse_note(note)
        except NoteRefused:
            continue
        assert parsed.format() == note


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(NOTE) - 1), st.integers(0, 40), st.binary(max_size=8))
def test_a_spliced_checkpoint_is_the_same_checkpoint_or_none(
    at: int, cut: int, piece: bytes
) -> None:
    spliced = NOTE[:at] + piece + NOTE[at + cut :]
    try:
        assert opened(spliced) == CHECKPOINT
    except NoteRefused:
        assert spliced != NOTE


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=120))
def test_no_text_brings_down_the_checkpoint_and_key_parsers(text: str) -> None:
    for parse in (Checkpoint.parse, VerifierKey.parse):
        try:
            assert parse(text).format() == text  # type: ignore[operator]
        except NoteRefused:
            continue


# --- verifier keys ---


def test_a_verifier_key_has_one_spelling() -> None:
    for vkey in LOG.vkeys:
        assert VerifierKey.parse(vkey).format() == vkey
        for at in range(min(len(vkey), 120)):
            damaged = vkey[:at] + chr(ord(vkey[at]) ^ 1) + vkey[at + 1 :]
            with pytest.raises(NoteRefused):
                VerifierKey.parse(damaged)
    # signed-note: a key id is four bytes of a hash, in lower case.
    name, key_id, key = LOG.ed25519_vkey.split("+", 2)
    assert key_id != key_id.upper()
    with pytest.raises(NoteRefused):
        VerifierKey.parse(f"{name}+{key_id.upper()}+{key}")


@pytest.mark.parametrize(
    "typed",
    [bytes([4]) + bytes(32), bytes([1]) + bytes(31), bytes([6]) + bytes(32), bytes([1]), b""],
)
def test_a_key_of_another_type_or_length_is_refused(typed: bytes) -> None:
    with pytest.raises(NoteRefused):
        VerifierKey.parse(f"name+00000000+{base64.b64encode(typed).decode()}")


def test_a_name_is_bounded_and_plain() -> None:
    for name in ("", "a b", "a+b", "a\nb", "a\0b", "\ud800", "n" * 256):
        with pytest.raises(NoteRefused):
            VerifierKey(name, KeyType.ED25519, bytes(32))
