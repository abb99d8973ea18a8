"""An auditor asks an open gateway why: the answer names its law, and the question is in the ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import PurposeNotPermitted
from gateway.ledger import exchange_events
from tests.gateway.auditor.year import query
from tests.gateway.ledger.test_events import ASKING


@pytest.fixture(scope="module")
def audited(folders: Path, tmp_path_factory: pytest.TempPathFactory, let_in: Any) -> Any:
    root = tmp_path_factory.mktemp("audited")
    for name in ("can", "aus"):
        shutil.copytree(folders / name, root / name)
    let_in(root / "can", "P-1", ["operator"], root / "p1")
    let_in(root / "can", "A-1", ["auditor"], root / "a1", by=root / "p1")
    (root / "auditor.pass").write_bytes(b"the auditor's own")
    (root / "auditor.pass").chmod(0o600)
    return root


@pytest.fixture(scope="module")
def gateway(audited: Path, serve: Any) -> Iterator[Any]:
    with serve(audited / "can", audited / "aus") as pair:
        yield pair


def explain(gateway: Any, number: str, *more: str, key: bool = True) -> tuple[int, dict[str, Any]]:
    root = gateway.home.parent
    words = ["audit", "explain", str(gateway.home), number, "--as", str(root / "a1"), *more]
    if key:
        words += ["--key", str(gateway.home / "auditor")]
        words += ["--key-passphrase-file", str(root / "auditor.pass")]
    result = CliRunner().invoke(app, [*words, "--json"], prog_name="passerelle")
    return result.exit_code, json.loads(result.stdout)


def test_explain_names_the_law_of_a_query(gateway: Any, people: Any) -> None:
    answer = gateway.partner().query(people.samples(1), **people.matter())
    before = gateway.gateway.sequencer.size

    code, told = explain(gateway, answer.transaction_number, "--reason", "complaint 14")

    assert code == 0, told
    rules = {line["value"]: line["paragraph"] for line in told["answers"]["decision"]}
    assert "IRPR 315.41(1)(a)" in rules.values()
    assert {line["value"] for line in told["answers"]["decision"]} & {"MATCH", "NO_MATCH"}
    assert any("IRPR 315.43(2)" in line["paragraph"] for line in told["answers"]["destruction"])
    assert gateway.gateway.sequencer.size == before + 2  # that he asked, and what he read


def test_explain_a_refused_purpose(gateway: Any, people: Any) -> None:
    from gateway.domain.messages import Purpose

    with pytest.raises(people.refused) as caught:
        gateway.partner().query(people.samples(1), **people.matter(purpose=Purpose.DATA_ACCURACY))
    number = caught.value.transaction_number

    code, told = explain(gateway, number, "--only", "decision", "--reason", "complaint 15")

    assert code == 0, told
    assert told["answers"]["decision"][0]["value"] == "PURPOSE_NOT_PERMITTED"


def test_without_the_key_the_outcome_stays_sealed(gateway: Any, people: Any) -> None:
    answer = gateway.partner().query(people.samples(1), **people.matter())

    _, told = explain(gateway, answer.transaction_number, "--reason", "look", key=False)

    assert answer.outcome.name not in json.dumps(told)
    assert told["answers"]["who"][0]["value"] == "AUS"


def test_a_number_that_nobody_used_is_a_finding(gateway: Any) -> None:
    code, told = explain(gateway, "T-00000000", "--reason", "look")

    assert code == 1
    assert told["findings"]


def test_an_operator_may_not_read(gateway: Any) -> None:
    operator = str(gateway.home.parent / "p1")
    words = ["audit", "explain", str(gateway.home), "T-00000000", "--reason", "curious", "--json"]
    words += ["--as", operator]

    result = CliRunner().invoke(app, words, prog_name="passerelle")

    assert result.exit_code == 1
    assert "auditor" in json.loads(result.stdout)["error"]["message"]


def replay(gateway: Any, *words: str) -> tuple[int, dict[str, Any]]:
    root = gateway.home.parent
    said = CliRunner().invoke(
        app,
        [
            *("audit", "replay", str(gateway.home), *words, "--as", str(root / "a1")),
            *("--key", str(gateway.home / "auditor"), "--reason", "impact", "--json"),
            *("--key-passphrase-file", str(root / "auditor.pass")),
        ],
        prog_name="passerelle",
    )
    return said.exit_code, json.loads(said.stdout)


def test_replay_under_the_same_law_changes_nothing(gateway: Any, people: Any) -> None:
    gateway.partner().query(people.samples(1), **people.matter())

    code, told = replay(gateway, "--since", "2026-01-01")

    assert (code, told["changed"]) == (0, [])
    assert told["queries"] >= 1


def test_a_query_of_ours_is_not_decided_again_and_it_is_said_who_decided_it(gateway: Any) -> None:
    ours = query(7, 1, outbound=True)
    gateway.gateway.sequencer.commit(ours)
    number = ours[0].frame.transaction_number

    code, told = replay(gateway, number)

    assert code == 2
    assert "is a query of ours: what was decided of it is the partner's" in told["error"]["message"]


def test_a_query_that_our_own_law_stopped_was_decided_by_no_partner(gateway: Any) -> None:
    stopped = exchange_events.question_stopped(ASKING, "20260301-0002", PurposeNotPermitted())
    gateway.gateway.sequencer.commit((stopped,))

    code, told = replay(gateway, "20260301-0002")

    assert code == 2
    assert "stopped here, and reached no partner" in told["error"]["message"]
    assert "audit explain" in told["error"]["message"]


def test_replay_under_a_proposed_law_names_what_would_change(
    gateway: Any, people: Any, tmp_path: Path
) -> None:
    answer = gateway.partner().query(people.samples(1), **people.matter())
    text = (gateway.home / "agreements" / "au.toml").read_text()
    proposed = tmp_path / "au-2.toml"
    lines = text.replace('"VISA_PERMIT_BENEFIT", ', "").splitlines()
    proposed.write_text(
        "\n".join(line for line in lines if not line.startswith("VISA_PERMIT_BENEFIT ="))
    )

    code, told = replay(gateway, answer.transaction_number, "--agreement", str(proposed))

    assert code == 1, told
    (changed,) = told["changed"]
    assert changed["now"] == "PURPOSE_NOT_PERMITTED"
    assert changed["transaction"] == answer.transaction_number


def test_no_query_is_decided_again_under_another_partys_agreement(
    gateway: Any, people: Any, tmp_path: Path
) -> None:
    answer = gateway.partner().query(people.samples(1), **people.matter())
    text = (gateway.home / "agreements" / "au.toml").read_text()
    theirs = tmp_path / "theirs.toml"
    text = text.replace('home = "CAN"', 'home = "AUS"').replace(
        'partner = "AUS"', 'partner = "CAN"'
    )
    theirs.write_text(text)

    code, told = replay(gateway, answer.transaction_number, "--agreement", str(theirs))

    assert code == 2
    assert "agreement.home: is not ours" in told["error"]["message"]
