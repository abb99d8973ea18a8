"""What our own people may do: one table of acts, each with the role that may do it.

An act takes plain values, as JSON has them, and returns plain values. It reads its arguments strictly,
decides, commits through the sequencer with the officer's name in the entry, and says what was done.
Whoever is at the desk was identified elsewhere: by a certificate at the admin door, or by it in the hand
of somebody who opens the house himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.errors import Remedy
from gateway.office.arguments import Arguments

Answer = Mapping[str, object]


class Role(Enum):
    """What a person of ours is trusted with; a person may have several."""

    OPERATOR = "operator"
    REGISTRAR = "registrar"
    CASEWORKER = "caseworker"
    EXAMINER = "examiner"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Officer:
    """Who stands at the desk: a person by pseudonym, never a key, and the roles held."""

    person: str
    roles: frozenset[Role]


class NotAllowed(Remedy):
    """The officer has not the role that the act asks for."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act: `read` takes the officer and the arguments and returns what then does it.

    Two steps, so that a misspelt argument is refused before anything was done.
    """

    name: str
    roles: frozenset[Role]
    read: Callable[[Officer, Arguments], Callable[[], Answer]]


class Desk:
    """The table of acts."""

    def __init__(self, acts: Iterable[Act]) -> None:
        self._acts: dict[str, Act] = {}
        for act in acts:
            if act.name in self._acts or not act.roles:
                raise ValueError(f"the act {act.name} is there twice, or is anybody's")
            self._acts[act.name] = act

    @property
    def acts(self) -> Mapping[str, frozenset[Role]]:
        """Which roles may do what."""
        return {name: act.roles for name, act in sorted(self._acts.items())}

    def perform(self, officer: Officer, name: str, values: Mapping[str, object]) -> Answer:
        """Do it; raises Remedy for an unknown act or argument, NotAllowed for the wrong role."""
        act = self._acts.get(name)
        if act is None:
            raise Remedy(f"there is no act {name}")
        if not act.roles & officer.roles:
            needed = " or ".join(sorted(role.value for role in act.roles))
            raise NotAllowed(f"{name} is for a person who is {needed}")
        arguments = Arguments(values)
        do = act.read(officer, arguments)
        arguments.end()
        return do()
