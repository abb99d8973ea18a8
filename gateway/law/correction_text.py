"""The note to file, in both languages: what IRPR 315.27(3) and 315.35(3) put beside information that was used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.domain.correction import CorrectionKind
from gateway.domain.person import FieldCode

_KINDS = {
    CorrectionKind.WRONG_PERSON: (
        "the match was of another person",
        "la concordance visait une autre personne",
    ),
    CorrectionKind.WRONG_VALUE: ("these values were inaccurate", "ces valeurs étaient inexactes"),
    CorrectionKind.WITHDRAWN: ("it is withdrawn", "ils sont retirés"),
}


@dataclass(frozen=True, slots=True)
class Noted:
    """What a note speaks of; names fields, never their values.

    used_in   pseudonym of the record in which the information was used
    """

    reference: str
    partner: str
    number: str
    kind: CorrectionKind
    told: datetime
    used_in: str
    fields: tuple[FieldCode, ...] = ()


_PARAGRAPH = re.compile(r"(\d(?:\(\d+(?:\.\d+)?\))*)\(([a-z])\)")


def french(text: str, italic: Callable[[str], str] = str) -> str:
    """Return text with its citations as the French regulation has them: RIPR 315.41(1)b) for IRPR 315.41(1)(b).

    italic   sets the letter of a paragraph, which the French text prints in italics
    """
    said = text.replace("IRPR", "RIPR")
    return _PARAGRAPH.sub(lambda found: f"{found[1]}{italic(found[2])})", said)


def note_to_file(noted: Noted) -> tuple[str, str]:
    """Return the note in English and in French."""
    english, meaning = _KINDS[noted.kind]
    listed = _listed(noted.fields)
    day = f"{noted.told:%Y-%m-%d}"
    return (
        (
            f"Note {noted.reference}: on {day} {noted.partner} gave notice that information disclosed to Canada"
            f" under transaction {noted.number}{listed} is inaccurate: {english}. It had been used for an"
            f" administrative purpose in {noted.used_in} before the notice, and is kept for that reason; it must"
            " not be relied on again without this note (IRPR 315.27(3), 315.35(3))."
        ),
        (
            f"Note {noted.reference}\u00a0: le {day}, {noted.partner} a avisé que des renseignements communiqués au"
            f" Canada sous le numéro de transaction {noted.number}{listed} sont inexacts\u00a0: {meaning}. Ils avaient"
            f" été utilisés à des fins administratives dans {noted.used_in} avant l'avis et sont conservés pour"
            " cette raison; ils ne doivent plus servir sans la présente note (RIPR 315.27(3), 315.35(3))."
        ),
    )


def _listed(fields: Iterable[FieldCode]) -> str:
    named = ", ".join(code.name for code in fields)
    return f" ({named})" if named else ""
