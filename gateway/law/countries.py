"""The closed lists of country codes, and whose nationals carry which; `countries.toml` has them with their sources.

A code that is on no list is a slip in writing, and a slip hides nobody: `GRB` is no British national. So every place
where a code enters asks here, and what was recorded before it was asked counts as not known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final

from gateway import bounded_toml
from gateway.errors import PasserelleError

NONE: Final = "NONE"  # said in place of countries of persecution: the person alleges it in none
_FILE: Final = "countries.toml"
_MOST: Final = 65_536  # bytes of the file

_tree = bounded_toml.read((resources.files("gateway.law") / _FILE).read_bytes(), _MOST)


def _codes(*path: str) -> frozenset[str]:
    place = _tree
    for key in path:
        place = place[key]
    return frozenset(str(place["codes"]).split())


STATES: Final = _codes("iso") | _codes("icao", "states")  # where a person may be persecuted
STATELESS: Final = "XXA"  # a person without a nationality
UNTOLD: Final = _codes("icao", "untold")  # a nationality that its code does not tell
ORGANISATIONS: Final = _codes("icao", "organisations")  # issue documents, and have no nationals
NATIONALITIES: Final = STATES | _codes("icao", "british") | _codes("icao", "stateless") | UNTOLD
ISSUERS: Final = NATIONALITIES | ORGANISATIONS  # of passports and other travel documents
BIRTHPLACES: Final = STATES | _codes("former")
NATIONALS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {country: frozenset(codes.split()) for country, codes in _tree["nationals"].items()}
)

RULE: Final = "ISO 3166-1 alpha-3 or, for a nationality, ICAO 9303-3 section 5 (GBR, not UK)"


class UnknownCode(PasserelleError):
    """A code is on none of the lists that it was looked for in; the message does not repeat it."""


def nationals(countries: Collection[str]) -> frozenset[str]:
    """Return the codes that nationals of these countries carry: what is named, and all that belongs to it."""
    families = (NATIONALS.get(country, frozenset()) for country in countries)
    return frozenset(countries).union(*families)


def demand_nationalities(codes: Collection[str]) -> None:
    """Raise UnknownCode unless each is the code of a nationality, or of a person without one."""
    if not ORGANISATIONS.isdisjoint(codes):
        raise UnknownCode("a code of an organisation is nobody's nationality: state the person's")
    _demand(codes, NATIONALITIES)


def demand_states(codes: Collection[str]) -> None:
    """Raise UnknownCode unless each is the code of a country or territory."""
    if not (NATIONALITIES - STATES).isdisjoint(codes):
        raise UnknownCode("a code of a class of persons is no country: state the country")
    _demand(codes, STATES)


def _demand(codes: Collection[str], known: frozenset[str]) -> None:
    for number, code in enumerate(codes, 1):
        if code not in known:
            of = f"code {number} of {len(codes)}" if len(codes) > 1 else "the code"
            raise UnknownCode(f"{of} is none of {RULE}")
