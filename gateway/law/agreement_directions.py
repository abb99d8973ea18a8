"""The two directions of an agreement file: what the partner may ask and learn, and what we may ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from gateway.domain.messages import Purpose
from gateway.domain.person import FieldCode, Ground
from gateway.law.agreement import Answering, Asking, Block, Cell, Duty, Refusing, Withheld
from gateway.law.legal_status import Row
from gateway.law.quota_policy import PRESETS, WARN_PERCENT, Quota, Quotas
from gateway.law.toml_reader import Document

_any = re.compile(r".{1,64}")


class Claim(Enum):
    """Whether a query declares a refugee claim in the asking country."""

    UNDECLARED = False
    DECLARED = True


def answering(file: Document, place: str) -> Answering:
    """Return what the partner may ask and learn; `place` begins the ids of the file's rules."""
    purposes = _purposes(file, "answer.purposes")
    return Answering(
        purposes=purposes,
        claims=_purposes(file, "answer.claims"),
        reveal=_reveal(file, place),
        blocks=tuple(
            _block(file, key, place, asked=bool(purposes)) for key in file.keys("answer.fields")
        ),
        withheld=tuple(
            _withheld(file, key, place) for key in file.keys("answer.withheld", optional=True)
        ),
        refusing=_refusing(file),
        persecution=_paragraph_of(file, "answer.persecution"),
        quotas=_quotas(file, "answer.quota", purposes),
    )


def asking(file: Document) -> Asking:
    """Return what we may ask the partner."""
    purposes = _purposes(file, "ask.purposes")
    scope = {}
    for key in file.keys("ask.scope", optional=True):
        if key not in Row.__members__:
            raise file.wrong(f"ask.scope.{key}", "unknown")
        scope[Row[key]] = file.paragraph(f"ask.scope.{key}")
    return Asking(
        purposes=purposes,
        scope=MappingProxyType(scope),
        persecution=_paragraph_of(file, "ask.persecution"),
        quotas=_quotas(file, "ask.quota", purposes),
    )


def _purposes(file: Document, path: str) -> Mapping[Purpose, str]:
    purposes = {}
    for key in file.keys(path, optional=True):
        if key not in Purpose.__members__ or not Purpose[key]:
            raise file.wrong(f"{path}.{key}", "unknown")
        purposes[Purpose[key]] = file.paragraph(f"{path}.{key}")
    return MappingProxyType(purposes)


def _reveal(file: Document, place: str) -> Mapping[tuple[Row, bool], Cell]:
    """Return the whole of the table: a row or column that is not written refuses the file."""
    cells = {}
    for key in file.keys("answer.reveal"):
        if key not in Row.__members__:
            raise file.wrong(f"answer.reveal.{key}", "unknown")
    for row in Row:
        path = f"answer.reveal.{row.name}"
        whole = file.has(f"{path}.ALWAYS")
        for claim in Claim:
            cell = f"{path}.{'ALWAYS' if whole else claim.name}"
            cells[row, claim.value] = Cell(
                file.flag(f"{cell}.reveal"), f"{place}{cell}", file.paragraph(f"{cell}.paragraph")
            )
    return MappingProxyType(cells)


def _block(file: Document, key: str, place: str, *, asked: bool) -> Block:
    path = f"answer.fields.{key}"
    purposes: tuple[Purpose, ...] = ()
    claims: tuple[Claim, ...] = (Claim.UNDECLARED,)
    if asked:
        purposes = file.choices(f"{path}.purposes", Purpose)
        claims = file.choices(f"{path}.claims", Claim)
    return Block(
        rule=f"{place}{path}",
        paragraph=file.paragraph(f"{path}.paragraph"),
        codes=file.choices(f"{path}.codes", FieldCode),
        purposes=frozenset(purposes),
        rows=frozenset(file.choices(f"{path}.rows", Row)),
        claims=frozenset(claim.value for claim in claims),
        needs_match=asked and file.flag(f"{path}.needs_match"),
    )


def _withheld(file: Document, key: str, place: str) -> Withheld:
    path = f"answer.withheld.{key}"
    return Withheld(
        rule=f"{place}{path}",
        paragraph=file.paragraph(f"{path}.paragraph"),
        codes=frozenset(file.choices(f"{path}.codes", FieldCode)),
        rows=frozenset(file.choices(f"{path}.rows", Row)),
        persecution=file.flag(f"{path}.persecution"),
        visible=file.flag(f"{path}.visible"),
        ground=file.choice(f"{path}.ground", Ground),
    )


def _refusing(file: Document) -> Refusing | None:
    if not file.has("answer.refusal"):
        return None
    return Refusing(
        file.choice("answer.refusal.duty", Duty),
        file.flag("answer.refusal.terms"),
        frozenset(file.choices("answer.refusal.grounds", Ground)),
        file.paragraph("answer.refusal.paragraph"),
    )


def _paragraph_of(file: Document, path: str) -> str:
    return file.paragraph(f"{path}.paragraph") if file.has(path) else ""


def _quotas(file: Document, path: str, purposes: Mapping[Purpose, str]) -> Quotas | None:
    if not purposes:
        return None
    own = {}
    for key in file.keys(f"{path}.purposes", optional=True):
        if key not in Purpose.__members__ or Purpose[key] not in purposes:
            raise file.wrong(f"{path}.purposes.{key}", "not a purpose of this direction")
        own[Purpose[key]] = _quota(file, f"{path}.purposes.{key}")
    percent = WARN_PERCENT
    if file.has(f"{path}.warn_percent"):
        percent = file.count(f"{path}.warn_percent", 1, 99)
    return Quotas(_quota(file, path), MappingProxyType(own), percent)


def _quota(file: Document, path: str) -> Quota:
    """Return a preset or a day and a year; never both, or one would be overlooked."""
    if file.has(f"{path}.preset"):
        preset = file.string(f"{path}.preset", _any)
        if preset not in PRESETS:
            raise file.wrong(f"{path}.preset", f"not one of {', '.join(PRESETS)}")
        return PRESETS[preset]
    quota = Quota(file.count(f"{path}.day"), file.count(f"{path}.year"))
    if quota.year < quota.day:
        raise file.wrong(f"{path}.year", "smaller than a day's")
    return quota
