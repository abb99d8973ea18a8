"""Whom we trust is what was compared over the telephone."""

from __future__ import annotations

import json
import os
import pty
import select
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.signed_note import LogIdentity
from gateway.trust.bundle import PartyBundle, fingerprint
from keys.certificates import parsed
from keys.signatures import LogKey, VerifyingKey
from tests.patience import PATIENCE


@pytest.fixture
def offered(run: Any, homes: Any, tmp_path: Path) -> tuple[Path, str]:
    """Australia's bundle as a file, and its fingerprint as read out."""
    file = tmp_path / "AUS.json"
    said = run("party", "export", homes["AUS"], "-o", file, "--json")
    return file, said.document["fingerprint"]


def test_an_exported_bundle_is_its_owners_alone(offered: tuple[Path, str]) -> None:
    assert offered[0].stat().st_mode & 0o777 == 0o600


def test_a_bundle_leaves_by_stdout_as_it_is(run: Any, homes: Any) -> None:
    said = run("party", "export", homes["AUS"])

    octets = (homes["AUS"] / "party.json").read_bytes()
    assert said.out.encode() == octets
    assert fingerprint(octets) in said.err


def test_a_bundle_leaves_inside_the_one_document(run: Any, homes: Any) -> None:
    document = run("party", "export", homes["AUS"], "--json").document

    assert document["bundle"].encode() == (homes["AUS"] / "party.json").read_bytes()


@pytest.mark.parametrize(
    "spoken",
    [
        lambda printed: printed,
        lambda printed: printed.replace(" ", "-"),
        lambda printed: printed.replace(" ", "").lower(),
    ],
    ids=["spaces", "hyphens", "run together"],
)
def test_a_bundle_is_trusted_once_compared(run: Any, homes: Any, offered: Any, spoken: Any) -> None:
    file, printed = offered

    said = run("party", "import", homes["CAN"], file, "--fingerprint", spoken(printed), "--json")

    assert said.code == 0
    assert said.document["party"] == "AUS"
    assert (homes["CAN"] / "parties" / "AUS.json").read_bytes() == file.read_bytes()


def test_another_bundle_on_the_way_is_refused(run: Any, homes: Any, offered: Any) -> None:
    """Somebody changed the file between the two: what is read out no longer fits."""
    file, printed = offered
    other = replace(PartyBundle.parse(file.read_bytes()), endpoints=("evil.example:7443",))
    file.write_bytes(other.to_bytes())

    said = run("party", "import", homes["CAN"], file, "--fingerprint", printed)

    assert said.code == 1
    assert "compare" in said.err
    assert not list((homes["CAN"] / "parties").iterdir())


def test_nothing_is_trusted_unheard(run: Any, homes: Any, offered: Any) -> None:
    said = run("party", "import", homes["CAN"], offered[0])

    assert said.code == 2
    assert "--fingerprint" in said.err
    assert not list((homes["CAN"] / "parties").iterdir())


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100, b"[" * 60_000, b"x" * 100_000])
def test_what_is_no_bundle_is_refused_in_one_line(
    run: Any, homes: Any, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "junk").write_bytes(content)

    said = run("party", "import", homes["CAN"], tmp_path / "junk", "--fingerprint", "ABCD" * 8)

    assert said.code == 2
    assert said.err.startswith(f"passerelle: {tmp_path / 'junk'}: ")
    assert "ask its owner" in said.err
    assert said.err.count("\n") == 1


def test_our_own_bundle_is_no_partner(run: Any, homes: Any, tmp_path: Path) -> None:
    printed = run("party", "export", homes["CAN"], "-o", tmp_path / "b", "--json").document

    said = run(
        "party", "import", homes["CAN"], tmp_path / "b", "--fingerprint", printed["fingerprint"]
    )

    assert said.code == 1
    assert "our own" in said.err


def test_partners_are_listed(run: Any, homes: Any, offered: Any) -> None:
    file, printed = offered
    assert run("party", "list", homes["CAN"], "--json").document["parties"] == []
    run("party", "import", homes["CAN"], file, "--fingerprint", printed)

    listed = run("party", "list", homes["CAN"], "--json").document["parties"]

    assert [(one["party"], one["fingerprint"], one["current"]) for one in listed] == [
        ("AUS", printed, True)
    ]
    assert "AUS" in run("party", "list", homes["CAN"]).out


def test_a_partner_is_shown_key_by_key_with_the_ids_that_they_see(
    run: Any, homes: Any, offered: Any
) -> None:
    file, printed = offered
    run("party", "import", homes["CAN"], file, "--fingerprint", printed)
    entry = PartyBundle.parse(file.read_bytes())

    shown = run("party", "show", homes["CAN"], "AUS", "--json").document
    own = run("party", "show", homes["AUS"], "--json").document

    assert (shown["party"], shown["fingerprint"], shown["version"]) == ("AUS", printed, 1)
    assert shown["keys"] == own["keys"]
    by_kind = {one["kind"]: one for one in shown["keys"]}
    assert by_kind["SIGNING"]["id"] == VerifyingKey(entry.signing[0].public).key_id.hex()
    assert by_kind["TLS_LEAF"]["id"] == entry.tls_pins[0].hex()
    assert int(by_kind["TLS_CA"]["serial"], 16) == parsed(entry.tls_ca_pem).serial_number
    assert {one["state"] for one in shown["keys"]} == {"valid", "pinned"}
    assert by_kind["SIGNING"]["id"] in run("party", "show", homes["CAN"], "AUS").out


def test_a_partner_that_nobody_knows_is_not_shown(run: Any, homes: Any) -> None:
    said = run("party", "show", homes["CAN"], "NZL")

    assert said.code == 2  # a name was wrong; 1 is for an answer that is no
    assert "known: none yet" in said.err


def test_an_ended_key_of_a_partner_is_shown_as_ended(run: Any, homes: Any, offered: Any) -> None:
    file, printed = offered
    run("party", "import", homes["CAN"], file, "--fingerprint", printed)
    entry = PartyBundle.parse(file.read_bytes())
    now = datetime.now(UTC).replace(microsecond=0)
    old = replace(entry.kem[0], not_before=now - timedelta(90), not_after=now - timedelta(1))
    (homes["CAN"] / "parties" / "AUS.json").write_bytes(replace(entry, kem=(old,)).to_bytes())

    keys = run("party", "show", homes["CAN"], "AUS", "--json").document["keys"]

    assert [one["state"] for one in keys if one["kind"] == "KEM"] == ["ended"]


def test_a_damaged_file_is_named_and_counts_no_more(run: Any, homes: Any, offered: Any) -> None:
    file, printed = offered
    run("party", "import", homes["CAN"], file, "--fingerprint", printed)
    (homes["CAN"] / "parties" / "NZL.json").write_text("{}")

    said = run("party", "list", homes["CAN"], "--json")

    assert said.code == 1
    assert [fault["file"] for fault in said.document["faults"]] == ["NZL.json"]
    assert [one["party"] for one in said.document["parties"]] == ["AUS"]
    assert json.loads(said.out)["ok"] is False


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 2), (b"\n", 2)])
def test_a_person_compares_by_ear(
    spawn: Any, homes: Any, offered: Any, answer: bytes, code: int
) -> None:
    """On a terminal the fingerprint is shown and the question asked; silence is no."""
    file, printed = offered
    ours, theirs = pty.openpty()
    child = spawn(
        *("party", "import", homes["CAN"], file),
        **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"telephone?" not in shown:
        assert select.select([ours], [], [], PATIENCE)[0], shown
        shown += os.read(ours, 1024)
    os.write(ours, answer)
    try:
        while chunk := os.read(ours, 1024):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    os.close(ours)

    assert child.wait(PATIENCE) == code
    assert printed.encode() in shown
    assert (homes["CAN"] / "parties" / "AUS.json").exists() == (code == 0)


@pytest.mark.parametrize("stated", ["", "ABCD", "ABC1" * 8, "ABCD" * 9, "ÄBCD" * 8])
def test_what_is_no_fingerprint_is_a_slip_of_the_typist_not_another_bundle(
    run: Any, homes: Any, offered: Any, stated: str
) -> None:
    said = run("party", "import", homes["CAN"], offered[0], "--fingerprint", stated, "--json")

    assert (said.code, said.document["error"]["kind"]) == (2, "Usage")
    assert "--fingerprint" in said.document["error"]["message"]


def test_a_key_past_its_end_is_still_used_and_listed_so(run: Any, homes: Any, offered: Any) -> None:
    """Nobody can be asked for a bundle whose successor is not made yet (keys 5)."""
    bundle = PartyBundle.parse(offered[0].read_bytes())
    now = datetime.now(UTC).replace(microsecond=0)
    old = replace(bundle.kem[0], not_before=now - timedelta(90), not_after=now - timedelta(1))
    stale = replace(bundle, kem=(old,))
    (homes["CAN"] / "parties" / "AUS.json").write_bytes(stale.to_bytes())

    listed = run("party", "list", homes["CAN"], "--json").document["parties"]

    assert [one["current"] for one in listed] == [True]
    assert "still used" in " ".join(run("party", "list", homes["CAN"]).out.split())


def test_an_entry_that_waits_is_listed_with_its_remedy_and_taken_by_its_fingerprint(
    run: Any, homes: Any, offered: Any
) -> None:
    file, printed = offered
    assert run("party", "import", homes["CAN"], file, "--fingerprint", printed).code == 0
    known = PartyBundle.parse(file.read_bytes())
    log = LogIdentity.from_log_key(known.log.origin, LogKey.generate())
    newer = replace(known, version=known.version + 1, log=log).to_bytes()
    waiting = homes["CAN"] / "parties" / "AUS.waiting"
    waiting.write_bytes(newer)

    listed = run("party", "list", homes["CAN"], "--json")
    assert listed.code == 1
    (fault,) = listed.document["faults"]
    stated = fingerprint(newer).replace(" ", "-")
    assert fault["file"] == "AUS.waiting"
    assert stated in fault["reason"]

    said = run("party", "import", homes["CAN"], waiting, "--fingerprint", stated, "--json")
    assert said.code == 0
    assert said.document["dropped"] == "drops a ledger pair that we know"
    assert "witness/AUS.checkpoint" in said.err
    assert run("party", "list", homes["CAN"], "--json").code == 0


def test_a_bundle_of_which_nothing_can_be_read_is_refused_and_waited_for_by_nobody(
    run: Any, homes: Any, pipe: Any, tmp_path: Path
) -> None:
    said = run("party", "import", homes["CAN"], pipe(tmp_path / "aus.json"))

    assert said.code == 2
    assert "no regular file" in said.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("party", "export", "HOME"), "-o"),
        (("eval", "PRINTS"), "--scores"),
        (("eval", "PRINTS"), "--plot"),
        (("eval", "explain", "PRINTS/1_1.iso", "PRINTS/1_2.iso"), "--plot"),
        (("eval", "FACES", "--modality", "face"), "--scores"),
        (("eval", "FACES", "--modality", "face"), "--calibrate"),
        (("registry", "groups", "HOME", "--reason", "audit"), "-o"),
        (("audit", "renew", "HOME/auditor"), "-o"),
        (("ledger", "destruction", "HOME", f"D-{'0' * 32}"), "-o"),
        (("ledger", "prove", "0", "--bundle", "NONE"), "-o"),
        (("ledger", "prove", "0", "--bundle", "NONE", "-o", "NONE"), "--leaf"),
        (("directory", "root", "HOME"), "-o"),
        (("corrections", "trace", "HOME", "--subject", "F-1"), "--svg"),
    ],
    ids=" ".join,
)
def test_no_command_writes_over_a_file(
    run: Any, homes: Any, tmp_path: Path, words: tuple[str, ...], option: str
) -> None:
    """It may be somebody's evidence, or hours of work; and it is said before the work of now."""
    file = tmp_path / "kept"
    file.write_text("mine")
    places = {"HOME": homes["AUS"], "PRINTS": tmp_path, "FACES": tmp_path, "NONE": tmp_path / "no"}
    for name, place in places.items():
        words = tuple(word.replace(name, str(place)) for word in words)

    said = run(*words, option, file)

    assert said.code == 2
    assert f"{file} is there already: name a new file, or move it away" in said.err
    assert file.read_text() == "mine"

    nowhere = tmp_path / "gone" / "file"
    said = run(*words, option, nowhere)

    assert said.code == 2
    assert f"{nowhere} cannot be written: there is no folder {nowhere.parent}" in said.err
