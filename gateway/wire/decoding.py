"""How every message from outside is read: bounded, canonical, nothing unknown, each field by its rule.

(1) the length is bounded before anything is parsed
(2) it parses, and strings are UTF-8
(3) no field is unknown, at any depth: what we do not understand might mean something to another reader
(4) it serialises again to the same bytes, default values aside (`gateway.wire.canonical_form`). Protobuf lets a
    singular field be there twice (the last wins), fields be in any order and numbers be padded. Two readers
    that differ on such a message would differ on what was asked, and bytes that mean nothing could carry
    anything; so a message has one encoding, that of ascending field numbers, which its libraries write.
(5) each field is taken by its rule through `Fields`; enumeration numbers are looked up, never cast

Refusals name the element by its path and the rule that it breaks, and never hold its value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway import calendar_bounds
from gateway.errors import ElementInvalid, ElementMissing, InvalidArgument
from gateway.wire import canonical_form

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NANOS_PER_MILLI = 1_000_000

# The rule that an element breaks, in `ErrorInfo.metadata` under `rule`; beside them those of `gateway.wire.canonical_form`.
# docs/wire-format.md lists them for whoever writes a client.
ABSENT = "ABSENT"
LENGTH = "LENGTH"
NOT_A_MESSAGE = "NOT_A_MESSAGE"
UNKNOWN_FIELD = "UNKNOWN_FIELD"
UNKNOWN_VALUE = "UNKNOWN_VALUE"
CHARACTERS = "CHARACTERS"
RANGE = "RANGE"
LIST = "LIST"
TIME = "TIME"
NOT_HERE = "NOT_HERE"

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=IntEnum)


def decode(
    kind: type[M],
    octets: bytes,
    *,
    limit: int,
    element: str,
    refusal: type[InvalidArgument] = ElementInvalid,
) -> M:
    """Return the message that `octets` spell, or raise `refusal` naming `element` or what is inside it."""
    if len(octets) > limit:  # (1)
        raise refusal(element=element, rule=LENGTH)
    try:
        message = kind.FromString(octets)  # (2)
    except DecodeError:
        raise refusal(element=element, rule=NOT_A_MESSAGE) from None
    refuse_unknown(message, element, refusal)  # (3)
    once = message.SerializeToString(deterministic=True)
    if once != octets:  # (4)
        try:
            said = canonical_form.without_defaults(message.DESCRIPTOR, octets)
        except canonical_form.Misspelt as fault:
            raise refusal(element=element, rule=fault.rule) from None
        if said != once:
            raise refusal(element=element, rule=canonical_form.OTHER)
    return message


def refuse_unknown(message: Message, element: str, refusal: type[InvalidArgument]) -> None:
    """Refuse a field that the schema does not have, in `message` or anything inside it."""
    if len(UnknownFieldSet(message)):
        raise refusal(element=element, rule=UNKNOWN_FIELD)
    for path, inner in _inside(message):
        refuse_unknown(inner, f"{element}.{path}" if element else path, refusal)


def _inside(message: Message) -> Iterator[tuple[str, Message]]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield f"{field.name}[{index}]", item
        else:
            yield field.name, value


class Fields:
    """The fields of one message, each taken by the rule of its kind.

    path              what precedes a field's name in a refusal, e.g. `biometrics.samples[0]`
    missing, invalid  the refusals for an absent field and for a wrong one
    """

    def __init__(
        self,
        message: Message,
        path: str = "",
        *,
        missing: type[InvalidArgument] = ElementMissing,
        invalid: type[InvalidArgument] = ElementInvalid,
    ) -> None:
        self._message = message
        self._path = path
        self._missing = missing
        self._invalid = invalid

    def element(self, name: str) -> str:
        """Return the path of the field `name`."""
        return f"{self._path}.{name}" if self._path else name

    def absent(self, name: str) -> InvalidArgument:
        """Return the refusal that says that `name` is absent."""
        return self._missing(element=self.element(name), rule=ABSENT)

    def wrong(self, name: str, rule: str = NOT_HERE) -> InvalidArgument:
        """Return the refusal that says that `name` breaks a rule; unless said, that it does not belong with the rest."""
        return self._invalid(element=self.element(name), rule=rule)

    def text(self, name: str, pattern: re.Pattern[str], *, required: bool = True) -> str:
        """Take a string that matches `pattern` as a whole; empty is absent."""
        value = str(self._value(name))
        if not value:
            if required:
                raise self.absent(name)
        elif not pattern.fullmatch(value):
            raise self.wrong(name, CHARACTERS)
        return value

    def octets(self, name: str, least: int, most: int = 0, *, required: bool = True) -> bytes:
        """Take bytes of `least` to `most` octets, or exactly `least`; empty is absent."""
        value = bytes(self._value(name))
        if not value:
            if required:
                raise self.absent(name)
        elif not least <= len(value) <= (most or least):
            raise self.wrong(name, LENGTH)
        return value

    def number(self, name: str, least: int, most: int) -> int:
        """Take a whole number of `least` to `most`."""
        value = int(self._value(name))
        if not least <= value <= most:
            raise self.wrong(name, RANGE)
        return value

    def choice(self, name: str, kind: type[E]) -> E:
        """Take a number of a closed list; 0 is absent, for zero is UNSPECIFIED in every list."""
        value = int(self._value(name))
        if value == 0:
            raise self.absent(name)
        return self._known(name, kind, value)

    def choices(self, name: str, kind: type[E], most: int) -> tuple[E, ...]:
        """Take at most `most` different numbers of a closed list."""
        return tuple(self._known(name, kind, value) for value in self.numbers(name, most))

    def known_choices(self, name: str, kind: type[E], most: int) -> tuple[E, ...]:
        """Take those of at most `most` different numbers, none 0, that this release knows: of a list to which later ones add."""
        known = {int(each): each for each in kind}
        values = self.numbers(name, most)
        if 0 in values:  # what no release says
            raise self.wrong(name, UNKNOWN_VALUE)
        return tuple(known[value] for value in values if value in known)

    def numbers(self, name: str, most: int) -> tuple[int, ...]:
        """Take at most `most` different numbers."""
        values = tuple(int(value) for value in self._value(name))
        if len(values) > most or len(set(values)) != len(values):
            raise self.wrong(name, LIST)
        return values

    def moment(self, name: str) -> datetime | None:
        """Take a time that may be absent."""
        return self.time(name) if self._message.HasField(name) else None

    def time(self, name: str) -> datetime:
        """Take a time of whole milliseconds, of the calendar of `gateway.calendar_bounds`."""
        if not self._message.HasField(name):
            raise self.absent(name)
        stamp: Timestamp = self._value(name)
        millis, rest = divmod(stamp.nanos, NANOS_PER_MILLI)
        second = calendar_bounds.of_seconds(stamp.seconds)
        if second is None or rest or not 0 <= millis < 1000:
            raise self.wrong(name, TIME)
        return second + timedelta(milliseconds=millis)

    def _known(self, name: str, kind: type[E], value: int) -> E:
        if value == 0:  # UNSPECIFIED, though a noun of ours may use the number
            raise self.wrong(name, UNKNOWN_VALUE)
        try:
            return kind(value)
        except ValueError:
            raise self.wrong(name, UNKNOWN_VALUE) from None

    def _value(self, name: str) -> Any:  # noqa: ANN401 - the schema knows, the type checker does not
        return getattr(self._message, name)


def timestamp(moment: datetime) -> Timestamp:
    """Return `moment` as the wire writes it. Raises ValueError for a naive time or a part of a millisecond."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    seconds, rest = divmod(moment - EPOCH, timedelta(seconds=1))
    if rest.microseconds % 1000:
        raise ValueError("a time on the wire has whole milliseconds")
    return Timestamp(seconds=seconds, nanos=rest.microseconds * 1000)
