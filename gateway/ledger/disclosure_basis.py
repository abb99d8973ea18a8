"""The legal basis of each datum that was disclosed, as one fact of a detail: paragraphs, and the fields under each.

IRPR 315.41(2)(a)=LAST_NAME,FIRST_NAME;IRPR 315.41(2)(b)=PHOTOGRAPH
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.domain.person import Field


def written(fields: Iterable[Field]) -> str:
    """Return the fact `field_authorities` of what is disclosed; "" where nothing is."""
    under: dict[str, list[str]] = {}
    for each in fields:
        under.setdefault(each.authority, []).append(each.code.name)
    return ";".join(f"{paragraph}={','.join(names)}" for paragraph, names in under.items())


def read(facts: Mapping[str, str]) -> dict[str, str]:
    """Return each field that was disclosed with its paragraph, in the order in which it was disclosed.

    Entries of older releases name all paragraphs beside all fields: where there is one, it is each field's; where
    there are several, each field has them all, and "or" between.
    """
    found = {
        name: paragraph
        for paragraph, _, names in map(_parted, facts.get("field_authorities", "").split(";"))
        for name in names.split(",")
    }
    either = " or ".join(filter(None, facts.get("authorities", "").split(",")))
    named = filter(None, facts.get("fields", "").split(","))
    return {name: found.get(name, either) for name in named}


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition("=")
