"""How an operation of our own people is declared: a class of its arguments, and in `operation` all else there is to say.

The class is a frozen dataclass whose docstring is the help of its command. `Request.read` takes plain values, as JSON
has them, and refuses by name what is unknown, missing or not of the form that was declared, before anything is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, dataclass_transform

from gateway.errors import UserError

ALWAYS: Final = "always"  # of `two_persons`
DRY_RUN: Final = "dry_run"  # the argument that asks for a plan, of an operation that has one
REFUSED: Final = (
    "Refused: "  # how a sentence of a plan begins that says that the operation would be refused
)
_FORM: Final = "argument"  # the key of an argument's declaration in a field's metadata


class Role(Enum):
    """What a person of ours is trusted with; a person may have several."""

    OPERATOR = "operator"
    REGISTRAR = "registrar"
    CASEWORKER = "caseworker"
    EXAMINER = "examiner"
    AUDITOR = "auditor"


T = TypeVar("T")
R = TypeVar("R", bound="Request")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Generic[T]):
    """What a value has to look like.

    take     returns the value of a plain one; raises ValueError, whose words, where it has any, are said in place of `wrong`
    wrong    what is said to whoever wrote another, after the argument's name; with an example, never with the value
    missing  what is said where there is none; else `wrong`
    blank    whether an empty string is none
    typed    what the command line takes: str, int, bool, or list for one that is repeated
    least    of an int, on the command line
    most     likewise
    """

    take: Callable[[object], T]
    wrong: str
    missing: str = ""
    blank: bool = False
    typed: type = str
    least: int | None = None
    most: int | None = None

    def read(self, name: str, value: object) -> T:
        """Return the value of a plain one; raises UserError that holds nothing of it."""
        if value is None or (self.blank and value == ""):
            raise UserError(f"{name}: {self.missing or self.wrong}")
        try:
            return self.take(value)
        except ValueError as fault:
            raise UserError(f"{name}: {str(fault) or self.wrong}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """How an argument is read, and how a command takes it.

    help         of the command; an argument without is none of the command's: the command itself fills it in
    metavar      what stands for its value in the help
    option       how the option is spelt where it is not the argument's name; old spellings of one release after it
    positional   whether it is given without an option's name
    planned      whether a dry run asks for it; a reason, say, is one's own to give when it is done
    """

    form: Form[Any]
    help: str = ""
    metavar: str = ""
    option: tuple[str, ...] = ()
    positional: bool = False
    planned: bool = True


def argument(
    form: Form[T],
    *,
    default: Any = MISSING,  # noqa: ANN401 - T, or MISSING, which has no public type
    help: str = "",  # noqa: A002 - what the command line calls it
    metavar: str = "",
    option: tuple[str, ...] = (),
    positional: bool = False,
    planned: bool = True,
) -> Any:  # noqa: ANN401 - as dataclasses.field, whose value the class annotates
    """Declare an argument of a request; required unless it has a default."""
    said = Argument(
        form=form, help=help, metavar=metavar, option=option, positional=positional, planned=planned
    )
    return field(default=default, metadata={_FORM: said})


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is said of an operation beside its arguments.

    name         in every message and ledger entry, e.g. keys.rotate
    roles        whose holders may ask for it; one of them is enough
    two_persons  "" for one person, ALWAYS, or in words when it takes two
    plans        whether it can say what it would do and do nothing: --dry-run
    stops        whether it may leave the gateway without answers, which a person is asked about first: --yes
    founds       whether who holds the keys' passphrase may do it while the gateway is stopped: --custody
    sends        whether doing it sends something to others at once; a gateway under maintenance does not
    command      how it is typed after `passerelle`, e.g. keys rotate; "" where other commands use it
    examples     whole command lines, for the help
    """

    name: str
    roles: frozenset[Role]
    two_persons: str = ""
    plans: bool = False
    stops: bool = False
    founds: bool = False
    sends: bool = False
    command: str = ""
    examples: tuple[str, ...] = ()


class Request:
    """The arguments of one operation, read."""

    __slots__ = ()
    declaration: ClassVar[Declaration]

    @classmethod
    def arguments(cls) -> Mapping[str, Argument]:
        """Return what is declared of each argument, in order."""
        return {each.name: each.metadata[_FORM] for each in _fields(cls)}

    @classmethod
    def default(cls, name: str) -> object:
        """Return what an argument is where nobody gave it; MISSING for one that has to be given."""
        return next(each.default for each in _fields(cls) if each.name == name)

    @classmethod
    def read(cls, values: Mapping[str, object], *, planning: bool = False) -> Self:
        """Return the request in plain values; raises UserError that names the argument and holds nothing of its value.

        planning   of a dry run: what only doing it asks for may be missing
        """
        unknown = sorted(values.keys() - cls.arguments().keys())
        if unknown:
            named = ", ".join(unknown).encode("ascii", "backslashreplace").decode("ascii")
            raise UserError(f"{named}: no such argument")
        taken: dict[str, Any] = {}
        for each in _fields(cls):
            said: Argument = each.metadata[_FORM]
            value = values.get(each.name)
            absent = value is None or (said.form.blank and value == "")
            if absent and each.default is not MISSING:
                continue
            if absent and planning and not said.planned:
                taken[each.name] = ""
                continue
            taken[each.name] = said.form.read(each.name, value)
        return cls(**taken)


def _fields(cls: type[Request]) -> tuple[Field[Any], ...]:
    return fields(cls)  # type: ignore[arg-type]  # `operation` makes each a dataclass


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(argument,))
def operation(
    name: str,
    *,
    roles: frozenset[Role],
    two_persons: str = "",
    plans: bool = False,
    stops: bool = False,
    founds: bool = False,
    sends: bool = False,
    command: str | None = None,
    examples: tuple[str, ...] = (),
) -> Callable[[type[R]], type[R]]:
    """Return the decorator that declares an operation by the class of its arguments; see `Declaration`.

    command   unless it is given, the words of the name: `keys.rotate` is typed `keys rotate`
    """

    def declare(cls: type[R]) -> type[R]:
        # No repr: what a request holds of a person is in no log and no traceback.
        made: type[R] = dataclass(frozen=True, slots=True, kw_only=True, repr=False)(cls)
        made.declaration = Declaration(
            name=name,
            roles=roles,
            two_persons=two_persons,
            plans=plans,
            stops=stops,
            sends=sends,
            founds=founds,
            command=name.replace(".", " ") if command is None else command,
            examples=examples,
        )
        return made

    return declare
