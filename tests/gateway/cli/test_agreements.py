"""`passerelle agreements`: what was agreed, what a file is worth, and a new version from pen to force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.law.agreement_library import packaged


def test_a_new_version_goes_from_check_to_signature_to_list(
    homes: Any, run: Any, passphrase: Any, officer: Any, tmp_path: Path
) -> None:
    home, file = homes["CAN"], tmp_path / "au-2.toml"
    text = packaged()["au.toml"].decode().replace("version = 1", "version = 2")
    file.write_text(text.replace("in_force = 2026-01-01", "in_force = 2090-01-01"))
    assert run("agreements", "check", file, "--json").document["agreement"] == "au@2"

    for person in ("P-1", "P-2"):
        officer(person, "operator")
    sign = ("agreements", "sign", home, file, "--reason", "countersigned", *passphrase, "--json")
    proposed = run(*sign)
    assert proposed.code == 0, proposed.err
    assert "au@2, with AUS" in str(proposed.document["plan"])
    assert not (home / "agreements" / "au-2.toml").exists()
    other = (proposed.document["proposal"], "--yes", "--as", tmp_path / "p2", *passphrase)
    approved = run("proposals", "approve", home, *other, "--json")
    assert approved.code == 0, approved.err
    assert approved.document["answer"]["agreement"] == "au@2"

    rows = run("agreements", "list", home, "--json").document["agreements"]
    stands = {row["agreement"]: row["stands"] for row in rows}
    assert stands["au@1"] == "in force"
    assert stands["au@2"] == "from 2090-01-01"
    assert {"nz@1", "uk@1", "us-visa@1", "us-asylum@1"} <= stands.keys()


def test_show_puts_each_rule_beside_its_paragraph(homes: Any, run: Any) -> None:
    said = run("agreements", "show", homes["CAN"], "us-visa@1", "--json")

    rules = {row["rule"]: row["paragraph"] for row in said.document["rules"]}
    assert rules["they ask for DATA_ACCURACY"] == "IRPR 315.23(1)(c)"
    assert rules["mask CITIZEN (always)"] == "IRPR 315.21"
    assert all(rules.values())
    assert run("agreements", "show", homes["CAN"], "us-visa@9").code == 2


def test_a_file_that_permits_too_much_is_named_with_its_line(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "au-2.toml"
    text = packaged()["au.toml"].decode()
    wrong = text.replace(
        "[answer.reveal.CITIZEN]   # dual citizens included\nALWAYS = { reveal = false",
        "[answer.reveal.CITIZEN]\nALWAYS = { reveal = true",
    )
    assert wrong != text
    file.write_text(wrong)

    said = run("agreements", "check", file, "--json")

    assert said.code == 1
    line = wrong.splitlines().index('ALWAYS = { reveal = true, paragraph = "IRPR 315.36" }') + 1
    assert f"au-2.toml line {line}: answer.reveal.CITIZEN" in said.document["error"]["message"]


def test_an_unsigned_file_is_named_by_check_and_list(homes: Any, run: Any, passphrase: Any) -> None:
    text = packaged()["au.toml"].decode().replace("version = 1", "version = 2")
    (homes["CAN"] / "agreements" / "au-2.toml").write_text(text)

    for said in (run("agreements", "list", homes["CAN"]), run("check", homes["CAN"], *passphrase)):
        assert said.code != 0
        assert "au-2.toml line 1" in said.err + said.out


def test_a_file_of_which_nothing_can_be_read_is_named_by_check_and_list(
    homes: Any, run: Any, passphrase: Any, pipe: Any
) -> None:
    pipe(homes["CAN"] / "agreements" / "pipe.toml")
    pipe(homes["CAN"] / "parties" / "ZZZ.json")

    listed = run("agreements", "list", homes["CAN"])
    checked = run("check", homes["CAN"], *passphrase)

    for said in (listed, checked):
        assert said.code != 0
        assert "pipe.toml: cannot be read: no regular file" in said.err + said.out
    assert "ZZZ.json: no regular file" in checked.err + checked.out


def test_another_partys_agreement_is_never_said_to_be_in_force(
    homes: Any, run: Any, passphrase: Any, officer: Any, tmp_path: Path
) -> None:
    home, file = homes["CAN"], tmp_path / "theirs.toml"
    text = packaged()["au.toml"].decode().replace('id = "au"', 'id = "theirs"')
    text = text.replace('home = "CAN"', 'home = "AUS"').replace(
        'partner = "AUS"', 'partner = "CAN"'
    )
    file.write_text(text)
    officer("P-1", "operator")

    alone = run("agreements", "check", file)
    here = run("agreements", "check", file, "--for", home, "--json")
    signed = run("agreements", "sign", home, file, "--reason", "why", *passphrase)
    (home / "agreements" / file.name).write_text(text)
    listed = run("agreements", "list", home, "--json")
    shown = run("agreements", "show", home, "theirs@1")

    assert alone.code == 0
    assert "counts at the gateway of AUS alone" in alone.out
    assert (here.code, listed.code, shown.code) == (1, 1, 2)
    assert "agreement.home: is not ours" in here.document["error"]["message"]
    assert signed.code != 0
    assert "agreement.home: is not ours" in signed.err
    assert "theirs@1" not in {row["agreement"] for row in listed.document["agreements"]}
    assert any("is not ours, and not in force here" in each for each in listed.document["faults"])
