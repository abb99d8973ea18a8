"""Folders of tests derive their keys at next to no cost, also those that commands in processes of their own make.

What a passphrase costs in production is tested where it is the point: `production_cost` in conftest, and one whole run of
the demonstration.
"""

from __future__ import annotations

from gateway.exercises import subprocess_cli
from keys import custody

PRODUCTION = custody.STANDARD
CHEAP = custody.Argon2Cost(64, 1, 1)
COMMAND = f"{__name__}:command"


def command() -> None:
    """Run the command in `sys.argv`, and the commands that it starts, with cheap passphrases."""
    custody.STANDARD, subprocess_cli.COMMAND = CHEAP, COMMAND
    from gateway.cli.main import app

    app()
