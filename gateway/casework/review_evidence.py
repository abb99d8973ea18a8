"""What an examiner sees of a case: each modality's samples side by side, and what each modality by itself says.

No score and no likelihood (ADR 17). Where several modalities were searched, a word for each says whether it supports or
contradicts that it is one person: the examiner must know what is in dispute, and not how strongly.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.messages import Biometrics, Modality, Query, Sample
from gateway.matching.modality import codec_of
from gateway.store.casework.reviews import Evidence

Held = Mapping[tuple[Modality, int], Sample]


def side_by_side(found: Evidence, query: Query, held: Held) -> dict[str, object]:
    """Return what there is to see of each sample that both have, nothing else; it does not say whose they are.

    fingers      position, and the minutiae of both
    samples      of the other modalities: modality, position, and what their codec shows of both
    modalities   what each of several modalities says
    """
    samples = query.probe.samples if isinstance(query.probe, Biometrics) else ()
    probe = {(each.modality, each.position): each for each in samples}
    both = sorted(probe.keys() & held.keys())
    compared = {at: codec_of(at[0]).compare(probe[at], held[at]) for at in both}
    return {
        "fingers": [
            {"position": position, **seen}
            for (modality, position), seen in compared.items()
            if modality is Modality.FINGER
        ],
        "samples": [
            {"modality": modality.name, "position": position, "compared": dict(seen)}
            for (modality, position), seen in compared.items()
            if modality is not Modality.FINGER
        ],
        "modalities": [
            {"modality": modality.name, "says": saying.name}
            for modality, saying in sorted(found.said.items())
        ],
    }
