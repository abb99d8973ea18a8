"""The server's time, read as any monitoring would read it."""

from __future__ import annotations

from prometheus_client import start_http_server

from gateway import telemetry
from gateway.exercises import server_metrics
from gateway.exercises.server_metrics import Meter


def test_stages_are_read_from_what_the_server_serves() -> None:
    served, thread = start_http_server(0, "127.0.0.1", registry=telemetry.REGISTRY)
    ticks = iter((0.0, 0.25, 1.0))
    try:
        before = server_metrics.read(served.server_port)
        stages = telemetry.Stages("SubmitQuery", clock=lambda: next(ticks))
        stages.mark("metered")
        stages.mark("metered")
        means = server_metrics.read(served.server_port).since(before)
    finally:
        served.shutdown()
        served.server_close()
        thread.join()

    assert means == {"metered": 500.0}


def test_what_did_not_happen_between_two_readings_has_no_mean() -> None:
    before = Meter({"seal": 1.0}, {"seal": 10.0})
    after = Meter({"seal": 1.0, "open": 0.004}, {"seal": 10.0, "open": 2.0})

    assert after.since(before) == {"open": 2.0}
