"""What the samples of a query must be before they are sealed: what every partner would have to refuse stays here.

Asked by the partner's client, and by a gateway of the queries of its own people. What a partner reads besides (formats of
images, modalities, sizes) it says itself, in its capabilities.
"""

from __future__ import annotations

from collections import Counter

from gateway.domain.messages import (
    MOST_IMPRESSIONS,
    POSITIONS,
    TEMPLATES,
    UNKNOWN_POSITION,
    Biometrics,
    Modality,
)
from gateway.errors import PasserelleError
from gateway.sample_files import sample_text
from gateway.sample_files.errors import MalformedFile
from gateway.wire.query_payload import (
    EXTRACTOR,
    IMPRESSIONS,
    MAX_EXTRACTORS,
    MAX_IMAGE,
    MAX_RECORD,
)


class RuleBroken(PasserelleError):
    """Samples break a rule of the exchange.

    element   which part of the query, by its path; what was given there is not repeated
    rule      what it must be, in words
    text      whether it is text about a person (BIOGRAPHIC_IN_QUERY)
    """

    def __init__(self, element: str, rule: str, *, text: bool = False) -> None:
        super().__init__(f"{element} {rule}")
        self.element, self.rule, self.text = element, rule, text


def demand_sendable(probe: Biometrics) -> None:
    """Raise RuleBroken for samples that no partner takes; nothing of them is said."""
    if not probe.samples:
        raise RuleBroken("samples", "must hold at least one record")
    _refuse_surplus(probe)
    _refuse_contradictions(probe)
    for index, sample in enumerate(probe.samples):
        most = MAX_RECORD if sample.format in TEMPLATES else MAX_IMAGE
        if not 1 <= len(sample.data) <= most:
            raise RuleBroken(f"samples[{index}].data", f"must have 1 to {most} bytes")
    _refuse_text(probe)


def _refuse_surplus(probe: Biometrics) -> None:
    """Refuse more samples of a position than are read, an eleventh finger, and one record twice."""
    sampled = Counter((sample.modality, sample.position) for sample in probe.samples)
    unknown = sampled.pop((Modality.FINGER, UNKNOWN_POSITION), 0)
    for (modality, position), count in sampled.items():
        if count > MOST_IMPRESSIONS[modality]:
            what = f"{modality.name.lower()} {position}" if position else modality.name.lower()
            most = MOST_IMPRESSIONS[modality]
            raise RuleBroken("samples", f"hold {count} records of {what}; send at most {most}")
    if len({sample.data for sample in probe.samples}) < len(probe.samples):
        raise RuleBroken(
            "samples", "hold one record twice; each is of another impression or finger"
        )
    known = sum(modality is Modality.FINGER for modality, _ in sampled)
    if unknown + known + len(probe.missing) > len(POSITIONS[Modality.FINGER]):
        raise RuleBroken("samples", "are of more than ten fingers, those declared missing included")


def _refuse_contradictions(probe: Biometrics) -> None:
    """Refuse what a sample may not declare, and a finger that is sampled and missing."""
    for index, sample in enumerate(probe.samples):
        if not EXTRACTOR.fullmatch(sample.extractor):
            raise RuleBroken(
                f"samples[{index}].extractor", "must be 1 to 48 of letters, digits and . _ -"
            )
        if sample.impression not in IMPRESSIONS:
            raise RuleBroken(
                f"samples[{index}].impression",
                "must be the impression type that the record states: 0-15, 20-29, 41 or 42",
            )
    if sum(len(sample.extractor) for sample in probe.samples) > MAX_EXTRACTORS:
        raise RuleBroken(
            "samples", f"name extractors by more than {MAX_EXTRACTORS} characters together"
        )
    missing = [absent.position for absent in probe.missing]
    if len(set(missing)) < len(missing):
        raise RuleBroken("missing", "names one finger twice")
    sampled = {each.position for each in probe.samples if each.modality is Modality.FINGER}
    if sampled & set(missing):
        raise RuleBroken("missing", "names a finger that is sampled too; it is one or the other")


def _refuse_text(probe: Biometrics) -> None:
    """Refuse text about a person within a sample (IRPR 315.38): the peer would, but only after it was read there."""
    for index, sample in enumerate(probe.samples):
        element = f"samples[{index}].data"
        try:
            found = sample_text.text_in(sample.format, sample.data)
        except MalformedFile as fault:
            raise RuleBroken(element, f"is not of its format: {fault}") from None
        if found:
            what = "; ".join(found)
            raise RuleBroken(
                element,
                f"holds text about a person, which no query carries (BIOGRAPHIC_IN_QUERY): {what}"
                "  → passerelle samples strip",
                text=True,
            )
