"""Which paragraph a rule rests on: a rule id names a place in an agreement file, which cites it.

    au@1:answer.purposes.CITIZENSHIP → IRPR 315.41(1)(c)
    au@1:answer.purposes             → IRPR 315.41(1), what all its entries have in common

Old versions are read as they were: what is not there, or no paragraph, cites nothing. What is refused is refused
because no entry of a table permits it: the rule is the table (`ground_of`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final

from gateway import bounded_toml, errors
from gateway.bounded_toml import TomlRefused
from gateway.domain.messages import Direction
from gateway.law.toml_reader import MAX_BYTES

PARAGRAPH = re.compile(r"[A-Z][A-Za-z ]{1,31} \d{1,4}(\.\d{1,3})?(\([0-9a-z]{1,4}\)){0,4}")

_PART = re.compile(r"^[^(]+|\([0-9a-z]{1,4}\)")
# Reason of a refusal → the table of the agreement that did not permit it, where they ask us and where we ask.
_TABLES: Final[Mapping[str, tuple[str, str]]] = {
    errors.AgreementNotInForce.reason: ("agreement", "agreement"),
    errors.PurposeNotPermitted.reason: ("answer.purposes", "ask.purposes"),
    errors.FieldNotPermitted.reason: ("answer.fields", "answer.fields"),
    errors.ModalityNotPermitted.reason: ("modalities", "modalities"),
    errors.PriorTransactionUnknown.reason: ("references.PRIOR_TRANSACTION",) * 2,
    errors.QuotaExceeded.reason: ("answer.quota", "ask.quota"),
    errors.PersecutionExclusion.reason: ("ask.persecution", "ask.persecution"),
    errors.PersecutionNotStated.reason: ("ask.persecution", "ask.persecution"),
    errors.SubjectOutOfScope.reason: ("ask.scope", "ask.scope"),
}


def ground_of(reason: str, direction: Direction | None, agreement: str, version: int) -> str:
    """Return the rule on which a refusal rests, out of its reason; "" where no agreement speaks of it."""
    if reason not in _TABLES or not agreement:
        return ""
    ours = direction is Direction.OUTBOUND
    return f"{agreement}@{version}:{_TABLES[reason][ours]}"


def citations(files: Iterable[bytes]) -> Callable[[str], str]:
    """Return what finds the paragraph of a rule id under these agreement files; "" for none.

    A file that is no agreement is passed over: what was decided under it cannot be cited from it.
    """
    trees: dict[str, dict[str, object]] = {}
    for octets in files:
        try:
            tree = bounded_toml.read(octets, MAX_BYTES)
        except TomlRefused:
            continue
        stated = tree.get("agreement")
        if isinstance(stated, dict):
            trees[f"{stated.get('id')}@{stated.get('version')}"] = tree

    def cite(rule: str) -> str:
        name, _, path = rule.partition(":")
        place: object = trees.get(name)
        for key in path.split("."):
            place = place.get(key) if isinstance(place, dict) else None
        return _paragraph(place) or _shared(place)

    return cite


def _paragraph(place: object) -> str:
    if isinstance(place, dict):
        place = place.get("paragraph")
    return place if isinstance(place, str) and PARAGRAPH.fullmatch(place) else ""


def _shared(place: object) -> str:
    """Return what the paragraphs of a table have in common: of 315.41(1)(a) and (1)(b) it is 315.41(1)."""
    found = [_paragraph(each) for each in place.values()] if isinstance(place, dict) else []
    if not found or not all(found):
        return ""
    parts: Sequence[list[str]] = [_PART.findall(each) for each in found]
    if len(parts) == 1 and len(parts[0]) > 2:  # of a list with one item the list
        return "".join(parts[0][:-1])
    same = takewhile(lambda pair: len(set(pair)) == 1, zip(*parts, strict=False))
    return "".join(first for first, *_ in same)
