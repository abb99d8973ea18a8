"""What our own people may do: the operations that `gateway.operations` declares, each with what does it.

An operation takes plain values, as JSON has them, and returns plain values. Its request is read strictly; it decides,
commits through the sequencer with the officer's name in the entry, and says what was done. The officer was identified
elsewhere, by a certificate at the admin listener.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.errors import UserError
from gateway.ledger.entry import Leaf
from gateway.operations.declaration import ALWAYS, DRY_RUN, Request, Role
from gateway.operations.forms import FLAG

Answer = Mapping[str, object]
About = tuple[str, tuple[Leaf, ...]]

R = TypeVar("R", bound=Request)


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
    """This officer may not do that.

    why   as the ledger says it: ROLE_REQUIRED, SAME_PERSON where two persons are needed, NOT_PROPOSER for what only who
          proposed it may do, or the reason of an approval that does not count
    """

    def __init__(self, message: str, why: str = "ROLE_REQUIRED") -> None:
        super().__init__(message)
        self.why = why


class TwoPersons(UserError):
    """One person alone may not do this; another has to approve it."""


def nothing(request: object) -> object:
    """Return the state that a proposal is bound to where there is none."""
    del request
    return None


def of_all(state: Callable[[], object]) -> Callable[[object], object]:
    """Return the state that every proposal of an operation is bound to, whatever it asks for."""
    return lambda _request: state()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler(Generic[R]):
    """What does one operation; the declaration of its request says everything else.

    do      what was asked, for an officer whose role, and whose second person where it takes two, are there
    check   raises UserError where this officer may not ask for that, or it makes no sense: before it is proposed, too
    two     whether this request takes two persons, where the declaration says in words when it does
    state   plain values, as JSON has them, of what an approval must find as its proposal did: what its plan compares with,
            and nothing that a request does not concern
    plan    what would be done, in sentences, for whoever approves it; read-only. It raises UserError, or begins a
            sentence with "Refused: ", where doing it would be refused
    about   whom or what a request names, in words, also once it was done, and the entries that say of whom that was
            shown: they are committed first; read-only
    stops   whether nothing would be answered from then on
    """

    request: type[R]
    do: Callable[[Officer, R], Answer]
    check: Callable[[Officer, R], None] | None = None
    two: Callable[[R], bool] | None = None
    state: Callable[[R], object] = nothing
    plan: Callable[[R], tuple[str, ...]] | None = None
    about: Callable[[Officer, R], About] | None = None
    stops: Callable[[R], bool] | None = None

    def __post_init__(self) -> None:
        """Refuse a handler that does not do what its declaration says."""
        declared = self.request.declaration
        if (self.two is None) is not (declared.two_persons in {"", ALWAYS}):
            raise ValueError(f"{declared.name}: who decides when it takes two persons?")
        if (declared.plans and self.plan is None) or (declared.stops and self.stops is None):
            raise ValueError(f"{declared.name} has not what its declaration promises")

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.request.declaration.name

    @property
    def roles(self) -> frozenset[Role]:
        """Whose holders may ask for it."""
        return self.request.declaration.roles

    def bind(self, officer: Officer, values: Mapping[str, object]) -> Bound[R]:
        """Return the operation for a request; raises UserError for values that are not of its form."""
        left = dict(values)
        planning = self.request.declaration.plans and FLAG.read(DRY_RUN, left.pop(DRY_RUN, False))
        return Bound(self, officer, self.request.read(left, planning=planning), planning)


@dataclass(frozen=True, slots=True)
class Bound(Generic[R]):
    """One operation with its request, for one officer."""

    handler: Handler[R]
    officer: Officer
    request: R
    planning: bool = False

    @property
    def takes_two(self) -> bool:
        """Whether this request takes two persons; a dry run never does."""
        return not self.planning and self._two()

    def _two(self) -> bool:
        if self.handler.two is not None:
            return self.handler.two(self.request)
        return self.handler.request.declaration.two_persons == ALWAYS

    @property
    def about(self) -> About:
        """Whom or what it names, and the entries that say of whom that is shown."""
        return (
            ("", ())
            if self.handler.about is None
            else self.handler.about(self.officer, self.request)
        )

    @property
    def plan(self) -> tuple[str, ...]:
        """What it would do, in sentences."""
        return () if self.handler.plan is None else self.handler.plan(self.request)

    @property
    def state(self) -> object:
        """What an approval of it must find as its proposal did."""
        return self.handler.state(self.request)

    def check(self) -> None:
        """Raise UserError where this officer may not ask for that, or it makes no sense."""
        if self.handler.check is not None:
            self.handler.check(self.officer, self.request)

    def do(self) -> Answer:
        """Do it, or say what it would do; raises TwoPersons where the officer came alone."""
        self.check()
        if self.planning:
            stops = self.handler.stops
            return {
                "dry_run": True,
                "two_persons": self._two(),
                "plan": [*self.plan],
                "stops_answers": stops is not None and stops(self.request),
            }
        if self.takes_two and not (self.officer.second or self.officer.custodial):
            raise TwoPersons(
                f"{self.handler.name} takes two persons: propose it, and have another approve it"
            )
        return self.handler.do(self.officer, self.request)


class OperationRegistry:
    """The table of operations."""

    def __init__(self, handlers: Iterable[Handler[Any]] = ()) -> None:
        self._handlers: dict[str, Handler[Any]] = {}
        self.add(handlers)

    def add(self, handlers: Iterable[Handler[Any]]) -> None:
        """Take in the operations of one more service."""
        for handler in handlers:
            if handler.name in self._handlers or not handler.roles:
                raise ValueError(f"the operation {handler.name} is there twice, or is anybody's")
            self._handlers[handler.name] = handler

    @property
    def handlers(self) -> Mapping[str, Handler[Any]]:
        """All of them, by name."""
        return self._handlers

    def perform(self, officer: Officer, name: str, values: Mapping[str, object]) -> Answer:
        """Do it; raises UserError for an unknown operation or argument, NotAllowed for the wrong role.

        Raises TwoPersons where the officer came alone.
        """
        return self.handler(officer, name).bind(officer, values).do()

    def handler(self, officer: Officer, name: str) -> Handler[Any]:
        """Return the operation of that name; raises UserError where there is none, NotAllowed for the wrong role."""
        handler = self._handlers.get(name)
        if handler is None:
            raise UserError(f"there is no operation {name}")
        if not handler.roles & officer.roles:
            needed = " or ".join(sorted(role.value for role in handler.roles))
            raise NotAllowed(
                f"{name} is for a person who is {needed}; ask an operator for the role, who grants it to a new request of"
                " yours by `passerelle staff add`; `passerelle staff list` shows who is what"
            )
        return handler
