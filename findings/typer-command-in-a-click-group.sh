#!/bin/sh
# A Typer application that is part of a Click group, as Typer's own tutorial combines the two, no longer ends its help in order.
#
# typer 0.21.0 with click 8.3.1   `typer.main.get_command(app)` is a `click.Command`. Added to a Click group, `cli sub --help` prints the
#                                 help and ends with exit code 0.
# typer 0.29.2 with click 8.5.1   it is a command of a copy of Click inside Typer (`typer._click`), and no `click.Command`. The group takes
#                                 it, runs it and lists it; but its exceptions are not those that Click catches: `cli sub --help` prints the
#                                 help, then a traceback of `typer.exceptions.Exit`, and ends with exit code 1.
# Whoever tests such a group by its exit codes, or builds it into a script, sees it; an application of Typer alone does not.
#
# Source: Typer's tutorial, "Using Click", a single app with both (the sub-command is added by `add_command`). Seen 2026-11-30, CPython 3.11.7.
# Fails (exit 1) when any of this is no longer so; exit 2 where the packages cannot be had.
set -eu
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >both.py <<'END'
import sys

import click
import typer

greetings = typer.Typer()


@greetings.command()
def hello(name: str = "world") -> None:
    """Greet."""
    print(f"hello {name}")


@click.group()
def cli() -> None:
    """One application of both."""


part = typer.main.get_command(greetings)
if sys.argv[1:] == ["kind"]:
    print("click.Command" if isinstance(part, click.Command) else type(part).__mro__[1].__module__)
else:
    cli.add_command(part, "sub")
    cli()
END

"$PYTHON" -m venv before && "$PYTHON" -m venv after
quiet="--quiet --disable-pip-version-check"
before/bin/python -m pip install $quiet "typer==0.21.0" "click==8.3.1" || exit 2
after/bin/python -m pip install $quiet "typer==0.29.2" "click==8.5.1" || exit 2

fault() {
  echo "no longer so: $1" >&2
  exit 1
}
expect() { # VENV CODE WORDS...
  venv=$1 code=$2 found=0
  shift 2
  "$venv/bin/python" both.py "$@" >out 2>err || found=$?
  [ "$found" -eq "$code" ] || fault "$venv: '$*' ends with $found, not $code"
  echo "$venv: both.py $* -> exit code $found"
}

expect before 0 kind
grep -qx 'click.Command' out || fault "typer 0.21.0 makes no click.Command"
expect after 0 kind
grep -q '^typer\._click' out || fault "typer 0.29.2 makes no command of its own copy"

for venv in before after; do
  expect $venv 0 sub --name you
  grep -qx 'hello you' out || fault "$venv does not greet"
done
expect before 0 sub --help
expect after 1 sub --help
grep -q 'Greet' out || fault "typer 0.29.2 prints no help first"
grep -q 'typer\.exceptions\.Exit: 0' err || fault "typer 0.29.2 fails in another way"
