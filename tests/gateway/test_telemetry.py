"""What the gateway says of itself: what is not on the list is not said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY as PROCESS_REGISTRY

from gateway import telemetry
from gateway.telemetry import FIELDS, REGISTRY, Stages, logger, sentences

EVERY_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    said = capsys.readouterr()
    assert said.out == ""
    (text,) = said.err.splitlines()
    return dict(json.loads(text))


def dropped() -> float:
    return REGISTRY.get_sample_value("passerelle_log_fields_dropped_total") or 0.0


def test_a_log_line_is_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logger("listener").error("unhandled", error_id="ab12", operation="SubmitQuery")

    said = line(capsys)

    assert str(said.pop("time")).endswith("Z")
    assert said == {
        "event": "unhandled",
        "level": "error",
        "logger": "listener",
        "error_id": "ab12",
        "operation": "SubmitQuery",
    }


def test_a_command_says_the_same_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a log may not hold; what the reason holds already is said once; no control of a terminal."""
    log = logger("agreements")
    with sentences():
        log.error("agreements_refused", file="au.toml", reason="au.toml line 3: not\x1b[1m TOML")
        log.error("job_failed", operation="tiles", kind="OSError", count=2, name="Jane Doe")
        log.error("job_failed", reason="line 2", count=2)
    said = capsys.readouterr().err.splitlines()
    log.error("job_failed")

    assert said == [
        "passerelle: error: agreements refused: au.toml line 3: not [1m TOML",
        "passerelle: error: job failed (count 2, kind OSError, operation tiles)",
        "passerelle: error: job failed: line 2 (count 2)",
    ]
    assert line(capsys)["event"] == "job_failed"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Jane Doe"},
        {"payload": "Jane Doe"},
        {"outcome": "Jane Doe"},
        {"reason": b"Jane Doe"},
        {"reason": ["Jane Doe"]},
        {"reason": {"Jane Doe": 1}},
        {"reason": ValueError("Jane Doe")},
        {"reason": "Jane Doe" * 100},
        {"exc_info": ValueError("Jane Doe")},
    ],
)
def test_a_field_that_nobody_thought_of_is_dropped_and_counted(
    capsys: pytest.CaptureFixture[str], fields: dict[str, object]
) -> None:
    before = dropped()

    logger("listener").info("refused", count=1, **fields)

    said = line(capsys)
    assert "Jane" not in json.dumps(said)
    assert said["count"] == 1
    assert dropped() == before + 1


def test_a_value_formatted_into_the_event_is_not_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = dropped()

    logger("listener").warning("refused query of Jane Doe")

    assert line(capsys)["event"] == "unnamed"
    assert dropped() == before + 1


def test_what_is_bound_is_held_to_the_list_too(capsys: pytest.CaptureFixture[str]) -> None:
    logger("listener").bind(partner="AUS", person="Jane Doe").info("refused")

    said = line(capsys)
    assert said["partner"] == "AUS"
    assert "person" not in said


def test_what_is_meant_for_debugging_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    logger("listener").debug("refused")

    assert capsys.readouterr().err == ""


@EVERY_EXAMPLE
@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text() | st.binary() | st.integers()))
def test_no_field_beside_the_list_is_ever_written(
    capsys: pytest.CaptureFixture[str], fields: dict[str, object]
) -> None:
    capsys.readouterr()
    for reserved in ("self", "event"):
        fields.pop(reserved, None)

    logger("listener").info("checked", **fields)

    assert set(line(capsys)) <= FIELDS | {"event", "level", "logger", "time"}


def test_calls_are_counted_without_partner_or_outcome() -> None:
    labels = {"operation": "SubmitQuery", "code": "OK", "reason": ""}
    before = REGISTRY.get_sample_value("passerelle_calls_total", labels) or 0.0

    telemetry.count_call("SubmitQuery", "OK", "")

    assert REGISTRY.get_sample_value("passerelle_calls_total", labels) == before + 1
    for family in REGISTRY.collect():
        for sample in family.samples:
            assert not {"outcome", "party"} & set(sample.labels)
            # When a partner's keys end is no secret, and says of nobody whether he was found.
            assert "partner" not in sample.labels or set(sample.labels) <= {
                "kind",
                "partner",
                "name",
            }


def test_metrics_are_exposed_from_a_registry_of_our_own() -> None:
    telemetry.observe_commit(0.004)

    text = telemetry.exposition().decode()

    assert "passerelle_ledger_commit_seconds_count" in text
    assert "python_info" not in text
    assert "passerelle_calls_total" not in [
        sample.name for family in PROCESS_REGISTRY.collect() for sample in family.samples
    ]


@pytest.fixture
def ticks() -> Iterator[float]:
    return map(float, count())


def test_a_stage_lasts_from_the_end_of_the_one_before(ticks: Iterator[float]) -> None:
    stages = Stages("SubmitQuery", clock=lambda: next(ticks))

    stages.mark("header")
    stages.mark("verify")
    stages.mark("header")

    assert stages.seconds == {"header": 2.0, "verify": 1.0}


def test_the_observer_is_told_of_each_stage_once_it_is_over() -> None:
    told: list[str] = []
    stages = Stages("SubmitQuery", told.append)

    stages.mark("header")
    assert told == ["header"]
    stages.mark("open")

    assert told == ["header", "open"]


def test_the_observer_can_stop_the_process_at_a_stage() -> None:
    class Stopped(BaseException):
        pass

    def stop(stage: str) -> None:
        if stage == "open":
            raise Stopped

    stages = Stages("SubmitQuery", stop)

    stages.mark("header")
    with pytest.raises(Stopped):
        stages.mark("open")


def test_a_stage_is_a_metric() -> None:
    labels = {"stage": "weighing"}

    Stages().mark("weighing")

    assert REGISTRY.get_sample_value("passerelle_stage_seconds_count", labels) == 1
