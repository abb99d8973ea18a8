"""`passerelle keys compromised`: one command at a key compromise."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.keys import compromised
from gateway.trust.partners import fingerprint, own_bundle


@pytest.fixture
def home(homes: Any, officer: Any) -> Path:
    home: Path = homes["CAN"]
    officer("P-1", "operator")
    return home


@pytest.fixture
def kid(home: Path, run: Any, passphrase: Any) -> str:
    listed = run("keys", "list", home, *passphrase, "--json").document["keys"]
    return str(next(row for row in listed if row["kind"] == "KEM")["kid"])


def test_one_command_stops_publishes_and_lists(
    home: Path, kid: str, run: Any, passphrase: Any
) -> None:
    before = own_bundle(home).version

    said = run("keys", "compromised", home, kid[:8], "--since", "24h", *passphrase, "--json")

    assert said.code == 0, said.err
    document = said.document
    assert (document["key"], document["state"], document["new"]) == (kid, "SUSPENDED", True)
    assert document["directory_version"] == own_bundle(home).version == before + 1
    assert (document["affected"], document["transactions"]) == ([], 0)
    again = run("keys", "compromised", home, kid, "--since", "24h", *passphrase)
    assert again.code == 0
    assert "as before" in again.out
    assert "0 entries of 0 transactions" in again.out


@pytest.mark.parametrize("order", ["suspend", "compromised"])
def test_an_order_that_ends_all_answers_says_so_first_and_the_list_names_the_way_back(
    home: Path, run: Any, passphrase: Any, order: str
) -> None:
    listed = run("keys", "list", home, *passphrase, "--json").document["keys"]
    key = str(next(row for row in listed if row["kind"] == "SIGNING")["kid"])
    words = ["keys", order, home, key, "--reason", "a laptop"]
    words += ["--since", "24h"] if order == "compromised" else []

    asked = run(*words, *passphrase)
    still = run("keys", "list", home, *passphrase, "--json")
    done = run(*words, "--yes", *passphrase)
    told = run("keys", "list", home, *passphrase, "--json")

    assert (asked.code, "--yes" in asked.err) == (2, True), asked.err
    assert (still.code, still.document["silent"]) == (0, [])
    assert (done.code, "NOTHING IS ANSWERED" in done.err) == (0, True), done.err
    assert (told.code, len(told.document["silent"])) == (1, 1)
    successor = next(row["kid"] for row in told.document["keys"] if row["state"] == "PREACTIVE")
    way = told.document["silent"][0]
    assert "no SIGNING key is ACTIVE" in way
    assert f"keys promote DIR {successor[:16]} --override" in way
    assert f"keys resume DIR {key[:16]} --reason" in way


def test_csv_is_csv_and_nothing_else(home: Path, kid: str, run: Any, passphrase: Any) -> None:
    said = run("keys", "compromised", home, kid, "--since", "1d", *passphrase, "--csv")

    assert list(csv.reader(io.StringIO(said.out))) == [list(compromised.COLUMNS)]
    assert "SUSPENDED" in said.err
    listed = run("keys", "affected", home, kid, "--since", "1d", *passphrase, "--csv")
    assert listed.out == said.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["00000000", "--since", "1d"], 2),
        (["00000000", "--since", "yesterday"], 2),
        (["00000000"], 2),
        (["00000000", "--since", "1d", "--partner", "AUS"], 2),
    ],
)
def test_what_is_unknown_stops_nothing(
    home: Path, run: Any, passphrase: Any, words: list[str], code: int
) -> None:
    said = run("keys", "compromised", home, *words, *passphrase, "--json")

    assert said.code == code
    assert not said.document["ok"]


@pytest.mark.parametrize("kind", ["KEM", "SIGNING", "TLS_LEAF", "TLS_CA"])
def test_a_partners_key_without_its_partner_is_told_whose_it_is(
    home: Path, homes: Any, run: Any, passphrase: Any, kind: str
) -> None:
    file = homes["AUS"] / "party.json"
    run("party", "import", home, file, "--fingerprint", fingerprint(file.read_bytes()))
    keys = run("party", "show", home, "AUS", "--json").document["keys"]
    key = next(str(one["id"]) for one in keys if one["kind"] == kind)[:16]

    said = run("keys", "affected", home, key, "--since", "1d", *passphrase)
    assert said.code == 2
    assert "that is a key of AUS, not of ours; say --partner AUS" in said.err
    for tried in (("compromised", "--since", "1d"), ("suspend", "--reason", "look")):
        said = run("keys", tried[0], home, key, *tried[1:], *passphrase)
        assert said.code == 2
        assert "A partner's is for `passerelle keys compromised`, `affected`" in said.err
        assert "with --partner ID" in said.err
    assert (
        run("keys", "affected", home, key, "--since", "1d", "--partner", "AUS", *passphrase).code
        == 0
    )


@pytest.mark.parametrize("kind", ["KEM", "SIGNING", "TLS_LEAF", "TLS_CA"])
def test_what_is_refused_of_a_partner_is_refused_by_every_command(
    home: Path, homes: Any, run: Any, passphrase: Any, kind: str
) -> None:
    file = homes["AUS"] / "party.json"
    printed = fingerprint(file.read_bytes())
    run("party", "import", home, file, "--fingerprint", printed)
    keys = run("party", "show", home, "AUS", "--json").document["keys"]
    key = next(str(one["id"]) for one in keys if one["kind"] == kind)
    stopped = ("keys", "compromised", home, key, "--since", "1h", "--partner", "AUS")
    assert run(*stopped, *passphrase).code == 0

    tried = run("check", home, "--partner", "AUS", *passphrase)
    asked = run("state", home, "AUS-1", "--to", "AUS", *passphrase)

    for said in (tried, asked):
        assert said.code != 0
        assert "refused here" in said.out + said.err


def test_csv_and_json_are_two_forms(home: Path, kid: str, run: Any, passphrase: Any) -> None:
    said = run("keys", "affected", home, kid, "--since", "1d", *passphrase, "--csv", "--json")

    assert said.code == 2


def test_a_moment_is_a_time_in_utc_or_so_long_ago() -> None:
    assert compromised.moment("2026-03-01T12:00") == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert compromised.moment("2026-03-01T12:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    between = compromised.moment("3d") - compromised.moment("90m")
    assert timedelta(days=-3) <= between < timedelta(days=-2)
    with pytest.raises(typer.BadParameter):
        compromised.moment("0h")
