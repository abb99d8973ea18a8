"""What an examiner sees of a case: each modality's samples side by side, and what each modality by itself says.

No score and no likelihood (ADR 17). Where several modalities were searched, a word for each says whether it supports or
contradicts that it is one person: the examiner must know what is in dispute, and not how strongly.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.messages import Biometrics, Modality, Query, Sample
from gateway.matching.modality import codec_of, pairs_to_examine
from gateway.store.casework.reviews import Evidence

Held = Mapping[tuple[Modality, int], tuple[Sample, ...]]  # the impressions of each, in order


def side_by_side(found: Evidence, query: Query, held: Held) -> dict[str, object]:
    """Return what there is to see of each sample that both have, nothing else; it does not say whose they are.

    fingers      position of the record's finger, what the asker stated (0 = unknown), and the minutiae of both
    samples      of the other modalities: modality, position, and what their codec shows of both
    modalities   what each of several modalities says
    """
    samples = query.probe.samples if isinstance(query.probe, Biometrics) else ()
    record = [one for several in held.values() for one in several]
    compared = [
        (mine, theirs, codec_of(theirs.modality).compare(mine, theirs))
        for mine, theirs in pairs_to_examine(samples, record)
    ]
    return {
        "fingers": [
            {"position": theirs.position, "stated": mine.position, **seen}
            for mine, theirs, seen in compared
            if theirs.modality is Modality.FINGER
        ],
        "samples": [
            {
                "modality": theirs.modality.name,
                "position": theirs.position,
                "compared": dict(seen),
            }
            for _, theirs, seen in compared
            if theirs.modality is not Modality.FINGER
        ],
        "modalities": [
            {"modality": modality.name, "says": saying.name}
            for modality, saying in sorted(found.said.items())
        ],
    }
