"""A key compromise as docs/operators.md tells it: its commands are read from the document and run, in their order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client.local_settings import read_folder
from gateway.exercises import subprocess_cli
from gateway.exercises.demo import parties, people
from gateway.exercises.demo.parties import Party
from gateway.exercises.subprocess_cli import Server
from gateway.trust.partners import own_bundle
from keys.signatures import VerifyingKey

DOCUMENT = Path(__file__).parents[3] / "docs" / "operators.md"
SECTION = "A key compromise"
LOOKS = {("keys", "list"), ("proposals", "list")}  # exit code 1: something waits


def written() -> list[str]:
    """Return the commands of the section's fences."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"## {SECTION}\n")[1].split("\n## ")[0]
    fences = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [line for line in "".join(fences).splitlines() if line.strip()]


class Runbook:
    """Runs lines of the document; what stands there in capitals is what an operator would have read so far."""

    def __init__(self, can: Party, aus: Party, folder: Path) -> None:
        self.can = can
        folder_of_aus = read_folder(aus.home, "CAN", aus.passphrase)
        self.names: dict[str, str] = {
            "DIR": str(can.home),
            "THEIRS": VerifyingKey(folder_of_aus.keyset.signing().public).key_id.hex(),
            "CAN.json": str(folder / "CAN-anew.json"),
            "p1": str(can.officer(parties.FIRST)),
            "p2": str(can.officer(parties.SECOND)),
        }
        self.said: list[tuple[str, Any]] = []

    def run(self, line: str) -> Any:
        """Run one line as a person would, and remember what the next ones need."""
        words = [self.names.get(word, word) for word in shlex.split(line)[1:]]
        accept = (0, 1) if tuple(words[:2]) in LOOKS else (0,)
        if "--csv" in words:
            words.remove("--csv")  # one document is read here; the form has its own test
        officer = None
        if "--as" in words:
            place = words.index("--as")
            officer = Path(words[place + 1])
            del words[place : place + 2]
        said = subprocess_cli.run(*words, accept=accept, officer=officer)
        self.said.append((" ".join(words[:2]), said))
        if words[:2] == ["keys", "list"] and "KEY" not in self.names:
            found = [row for row in said["keys"] if row["kind"] == "SIGNING"]
            self.names["KEY"] = found[0]["kid"]
        if words[:2] == ["keys", "compromised"] and said["successor"]:
            self.names |= {"SUCCESSOR": said["successor"], "REVOCATION": said["proposal"]}
        if "proposal" in said and words[:2] != ["keys", "compromised"]:
            self.names["ID"] = said["proposal"]
        return said


@pytest.fixture
def runbook(tmp_path: Path) -> Iterator[Runbook]:
    can = parties.found(tmp_path, "CAN", "Canada", parties.FIRST, parties.SECOND)
    aus = parties.found(tmp_path, "AUS", "Australia")
    for one, other in ((can, aus), (aus, can)):
        parties.introduce(one, other)
    cast = people.invented(range(1, 4))
    subprocess_cli.run(
        *("gallery", "enrol", can.home),
        *("--manifest", people.write_manifest(cast, tmp_path / "records")),
        *("--passphrase-file", can.passphrase_file),
    )
    book = Runbook(can, aus, tmp_path)
    with Server(can.home, can.passphrase_file, tmp_path / "can.log"):
        yield book


@pytest.mark.slow
def test_the_worst_day_as_the_document_says_it(runbook: Runbook) -> None:
    """The signing key is stolen: stopped by one person, replaced by two, and the gateway answers again."""
    before = own_bundle(runbook.can.home)

    for line in written():
        runbook.run(line)

    states = {
        row["kid"]: row["state"]
        for name, said in runbook.said
        if name == "keys list"
        for row in said["keys"]
    }
    assert states[runbook.names["KEY"]] == "COMPROMISED"
    assert states[runbook.names["SUCCESSOR"]] == "ACTIVE"
    after = own_bundle(runbook.can.home)
    assert after.version > before.version
    assert not after.names(bytes.fromhex(runbook.names["KEY"]))
    assert runbook.said[-1][1]["state"] == "REFUSED"


def test_the_section_says_what_to_do_before_why() -> None:
    """Whoever reads it at night needs the command first."""
    lines = written()

    assert any("keys compromised" in line for line in lines[:2])
    assert {"keys compromised", "proposals approve", "keys promote"} <= {
        " ".join(line.split()[1:3]) for line in lines
    }
