"""Every operation of our own people is declared once, and the declaration is what the gateway and the commands do."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import MISSING
from inspect import cleandoc, getsource
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.admin.operation import Officer
from gateway.cli.main import app
from gateway.errors import UserError
from gateway.exercises.operations_reference import every_operation
from gateway.ledger import signed_note
from gateway.operations import ledger, proposals, staff
from gateway.operations.declaration import ALWAYS, Form, Request, Role
from gateway.server.application import Gateway
from keys import officer_certificate, officer_keys, signatures

EVERYBODY = Officer("P-1", frozenset(Role), second="P-2")
SECRET = "\x00 B-17 of nobody"  # no value of any text form but that of a file's text
WRONG = (SECRET, 7.25, ["\x00", SECRET], {"\x00": SECRET}, -1)
OPERATIONS = {each.declaration.name: each for each in every_operation()}
ARGUMENTS = [(name, one) for name, each in OPERATIONS.items() for one in each.arguments()]


def taken(form: Form[Any], value: object) -> bool:
    try:
        form.take(value)
    except ValueError:
        return False
    return True


def examples(form: Form[Any]) -> Iterator[object]:
    """Yield what its own sentence gives as an example, then what the sentences without one mean."""
    sentence = form.wrong
    if (found := re.search(r"e\.g\. (\S+?)(?=[;,]? |[;,]?$)", sentence)) is not None:
        yield found[1]
    if (found := re.search(r"(?:^| )of ([\w-]+)", sentence)) is not None:
        yield from (found[1], [found[1]])
    if (found := re.search(r"(\d+) hexadecimal digits", sentence)) is not None:
        yield "0" * int(found[1])
    yield from (form.least, False, [], {}, "root", "00", "AAAA", "file:/keys/kek.json")


def example(form: Form[Any]) -> object:
    return next(each for each in examples(form) if taken(form, each))


def request(operation: type[Request]) -> dict[str, object]:
    """Return values for all that has to be given."""
    return {
        name: example(said.form)
        for name, said in operation.arguments().items()
        if operation.default(name) is MISSING
    }


def commands() -> dict[str, Any]:
    """Return every command by the words that are typed."""
    found: dict[str, Any] = {}

    def visit(command: Any, words: str) -> None:
        for name, each in getattr(command, "commands", {}).items():
            visit(each, f"{words} {name}".strip())
        found[words] = command

    visit(typer.main.get_command(app), "")
    return found


@pytest.fixture(scope="module")
def opened(
    folders: Path, tmp_path_factory: pytest.TempPathFactory, secret: Any
) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("declared") / "can"
    shutil.copytree(folders / "can", home)
    with Gateway.open(home, secret) as gateway:
        yield gateway


def test_all_are_found() -> None:
    assert len(OPERATIONS) == len(every_operation()) > 40


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_a_refusal_gives_as_an_example_is_taken(name: str) -> None:
    for argument, said in OPERATIONS[name].arguments().items():
        if (found := re.search(r"e\.g\. (\S+?)(?=[;,]? |[;,]?$)", said.form.wrong)) is not None:
            assert taken(said.form, found[1]), argument


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_a_wrong_value_is_answered_by_its_form_and_not_repeated(
    opened: Gateway, name: str, argument: str
) -> None:
    operation = OPERATIONS[name]
    form = operation.arguments()[argument].form
    wrong = [each for each in WRONG if not taken(form, each)]
    assert wrong
    before = opened.sequencer.size

    for value in wrong:
        with pytest.raises(UserError) as caught:
            opened.admin.perform(EVERYBODY, name, {**request(operation), argument: value})
        assert str(caught.value) in {
            f"{argument}: {form.wrong}",
            f"{argument}: {said(form, value)}",
        }
        assert "B-17" not in str(caught.value)
        assert "7.25" not in str(caught.value)
    assert opened.sequencer.size == before


def said(form: Form[Any], value: object) -> str:
    """Return the words of a form that says more than one thing."""
    with pytest.raises(ValueError) as fault:
        form.take(value)
    return str(fault.value)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_argument_that_nobody_declared_is_refused(opened: Gateway, name: str) -> None:
    with pytest.raises(UserError, match=r"^surplus: no such argument$"):
        opened.admin.perform(EVERYBODY, name, {**request(OPERATIONS[name]), "surplus": SECRET})


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_has_to_be_given_is_asked_for(opened: Gateway, name: str) -> None:
    values = request(OPERATIONS[name])
    for argument in values:
        without = {key: value for key, value in values.items() if key != argument}
        with pytest.raises(UserError, match=f"^{argument}: "):
            opened.admin.perform(EVERYBODY, name, without)


def test_each_has_one_handler_and_each_handler_is_declared(opened: Gateway) -> None:
    assert {
        name: each.request for name, each in opened.admin.operations.handlers.items()
    } == OPERATIONS


def test_each_declared_command_can_be_typed() -> None:
    known = commands()

    typed = {each.declaration.command for each in OPERATIONS.values()} - {""}
    assert typed <= known.keys()
    assert len(typed) == sum(bool(each.declaration.command) for each in OPERATIONS.values())


def test_each_argument_is_explained_or_filled_in_by_its_command() -> None:
    known = commands()
    for operation in OPERATIONS.values():
        declared = operation.declaration
        if not declared.command:
            continue
        callback = known[declared.command].callback
        taken_by = {each.name for each in known[declared.command].params}
        source = getsource(sys.modules[callback.__module__])
        for name, argument in operation.arguments().items():
            if argument.help:
                assert name in taken_by, (declared.command, name)
            else:
                assert (argument.metavar, argument.option, argument.positional) == ("", (), False)
                if operation.default(name) is MISSING:
                    filled = rf"\b{name}=|\"{name}\"|\*\*\w+\.values\(\)"
                    assert re.search(filled, source), (declared.command, name)


def test_an_exit_code_is_a_paragraph_of_its_own_and_no_line_is_indented() -> None:
    for operation in OPERATIONS.values():
        words = cleandoc(operation.__doc__ or "")
        paragraphs = words.split("\n\n")

        assert "\n " not in words, operation
        assert words.count("Exit code") == sum(each.startswith("Exit code") for each in paragraphs)


def test_two_persons_is_never_or_always_or_says_when() -> None:
    for operation in OPERATIONS.values():
        words = operation.declaration.two_persons
        assert words in {"", ALWAYS} or re.match(r"(?:of|with|where|when|unless) ", words)


def test_sizes_are_those_of_the_keys() -> None:
    assert staff.TLS_KEY_BYTES == officer_keys.PUBLIC_BYTES
    assert staff.SIGNING_KEY_BYTES == signatures.PUBLIC_BYTES
    assert staff.PROOF_BYTES == officer_keys.PROOF_BYTES
    assert staff.MOST_DAYS == officer_certificate.MOST_DAYS
    assert proposals.SIGNATURE_BYTES == signatures.SIGNATURE_BYTES
    assert ledger.NOTE_BYTES == signed_note.MAX_NOTE
