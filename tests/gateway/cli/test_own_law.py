"""The partner's commands in a gateway that has a law of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("command", ["query", "details"])
def test_a_gateway_with_a_law_of_its_own_is_not_asked_around_it(
    homes: Any, run: Any, passphrase: Any, prints: Path, command: str
) -> None:
    """Else an officer could ask the country that persecutes (IRPR 315.4(2))."""
    words = ["--to", "AUS", "--agreement", "au@1", "--purpose", "TRAVEL_ENTER_REMAIN"]
    words += ["--case", "C-1", "--unit", "U-1", "--official", "O-1"]
    if command == "query":
        words += ["--finger", f"2={prints / 'person-1.fmr'}"]
        said = run("query", homes["CAN"], *words, *passphrase, "--json")
    else:
        words += ["--field", "LAST_NAME"]
        said = run("details", homes["CAN"], "T-00000001", *words, *passphrase, "--json")

    assert said.code == 2  # the wrong command; 1 is for an answer that is no
    assert "passerelle outbound" in said.document["error"]["message"]
