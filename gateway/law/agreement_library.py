"""The agreements of a gateway: their versions in order, and the files that travel with Passerelle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from importlib import resources
from types import MappingProxyType

from gateway.law.agreement import Agreement, Agreements
from gateway.law.agreement_parser import parse
from gateway.law.toml_reader import MalformedAgreement


def load_agreements(texts: Mapping[str, bytes]) -> Agreements:
    """Return the agreements of several files by name: id → its versions, oldest first.

    A version ends where its successor begins, whatever its own file says of its end: two versions are
    never in force at one moment, so nobody can choose the one that permits more.

    Raises `MalformedAgreement` where a file is malformed, two files claim one id and version, or versions
    of one id name different parties.
    """
    return arranged({name: parse(text, name) for name, text in sorted(texts.items())})


def arranged(parsed: Mapping[str, Agreement]) -> Agreements:
    """Return agreements that were read from files of these names in order of id and version; raises as above."""
    read: dict[str, dict[int, Agreement]] = {}
    for name, agreement in sorted(parsed.items()):
        versions = read.setdefault(agreement.id, {})
        if agreement.version in versions:
            raise MalformedAgreement(name, "agreement.version", 0, "another file has this version")
        for other in versions.values():
            if (other.home, other.partner) != (agreement.home, agreement.partner):
                raise MalformedAgreement(
                    name, "agreement.partner", 0, "another version names others"
                )
        versions[agreement.version] = agreement
    return MappingProxyType({key: _succeeding(read[key]) for key in sorted(read)})


def _succeeding(versions: Mapping[int, Agreement]) -> tuple[Agreement, ...]:
    newest_first = [versions[number] for number in sorted(versions, reverse=True)]
    begun: datetime | None = None  # the earliest start among later versions
    ordered = []
    for agreement in newest_first:
        ordered.append(replace(agreement, superseded=begun))
        begun = agreement.in_force if begun is None else min(begun, agreement.in_force)
    return tuple(reversed(ordered))


def packaged() -> dict[str, bytes]:
    """Return the agreement files that travel with Passerelle, by file name; templates are not among them."""
    folder = resources.files("gateway.law") / "agreements"
    return {
        entry.name: entry.read_bytes()
        for entry in folder.iterdir()
        if entry.name.endswith(".toml") and not entry.name.startswith("template-")
    }
