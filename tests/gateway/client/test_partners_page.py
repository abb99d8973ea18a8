"""docs/partners.md: its code runs against a real gateway, and what it names exists."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import gateway.client
from gateway import errors
from gateway.client import Partner, connection
from gateway.client.channel import dial
from gateway.domain import correction, person
from gateway.domain import messages as terms
from gateway.v1 import directory_pb2, exchange_pb2, ledger_pb2
from gateway.wire import canonical_form, decoding

PAGE = Path(__file__).resolve().parents[3] / "docs" / "partners.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_code_of_the_page_runs_and_says_what_it_says(
    pair: Any, people: Any, secret: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks in their order, as a reader would type them, beside a folder of their own."""
    monkeypatch.chdir(pair.asker.parent)
    monkeypatch.setattr(
        connection, "dial", lambda _, **how: dial(pair.address, **how)
    )  # the test's port, where the entry names 7443
    Path("passphrase").write_bytes(secret() + b"\n")
    Path("right-index.fmr").write_bytes(people.samples(1)[0].data)
    shown = io.StringIO()

    with redirect_stdout(shown):
        exec("\n".join(CODE), {"__name__": "page"})  # noqa: S102 - the page is ours

    first, *rest = shown.getvalue().splitlines()
    assert re.fullmatch(r"MATCH leaf \d+ of \d+", first)
    assert "MATCH" in rest
    assert any("ISO_19794_2_2005" in each for each in rest)


def test_two_blocks_are_on_the_page() -> None:
    assert len(CODE) == 2


def names(kind: type[errors.PasserelleError]) -> set[str]:
    own = {getattr(kind, "reason", ""), getattr(kind, "code", "")}
    return own.union(*(names(each) for each in kind.__subclasses__()))


def test_every_reason_outcome_and_rule_of_the_page_exists() -> None:
    known = names(errors.Refusal) | {"INTERNAL", "SIZE_CLASS", "SIGNING_KEY", "SIGNATURE", "SEAL"}
    for module in (terms, person, correction):
        for value in vars(module).values():
            known |= set(getattr(value, "__members__", {}))
    for module in (decoding, canonical_form):
        known |= {each for each in vars(module).values() if isinstance(each, str)}

    said = {word for span in re.findall(r"`([A-Z_]{4,})`", TEXT) for word in [span]}

    assert said
    assert said - known == set()


def test_every_method_service_and_class_of_the_page_exists() -> None:
    spans = set(re.findall(r"`([^`\n]+)`", TEXT))
    rpcs = {
        method.name
        for proto in (exchange_pb2, ledger_pb2, directory_pb2)
        for service in proto.DESCRIPTOR.services_by_name.values()
        for method in [*service.methods, service]
    }
    messages = {
        name
        for proto in (exchange_pb2, ledger_pb2, directory_pb2)
        for name in proto.DESCRIPTOR.message_types_by_name
    }
    other = {"ErrorInfo", "Partner", "TypeError"}
    for span in spans:
        attribute = re.fullmatch(r"Partner\.(\w+)(\(\))?", span)
        if attribute:
            assert hasattr(Partner, attribute[1]), span
        elif re.fullmatch(r"[A-Z][a-z]+[A-Za-z]+", span):
            assert span in rpcs | messages | other or hasattr(gateway.client, span), span
        elif re.fullmatch(r"(gateway|keys|proto|docs)/[\w/.]+", span):
            assert (PAGE.parents[1] / span).exists(), span
