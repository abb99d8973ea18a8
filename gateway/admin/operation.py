"""What our own people may do: one table of acts, each with the role that may do it.

An act takes plain values, as JSON has them, and returns plain values. It reads its arguments strictly,
decides, commits through the sequencer with the officer's name in the entry, and says what was done.
The officer was identified elsewhere: by a certificate at the admin listener, or by the same certificate
of a person who opens the gateway directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from gateway.admin.arguments import Arguments
from gateway.errors import UserError
from gateway.store.ledger.sequencer import Leaf

Answer = Mapping[str, object]

REFUSED = "Refused: "  # how a sentence of a plan begins that says that the act would be refused


class Role(Enum):
    """What a person of ours is trusted with; a person may have several."""

    OPERATOR = "operator"
    REGISTRAR = "registrar"
    CASEWORKER = "caseworker"
    EXAMINER = "examiner"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Officer:
    """Who asks for an operation: a person by pseudonym, never a key, and the roles held.

    second      who approved what the person proposed; only the approval by two persons sets it
    custodial   who holds the keys' passphrase while the gateway is closed, and lets the first people in
    """

    person: str
    roles: frozenset[Role]
    second: str = ""
    custodial: bool = False

    @property
    def facts(self) -> dict[str, str]:
        """Who acts, as an entry's detail says it."""
        return {"actor": self.person, **({"approver": self.second} if self.second else {})}


class NotAllowed(UserError):
    """The officer has not the role that the act asks for."""


class TwoPersons(UserError):
    """One person alone may not do this; another has to approve it."""


def never(_: Mapping[str, object]) -> bool:
    """Say of any arguments that one person may do it."""
    return False


def always(_: Mapping[str, object]) -> bool:
    """Say of any arguments that it takes two persons."""
    return True


def nothing() -> object:
    """Return the state that a proposal is bound to where there is none."""
    return None


@dataclass(frozen=True, slots=True)
class Act:
    """One act: `read` takes the officer and the arguments and returns what then does it.

    Two steps, so that a misspelt argument is refused before anything was done.

    two     whether these arguments take two persons
    state   plain values, as JSON has them, of what an approval must find as its proposal did
    plan    what the act would do with these arguments, in sentences, for whoever approves it; read-only. It raises
            UserError, or begins a sentence with "Refused: ", where doing it would be refused
    about   whom or what these arguments name, in words, also once it was done, and the entries that say of whom that
            was shown: they are committed first; read-only
    """

    name: str
    roles: frozenset[Role]
    read: Callable[[Officer, Arguments], Callable[[], Answer]]
    two: Callable[[Mapping[str, object]], bool] = never
    state: Callable[[], object] = nothing
    plan: Callable[[Mapping[str, object]], tuple[str, ...]] | None = None
    about: Callable[[Officer, Mapping[str, object]], tuple[str, tuple[Leaf, ...]]] | None = None


class OperationRegistry:
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
        """Do it; raises UserError for an unknown act or argument, NotAllowed for the wrong role.

        Raises TwoPersons where the officer came alone.
        """
        act = self.act(officer, name)
        if act.two(values) and not (officer.second or officer.custodial):
            raise TwoPersons(f"{name} takes two persons: propose it, and have another approve it")
        arguments = Arguments(values)
        do = act.read(officer, arguments)
        arguments.end()
        return do()

    def act(self, officer: Officer, name: str) -> Act:
        """Return the act of that name; raises UserError where there is none, NotAllowed for the wrong role."""
        act = self._acts.get(name)
        if act is None:
            raise UserError(f"there is no act {name}")
        if not act.roles & officer.roles:
            needed = " or ".join(sorted(role.value for role in act.roles))
            raise NotAllowed(f"{name} is for a person who is {needed}")
        return act
