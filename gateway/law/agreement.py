"""An agreement file, as a lawyer reads it, becomes a frozen `Agreement`, or nothing.

A file says who asks whom, for which purposes in which direction, with which samples, how often and how
surely. Each permission carries its paragraph. What a file does not say is not permitted, and what we do
not understand refuses the whole file: half an agreement is none.

    [agreement]         id, version, title, division, home, partner, in_force, until (optional)
    [answer.purposes]   purpose = "paragraph": for what the partner may ask us
    [ask.purposes]      purpose = "paragraph": for what we may ask the partner
    [modalities]        modality = "paragraph": what a query may carry
    [references]        PRIOR_TRANSACTION = "paragraph" (optional): a query may carry a number instead
    [search]            fpir
    [quota]             day, year

Reading the folder is the caller's; here are only bytes.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import IntEnum
from importlib import resources
from types import MappingProxyType
from typing import TypeVar

from gateway.errors import PasserelleError
from gateway.terms import Modality, Purpose

MAX_BYTES = 65_536  # an agreement is a page or two; more is a mistake or an attack

_id = re.compile(r"[a-z][a-z0-9-]{0,31}")
_party = re.compile(r"[A-Z0-9-]{2,32}")  # protocol 3, sender_id
_paragraph = re.compile(r"[A-Z][A-Za-z ]{1,31} \d{1,4}(\.\d{1,3})?(\([0-9a-z]{1,4}\)){0,4}")
_title = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_where = re.compile(r"\(at line (\d+), column \d+\)")

_tables = {
    "agreement": frozenset(
        {"id", "version", "title", "division", "home", "partner", "in_force", "until"}
    ),
    "answer": frozenset({"purposes"}),
    "ask": frozenset({"purposes"}),
    "modalities": frozenset(m.name for m in Modality),
    "references": frozenset({"PRIOR_TRANSACTION"}),
    "search": frozenset({"fpir"}),
    "quota": frozenset({"day", "year"}),
}
_optional = frozenset({"references"})
_demanded = (
    frozenset(f"{table}.{key}" for table, keys in _tables.items() for key in keys)
    - frozenset(f"modalities.{m.name}" for m in Modality)  # of modalities any number but none
    - frozenset({"references.PRIOR_TRANSACTION", "agreement.until"})
)
_purposes = frozenset(p.name for p in Purpose if p)

_E = TypeVar("_E", bound=IntEnum)


class MalformedAgreement(PasserelleError):
    """An agreement file was refused whole; the one in force stays so.

    file, key, line   where to look; line 0 where none can be named
    """

    def __init__(self, file: str, key: str, line: int, why: str) -> None:
        place = f"{file} line {line}" if line else file
        super().__init__(f"{place}: {key}: {why}" if key else f"{place}: {why}")
        self.file = file
        self.key = key
        self.line = line


@dataclass(frozen=True, slots=True)
class Quota:
    """How many queries of the partner we answer, all purposes together, per UTC day and year."""

    day: int
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What two parties agreed, one version of it.

    in_force, until    the first moment in force, and the first no longer (None = open-ended)
    fpir               share of non-mated searches that may raise a candidate, 0 < fpir < 1
    prior_transaction  paragraph under which a number may stand for samples; empty = not permitted
    digest             SHA-256 of the file in hexadecimal
    superseded         when a later version took over; None for the newest
    """

    id: str
    version: int
    title: str
    division: int
    home: str
    partner: str
    in_force: datetime
    until: datetime | None
    fpir: float
    answer_purposes: Mapping[Purpose, str]
    ask_purposes: Mapping[Purpose, str]
    modalities: Mapping[Modality, str]
    prior_transaction: str
    quota: Quota
    digest: str
    superseded: datetime | None = None

    @property
    def name(self) -> str:
        """Id and version as rules cite them: `au@1`."""
        return f"{self.id}@{self.version}"

    def rule(self, key: str) -> str:
        """Return the id of the rule that stands at `key` of the file."""
        return f"{self.name}:{key}"

    def covers(self, now: datetime) -> bool:
        """Return whether this version is in force at `now`."""
        ends = (self.until, self.superseded)
        return self.in_force <= now and all(end is None or now < end for end in ends)


Agreements = Mapping[str, tuple[Agreement, ...]]


def parse(text: bytes, name: str = "agreement") -> Agreement:
    """Return the agreement that `text` states; `name` is the file's, for complaints.

    Raises `MalformedAgreement` for an unknown key, purpose or modality, a missing or misshapen paragraph,
    an FPIR outside (0, 1), dates that do not follow each other, or a file that permits nothing.
    """
    return _Reading(text, name).agreement()


def load_agreements(texts: Mapping[str, bytes]) -> Agreements:
    """Return the agreements of several files by name: id → its versions, oldest first.

    A version ends where its successor begins, whatever its own file says of its end: two versions are
    never in force at one moment, so nobody can choose the one that permits more.

    Raises `MalformedAgreement` where a file is malformed, two files claim one id and version, or versions
    of one id name different parties.
    """
    read: dict[str, dict[int, Agreement]] = {}
    for name, text in sorted(texts.items()):
        agreement = parse(text, name)
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
    """Return the agreement files that travel with Passerelle, by file name."""
    folder = resources.files("gateway.law") / "agreements"
    return {
        entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".toml")
    }


class _Reading:
    """One file being read, so that every complaint can name its place."""

    def __init__(self, text: bytes, name: str) -> None:
        self._name = name
        self._bytes = text
        if len(text) > MAX_BYTES:
            raise MalformedAgreement(name, "", 0, f"longer than {MAX_BYTES} bytes")
        try:
            self._text = text.decode("utf-8")
            self._tree = tomllib.loads(self._text)
        except UnicodeDecodeError:
            raise MalformedAgreement(name, "", 0, "not UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            found = _where.search(str(error))
            line = int(found[1]) if found else self._text.count("\n") + 1
            raise MalformedAgreement(name, "", line, "not TOML") from None
        except RecursionError:
            raise MalformedAgreement(name, "", 0, "nested too deeply") from None

    def agreement(self) -> Agreement:
        self._shape()
        in_force = self._date("agreement.in_force")
        until = self._date("agreement.until") if "until" in self._tree["agreement"] else None
        if until is not None and until <= in_force:
            raise self._wrong("agreement.until", "not after in_force")
        answer = self._permissions("answer.purposes", Purpose, _purposes)
        ask = self._permissions("ask.purposes", Purpose, _purposes)
        modalities = self._permissions("modalities", Modality, _tables["modalities"])
        if not answer and not ask:
            raise self._wrong("answer.purposes", "permits nothing in either direction")
        if not modalities:
            raise self._wrong("modalities", "permits nothing")
        references = self._tree.get("references", {})
        quota = Quota(self._count("quota.day"), self._count("quota.year"))
        if quota.year < quota.day:
            raise self._wrong("quota.year", "smaller than a day's")
        home, partner = (self._string(f"agreement.{key}", _party) for key in ("home", "partner"))
        if home == partner:
            raise self._wrong("agreement.partner", "the same as home")
        return Agreement(
            id=self._string("agreement.id", _id),
            version=self._count("agreement.version"),
            title=self._string("agreement.title", _title),
            division=self._count("agreement.division"),
            home=home,
            partner=partner,
            in_force=in_force,
            until=until,
            fpir=self._share("search.fpir"),
            answer_purposes=answer,
            ask_purposes=ask,
            modalities=modalities,
            prior_transaction=(
                self._string("references.PRIOR_TRANSACTION", _paragraph) if references else ""
            ),
            quota=quota,
            digest=hashlib.sha256(self._bytes).hexdigest(),
        )

    def _shape(self) -> None:
        """Refuse every key that the format does not have, and the want of any that it demands."""
        for table, content in self._tree.items():
            if table not in _tables:
                raise self._wrong(table, "not a key of this format")
            if not isinstance(content, dict):
                raise self._wrong(table, "not a table")
            for key in content:
                if key not in _tables[table]:
                    raise self._wrong(f"{table}.{key}", "not a key of this format")
        for table in sorted(_tables.keys() - _optional - self._tree.keys()):
            raise self._wrong(table, "is missing")
        for path in sorted(_demanded):
            if self._at(path) is None:
                raise self._wrong(path, "is missing")

    def _permissions(self, path: str, kind: type[_E], known: frozenset[str]) -> Mapping[_E, str]:
        table = self._at(path)
        if not isinstance(table, dict):
            raise self._wrong(path, "not a table")
        for key in table:
            if key not in known:
                raise self._wrong(f"{path}.{key}", "unknown")
        return MappingProxyType(
            {kind[key]: self._string(f"{path}.{key}", _paragraph) for key in table}
        )

    def _string(self, path: str, pattern: re.Pattern[str]) -> str:
        value = self._at(path)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self._wrong(path, "misshapen")
        return value

    def _count(self, path: str) -> int:
        value = self._at(path)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 2**31:
            raise self._wrong(path, "not a whole number from 1")
        return value

    def _share(self, path: str) -> float:
        value = self._at(path)
        if not isinstance(value, float) or not 0 < value < 1:
            raise self._wrong(path, "not between 0 and 1")
        return value

    def _date(self, path: str) -> datetime:
        day = self._at(path)
        if not isinstance(day, date) or isinstance(day, datetime):
            raise self._wrong(path, "not a date")
        return datetime(day.year, day.month, day.day, tzinfo=UTC)

    def _at(self, path: str) -> object:
        value: object = self._tree
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _wrong(self, path: str, why: str) -> MalformedAgreement:
        return MalformedAgreement(self._name, path, self._line(path), why)

    def _line(self, path: str) -> int:
        """Return the line of `path` as these files are usually laid out; 0 where it is not found."""
        table, _, key = path.rpartition(".")
        current, heading = "", 0
        for number, line in enumerate(self._text.splitlines(), 1):
            stripped = line.strip()
            if stripped.startswith("["):
                current = stripped.split("]")[0].strip("[] ")
                if current in (path, table):
                    heading = number
            elif current == table and re.match(rf"\"?{re.escape(key)}\"?\s*=", stripped):
                return number
        return heading
