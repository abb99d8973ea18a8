"""Which paragraph a rule rests on: a rule id names a place in an agreement file, and there it stands.

    au@1:answer.purposes.CITIZENSHIP → IRPR 315.41(1)(c)

Old versions are read as they were: what is not there, or no paragraph, cites nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gateway import toml
from gateway.law.reading import MAX_BYTES
from gateway.toml import TomlRefused

PARAGRAPH = re.compile(r"[A-Z][A-Za-z ]{1,31} \d{1,4}(\.\d{1,3})?(\([0-9a-z]{1,4}\)){0,4}")


def citations(files: Iterable[bytes]) -> Callable[[str], str]:
    """Return what tells the paragraph of a rule id under these agreement files; "" for none.

    A file that is no agreement is passed over: what was decided under it cannot be cited from it.
    """
    trees: dict[str, dict[str, object]] = {}
    for octets in files:
        try:
            tree = toml.read(octets, MAX_BYTES)
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
        if isinstance(place, dict):
            place = place.get("paragraph")
        return place if isinstance(place, str) and PARAGRAPH.fullmatch(place) else ""

    return cite
