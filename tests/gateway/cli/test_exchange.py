"""The commands of two parties, over a gateway in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import admin_session
from gateway.exercises.demo.parties import free_port
from gateway.trust.bundle import PartyBundle
from matcher.finger import record_fmr, synthetic
from matcher.finger.record_fmr import Format, View, at_197, write
from matcher.finger.template import Minutiae
from tests.gateway.sample_files.test_piv_card import card
from tests.patience import PATIENCE

FAMILY = "Canary-Red"
FOREIGN = ("--status", "FOREIGN_NATIONAL", "--nationality", "IND")


@dataclass
class Two:
    """Canada serves, Australia asks."""

    can: Path
    aus: Path
    prints: Path
    process: Any


@pytest.fixture(scope="module")
def two(  # noqa: PLR0917 - fixtures
    run: Any,
    spawn: Any,
    founded: Any,
    passphrase: Any,
    tmp_path_factory: Any,
    record: Any,
    let_in: Any,
) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("exchange")
    can, aus = (Path(shutil.copytree(founded[p], folder / p)) for p in ("CAN", "AUS"))
    _move_to_a_free_port(can)
    for home, partner in ((can, aus), (aus, can)):
        bundle = folder / f"{partner.name}.json"
        printed = run("party", "export", partner, "-o", bundle, "--json").document["fingerprint"]
        assert run("party", "import", home, bundle, "--fingerprint", printed).code == 0
    prints = folder / "prints"
    prints.mkdir()
    for seed in range(1, 6):
        record(prints / f"person-{seed}.fmr", seed, impression=1)
    said = run("gallery", "enrol", can, prints, "--position", 2, *FOREIGN, *passphrase)
    assert said.code == 0, said.err
    registrar = folder / "registrar"
    secret = passphrase[1].read_bytes().strip
    let_in(can, "P-1", ["registrar"], registrar, passphrase=secret)
    keep_records(run, can, registrar, passphrase)
    let_in(can, "P-2", ["operator"], folder / "operator", passphrase=secret)
    process = spawn("serve", can, *passphrase, "--json")
    ready = process.stdout.readline()
    assert json.loads(ready)["ok"], process.stderr.read()
    yield Two(can, aus, prints, process)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    process.stdout.close()
    process.stderr.close()


def keep_records(run: Any, can: Path, registrar: Path, passphrase: Any) -> None:
    """Have a registrar write down what is held of the first person."""
    row = {"reference": "person-1", "status": "FOREIGN_NATIONAL", "nationalities": ["IND"]}
    folder = registrar.parent
    photograph = folder / "one.jpg"
    photograph.write_bytes(b"\xff\xd8\xff\xe0" + bytes(3000))
    file = folder / "people.jsonl"
    file.write_text(json.dumps({**row, "LAST_NAME": FAMILY, "PHOTOGRAPH": "one.jpg"}) + "\n")
    said = run("registry", "import", can, file, "--as", registrar, *passphrase)
    assert said.code == 0, said.err


def _move_to_a_free_port(home: Path) -> None:
    """Founded on the standard port; several test processes cannot all have it."""
    port = free_port()
    settings = home / "passerelle.toml"
    text = settings.read_text().replace("127.0.0.1:7443", f"127.0.0.1:{port}")
    settings.write_text(text.replace("127.0.0.1:7444", "127.0.0.1:0").replace("7445", "0"))
    bundle = PartyBundle.parse((home / "party.json").read_bytes())
    moved = replace(bundle, endpoints=(f"127.0.0.1:{port}",))
    (home / "party.json").write_bytes(moved.to_bytes())


def ask(run: Any, two: Two, passphrase: Any, *words: Any, **other: str) -> Any:
    said = {
        "--agreement": "au@1",
        "--purpose": "TRAVEL_ENTER_REMAIN",
        "--case": "C-1",
        "--unit": "U-1",
        "--official": "P-1",
        **{f"--{name.replace('_', '-')}": value for name, value in other.items()},
    }
    flat = [word for pair in said.items() for word in pair]
    return run("query", two.aus, "--to", "CAN", *flat, *words, *passphrase, "--json")


def test_somebody_known_is_a_match_with_a_receipt(
    run: Any, two: Two, passphrase: Any, tmp_path: Path, record: Any
) -> None:
    probe = record(tmp_path / "index.fmr", 3, impression=2)

    said = ask(run, two, passphrase, "--finger", f"2={probe}")

    assert said.code == 0, said.err
    assert said.document["outcome"] == "MATCH"
    assert said.document["hit_reference"]
    assert said.document["receipt_verified"] is True
    assert 0 <= said.document["receipt_index"] < said.document["checkpoint_size"]
    assert (two.aus / "witness" / "CAN.checkpoint").is_file()


@pytest.mark.parametrize("positions", [(0,), (7,), (2, 2)])
def test_a_finger_is_found_of_unknown_position_of_the_other_hand_and_by_two_impressions(  # noqa: PLR0917 - fixtures
    run: Any, two: Two, passphrase: Any, tmp_path: Path, record: Any, positions: tuple[int, ...]
) -> None:
    words = []
    for number, position in enumerate(positions):
        probe = record(tmp_path / f"{number}.fmr", 3, impression=2 + number)
        words += ["--finger", f"{position}={probe}"]

    said = ask(run, two, passphrase, *words)

    assert (said.code, said.document["outcome"]) == (0, "MATCH"), said.err


@pytest.mark.parametrize("stated", [1, 3, 4, 8, 9, 25, 29])
def test_a_print_is_asked_about_whatever_its_impression(
    run: Any, two: Two, passphrase: Any, tmp_path: Path, stated: int
) -> None:
    """Rolled, scanned, latent, swipe, vertical roll, contactless, other: the query states what the record states."""
    form = record_fmr.Format.ISO_19794_2_2005 if stated < 16 else record_fmr.Format.INCITS_378_2009
    finger = synthetic.impression(synthetic.person(3), 2, 2)
    probe = tmp_path / "index.fmr"
    probe.write_bytes(
        record_fmr.write(record_fmr.at_197(form, [record_fmr.View(0, stated, 80, finger)]))
        + bytes(9)
    )

    said = ask(run, two, passphrase, "--finger", f"2={probe}")

    assert (said.code, said.document["outcome"]) == (0, "MATCH"), said.err
    assert "9 zero bytes" in said.err  # the file is repaired here; what leaves is a whole record


def test_both_fingers_of_a_card_are_asked_about_once_its_header_is_off(
    run: Any, two: Two, passphrase: Any, tmp_path: Path
) -> None:
    """The card's object names its holder: refused before anything is sent, and asked after `samples strip`."""
    views = [record_fmr.View(at, 0, 80, synthetic.impression(synthetic.person(3), at, 2)) for at in (7, 2)]  # fmt: skip
    record = write(at_197(Format.INCITS_378_2004, views))
    (tmp_path / "card.bin").write_bytes(card(record))

    named = ask(run, two, passphrase, tmp_path / "card.bin")
    stripped = run("samples", "strip", tmp_path / "card.bin", "-o", tmp_path / "card.fmr")
    said = ask(run, two, passphrase, tmp_path / "card.fmr")

    assert named.document["error"]["reason"] == "BIOGRAPHIC_IN_QUERY"
    assert "FASC-N" in named.document["error"]["message"]
    assert stripped.code == 0
    assert (said.code, said.document["outcome"]) == (0, "MATCH"), said.err
    assert (tmp_path / "card.fmr").read_bytes() == record


def test_nobody_known_is_an_answer_too(
    run: Any, two: Two, passphrase: Any, tmp_path: Path, record: Any
) -> None:
    probe = record(tmp_path / "index.fmr", 99, impression=2)

    said = ask(run, two, passphrase, probe, "--position", 2)

    assert said.code == 0
    assert said.document["outcome"] == "NO_MATCH"
    assert said.document["hit_reference"] == ""


def test_what_the_agreement_forbids_is_refused_with_its_reason(
    run: Any, two: Two, passphrase: Any
) -> None:
    probe = two.prints / "person-1.fmr"

    said = ask(run, two, passphrase, "--finger", f"2={probe}", purpose="DATA_ACCURACY")

    assert said.code == 1
    assert said.document["error"]["reason"] == "PURPOSE_NOT_PERMITTED"
    assert "PURPOSE_NOT_PERMITTED" in said.err


def test_the_state_of_a_query_can_be_asked_for(run: Any, two: Two, passphrase: Any) -> None:
    probe = two.prints / "person-1.fmr"
    number = "case-state-1"
    ask(run, two, passphrase, "--finger", f"2={probe}", transaction_number=number)

    said = run("state", two.aus, number, "--to", "CAN", *passphrase, "--json")
    unknown = run("state", two.aus, "case-state-2", "--to", "CAN", *passphrase, "--json")

    assert said.code == 0
    assert (said.document["state"], said.document["outcome"]) == ("DECIDED", "MATCH")
    assert unknown.code == 1
    assert unknown.document["error"]["reason"] == "TRANSACTION_UNKNOWN"


def test_a_number_is_used_once(run: Any, two: Two, passphrase: Any) -> None:
    probe = two.prints / "person-1.fmr"
    number = "case-once-1"
    first = ask(run, two, passphrase, "--finger", f"2={probe}", transaction_number=number)

    again = ask(run, two, passphrase, "--finger", f"2={probe}", transaction_number=number)

    assert (first.code, again.code) == (0, 1)
    assert again.document["error"]["reason"] == "TRANSACTION_REUSED"


def test_poor_fingers_are_named_and_are_no_answer(
    run: Any, two: Two, passphrase: Any, tmp_path: Path
) -> None:
    """Unsearched is never NO_MATCH: the officer learns which finger to capture again."""
    view = View(0, 0, 0, Minutiae([], [], [], [], 360, 400))
    (tmp_path / "empty.fmr").write_bytes(write(at_197(Format.ISO_19794_2_2005, [view])))

    said = ask(run, two, passphrase, "--finger", f"2={tmp_path / 'empty.fmr'}")

    assert said.code == 1
    assert said.document["outcome"] == "QUALITY_INSUFFICIENT"
    assert [one["position"] for one in said.document["problems"]] == [2]


def test_the_outcome_is_readable(run: Any, two: Two, passphrase: Any) -> None:
    probe = two.prints / "person-1.fmr"
    matter = ("--case", "C", "--unit", "U", "--official", "P", "--finger", f"2={probe}")
    agreed = ("--agreement", "au@1", "--purpose", "travel_enter_remain")

    said = run("query", two.aus, "--to", "CAN", *agreed, *matter, *passphrase)

    assert "outcome      MATCH" in said.out
    assert "verified" in said.out


@pytest.mark.parametrize(
    ("words", "other", "code", "complaint"),
    [
        ((), {}, 2, "--finger"),
        (("--finger", "index.fmr"), {}, 2, "POSITION=FILE"),
        (("--finger", "11={good}"), {}, 2, "POSITION=FILE"),
        (("--finger", "2=absent.fmr"), {}, 2, "absent.fmr"),
        (("absent.fmr", "--position", "2"), {}, 2, "no such file"),
        (("{good}",), {}, 2, "says no finger"),
        (("--finger", "2={junk}"), {}, 2, "not asked"),
        (("--finger", "2={good}", "--prior", "20260301-aa"), {}, 2, "--prior"),
        (
            ("--prior", "20260301-aa"),
            {},
            1,
            "PRIOR_TRANSACTION_UNKNOWN: the partner knows of no query",
        ),
        (
            ("--prior", "20260301-aa"),
            {},
            1,
            "name a query that this partner sent to us, or ask with",
        ),
        (("--manifest", "{people}"), {}, 2, "several people"),
        (("--finger", "2={thumb}"), {}, 2, "says finger 1, you say 2"),
        (("--finger", "0={thumb}"), {}, 2, "says which finger it is"),
        (("--finger", "2={good}"), {"agreement": "au"}, 2, "ID@VERSION"),
        (("--finger", "2={good}"), {"purpose": "CURIOSITY"}, 2, "--purpose"),
        (("--finger", "2={good}", "--missing", "4=LOST"), {}, 2, "--missing"),
        (("--finger", "2={good}", "--missing", "x"), {}, 2, "--missing"),
        (("--finger", "2={good}", "--missing", "\u00b2=BANDAGED"), {}, 2, "--missing"),
        (("--finger", "2={good}", "--deadline", "100"), {}, 2, "deadline"),
        (("--finger", "2={good}"), {"to": "NZL"}, 2, "no party NZL"),
        (("--finger", "2={good}"), {"to": "../CAN"}, 2, "no party"),
        (("--finger", "2={good}", "--finger", "2={good}"), {}, 2, "one record twice"),
        (("--finger", "2={good}"), {"case": "Jean Dupont"}, 2, "case must be a pseudonym"),
        (("--finger", "2={good}", "--missing", "2=BANDAGED"), {}, 2, "is sampled too"),
    ],
)
def test_a_question_that_cannot_be_asked_is_said_in_one_line(  # noqa: PLR0917 - a table
    run: Any,
    two: Two,
    passphrase: Any,
    record: Any,
    words: Any,
    other: Any,
    code: int,
    complaint: str,
) -> None:
    junk = two.aus / "junk"
    junk.write_bytes(b"FMR\0 20\0 and nothing else")
    people = two.aus / "people.csv"
    people.write_text("a.fmr,P-1,2\nb.fmr,P-2,2\n")
    files = {
        "good": two.prints / "person-1.fmr",
        "junk": junk,
        "people": people,
        "thumb": record(two.aus / "thumb.fmr", 1, impression=1, said=1),
    }

    said = ask(run, two, passphrase, *(word.format(**files) for word in words), **other)

    assert said.code == code
    assert complaint in " ".join(said.err.replace("│", " ").split())


def test_somebody_elses_passphrase_asks_nothing(run: Any, two: Two, secrets_folder: Path) -> None:
    probe = two.prints / "person-1.fmr"
    wrong = ("--passphrase-file", secrets_folder / "auditor")

    said = ask(run, two, wrong, "--finger", f"2={probe}")

    assert said.code == 2
    assert "wrong passphrase" in said.err


def test_a_serving_gateway_is_not_written_beside(run: Any, two: Two, passphrase: Any) -> None:
    said = run("gallery", "enrol", two.can, two.prints, "--position", 2, *FOREIGN, *passphrase)

    assert said.code == 2
    assert "stop it first" in said.err
    assert run("gallery", "stats", two.can, "--json").document["people"] == 5


def test_the_keys_of_a_serving_gateway_are_listed_without_its_database(
    two: Two, loaded: Any
) -> None:
    """The command asks over the admin listener; settings, SQL, TUF and numpy are the gateway's."""
    named = {admin_session.OFFICERS_PASSPHRASE: os.environ[admin_session.OFFICERS_PASSPHRASE]}
    operator = two.can.parent / "operator"
    modules, shown = loaded("keys", "list", two.can, "--as", operator, "--json", **named)

    assert {"KEM", "SIGNING", "LOG"} <= {row["kind"] for row in json.loads(shown)["keys"]}
    assert not modules & {
        "numpy",
        "pydantic_settings",
        "sqlalchemy",
        "tuf",
        "gateway.server.application",
    }


def test_the_ledger_of_a_serving_gateway_is_whole(run: Any, two: Two) -> None:
    said = run("ledger", "verify", two.can, "--json")

    assert said.code == 0
    assert said.document["ok"] is True
    assert said.document["findings"] == []
    assert said.document["size"] > 0


def test_a_row_edited_after_signing_is_found(run: Any, two: Two, tmp_path: Path) -> None:
    """Somebody with the disk turns one bit of one stored entry."""
    forged = tmp_path / "CAN"
    shutil.copytree(two.can, forged)
    with sqlite3.connect(forged / "store" / "passerelle.db") as database:
        leaf = database.execute("SELECT leaf FROM leaves WHERE idx = 3").fetchone()[0]
        flipped = bytes([*leaf[:20], leaf[20] ^ 1, *leaf[21:]])
        database.execute("UPDATE leaves SET leaf = ? WHERE idx = 3", (flipped,))
    database.close()

    said = run("ledger", "verify", forged, "--json")

    assert said.code == 1
    assert said.document["ok"] is False
    assert said.document["findings"]


def details(run: Any, two: Two, passphrase: Any, number: str, *more: Any) -> Any:
    return run(
        *("details", two.aus, number, "--to", "CAN", "--agreement", "au@1"),
        *(
            "--purpose",
            "TRAVEL_ENTER_REMAIN",
            "--case",
            "C-1",
            "--unit",
            "U-1",
            "--official",
            "P-1",
        ),
        *more,
        *passphrase,
    )


def test_details_of_a_match_are_shown_beside_their_paragraphs(
    run: Any, two: Two, passphrase: Any, record: Any, tmp_path: Path
) -> None:
    probe = record(tmp_path / "probe.fmr", 1, impression=2)
    hit = ask(run, two, passphrase, "--finger", f"2={probe}", "--json").document
    words = ("--field", "LAST_NAME", "--field", "PHOTOGRAPH")

    said = details(run, two, passphrase, hit["transaction_number"], *words, "--json")
    again = details(
        run, two, passphrase, hit["transaction_number"], *words, "--out", tmp_path / "o"
    )
    more = details(run, two, passphrase, hit["transaction_number"], "--field", "GENDER", "--json")

    assert said.code == 0, said.err
    name, photograph = said.document["fields"]
    assert (name["value"], name["authority"]) == (FAMILY, "IRPR 315.41(2)(a)")
    assert photograph["authority"] == "IRPR 315.41(2)(b)"
    assert said.document["receipt_verified"]
    assert "IRPR 315.41(2)(a)" in again.out
    (written,) = (tmp_path / "o").iterdir()
    assert written.stat().st_mode & 0o077 == 0
    assert more.code == 1
    assert more.document["error"]["reason"] == "HIT_REFERENCE_SPENT"


def test_details_of_nobody_are_not_asked_for(
    run: Any, two: Two, passphrase: Any, record: Any, tmp_path: Path
) -> None:
    probe = record(tmp_path / "probe.fmr", 99, impression=1)
    missed = ask(run, two, passphrase, "--finger", f"2={probe}", "--json").document
    number = missed["transaction_number"]

    unasked = details(run, two, passphrase, number, "--field", "LAST_NAME")
    guessed = details(
        run, two, passphrase, number, "--field", "LAST_NAME", "--reference", "ab" * 16, "--json"
    )

    assert (unasked.code, "no match" in unasked.err) == (1, True)
    assert (guessed.code, guessed.document["outcome"]) == (1, "UNAVAILABLE")


def test_no_ledger_yet_is_not_a_clean_one(run: Any, homes: Any) -> None:
    said = run("ledger", "verify", homes["CAN"], "--json")

    assert said.code == 2
    assert said.document["ok"] is False


def test_check_says_that_all_is_well_and_what_is_in_force(
    run: Any, two: Two, passphrase: Any
) -> None:
    said = run("check", two.can, *passphrase, "--json")

    assert said.code == 0
    assert all(one["ok"] for one in said.document["checks"])
    settings = said.document["settings"]
    assert settings["gateway.party"] == "CAN"
    assert isinstance(settings["exchange.hosts"], list)
    assert settings["exchange.quantum_step_ms"] == 25
    assert settings["keys.passphrase_file"] is None


def test_check_names_what_would_keep_it_from_serving(run: Any, homes: Any, passphrase: Any) -> None:
    (homes["CAN"] / "agreements" / "au.toml").write_text("[agreement]\n")

    said = run("check", homes["CAN"], *passphrase, "--json")

    assert said.code == 1
    failed = [one["name"] for one in said.document["checks"] if not one["ok"]]
    assert failed == ["agreements"]


@pytest.mark.usefixtures("asked_once")
def test_the_last_test_ends_the_gateway_cleanly(run: Any, two: Two, passphrase: Any) -> None:
    """SIGTERM: calls under way are finished, the end is recorded, exit code 0; then nobody answers."""
    probe = two.prints / "person-1.fmr"

    two.process.send_signal(signal.SIGTERM)
    assert two.process.wait(PATIENCE) == 0
    said = ask(run, two, passphrase, "--finger", f"2={probe}", deadline="50")

    assert "Traceback" not in two.process.stderr.read()
    assert said.code == 2
    assert said.document["error"]["kind"] == "Unreachable"
    assert run("ledger", "verify", two.can, "--json").code == 0
