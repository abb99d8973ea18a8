"""What the server says of its own time, read from its metrics as any monitoring would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

STAGES = "passerelle_stage_seconds"
TIMEOUT = 60.0  # seconds; a loaded server still answers its monitoring


@dataclass(frozen=True, slots=True)
class Meter:
    """Seconds and number of times, by stage, since the server started."""

    seconds: Mapping[str, float]
    times: Mapping[str, float]

    def since(self, earlier: Meter) -> dict[str, float]:
        """Return the mean milliseconds of each stage between two readings."""
        means = {}
        for stage, seconds in self.seconds.items():
            times = self.times[stage] - earlier.times.get(stage, 0.0)
            if times > 0:
                means[stage] = (seconds - earlier.seconds.get(stage, 0.0)) / times * 1000
        return means


def read(port: int) -> Meter:
    """Read the metrics that a server on this machine serves on `port`."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if family.name != STAGES:
            continue
        for sample in family.samples:
            kept = {f"{STAGES}_sum": sums, f"{STAGES}_count": counts}.get(sample.name)
            if kept is not None:
                kept[sample.labels["stage"]] = sample.value
    return Meter(sums, counts)
