"""Where the time of one question goes: each stage of the server and of the asker, with its share of the whole.

Means, which add up as medians do not: from composing a question to believing its answer. Stages are those that the server
measures of every call (`passerelle_stage_seconds`); what none of them holds is the beat on which answers leave, gRPC and
loopback. A stage's time is that of the clock: under load it includes waiting for a processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

CRYPTO: Final = ("verify", "open", "seal")  # the server's stages that are cryptography
SEARCH: Final = ("prepare", "search")  # and those that are biometrics
RECORD: Final = ("record_request", "record_response")  # and those that wait for the disk
# stage of a query → the steps of `gateway.exchange.pipeline` that it holds, in their order
STEPS: Final[Mapping[str, str]] = {
    "header": "4-5",
    "turn": "waits for a turn",
    "verify": "6",
    "replay": "7-8",
    "policy": "9",
    "open": "10",
    "admit": "11-13",
    "record_request": "14",
    "prepare": "15",
    "search": "16",
    "destroy": "17-18",
    "seal": "19",
    "record_response": "20",
}
ASKER: Final = "asker"  # seals, signs, verifies, opens
REST: Final = "rest"  # 21: held to the beat, with gRPC, loopback and the proofs


@dataclass(frozen=True, slots=True)
class Share:
    """A stage's milliseconds of one question, and their share of the whole, 0 to 1."""

    ms: float
    share: float


def kind(stage: str) -> str:
    """Return what a stage's time is spent on: crypto, search, record, or "" for anything else."""
    if stage in {*CRYPTO, ASKER}:
        return "crypto"
    return "search" if stage in SEARCH else "record" if stage in RECORD else ""


def profile(whole: float, stages: Mapping[str, float], asker: float) -> dict[str, Share]:
    """Return the share of each stage, in the order of the steps, with the asker's cryptography and the rest.

    whole    milliseconds of a question, mean
    stages   the server's means by stage
    asker    mean of the asker's cryptography, milliseconds
    """
    known = [name for name in STEPS if name in stages]
    spent = {name: stages[name] for name in (*known, *(stages.keys() - STEPS.keys()))}
    spent[ASKER] = asker
    spent[REST] = max(0.0, whole - sum(spent.values()))
    return {
        name: Share(round(ms, 3), round(ms / whole, 4) if whole else 0.0)
        for name, ms in spent.items()
    }
