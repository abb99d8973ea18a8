"""What two parties agreed, as values. A file that a lawyer reads becomes one of these, or nothing.

Each rule keeps its place in the file, which is its id (`au@1:answer.reveal.CITIZEN.ALWAYS`), and its paragraph.
What a file does not say is not permitted; what we do not understand refuses the whole file, and so does what the
regulation does not allow (`gateway.law.agreement_bounds`). The format is described in `gateway.law.agreement_parser`; reading the folder
is the caller's, here are only bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType

from gateway.domain.messages import Modality, Purpose
from gateway.domain.person import Caveat, FieldCode, Ground
from gateway.law.legal_status import Row
from gateway.law.quota_policy import Quotas


class Duty(Enum):
    """Whether a refusal's ground lets the home side refuse (IRPR 315.25(4)) or makes it (315.41(3))."""

    MAY = "may"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class Name:
    """The legal name of a party, from a day on, and whom it succeeded (IRPR 315.28, 315.36 "or their successors")."""

    name: str
    since: datetime
    successor_of: str
    paragraph: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Whether a person of one row may be revealed; rule and paragraph say by what."""

    reveal: bool
    rule: str
    paragraph: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Fields that one paragraph lets out: for which purposes, of whom, and where a claim is declared or not.

    purposes      empty only where the agreement permits no query (Division 2)
    claims        False = no refugee claim declared in the asking country, True = declared
    needs_match   whether a match must be established first (IRPR 315.25(1)(c))
    """

    rule: str
    paragraph: str
    codes: tuple[FieldCode, ...]
    purposes: frozenset[Purpose]
    rows: frozenset[Row]
    claims: frozenset[bool]
    needs_match: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Fields that are refused by rule.

    persecution   only of those who allege persecution in the partner's country, of whom nothing is said since
    visible       whether the partner learns that something is refused
    """

    rule: str
    paragraph: str
    codes: frozenset[FieldCode]
    rows: frozenset[Row]
    persecution: bool
    visible: bool
    ground: Ground


@dataclass(frozen=True, slots=True)
class Refusing:
    """How a refusal by an official works under the agreement; terms = it may be disclosed on terms instead."""

    duty: Duty
    terms: bool
    grounds: frozenset[Ground]
    paragraph: str


@dataclass(frozen=True, slots=True)
class Band:
    """The review clause: scores between the two thresholds wait for examiners.

    floor_fpir   share of non-mated searches that may reach an examiner; larger than the agreement's fpir
    persons      different people whose verdict is asked for, 1 or 2
    """

    floor_fpir: float
    persons: int
    paragraph: str


@dataclass(frozen=True, slots=True)
class Timers:
    """How soon "as soon as feasible" is for corrections (IRPR 315.27, 315.35, 315.42)."""

    send: timedelta
    acknowledge: timedelta
    paragraph: str


@dataclass(frozen=True, slots=True)
class KeptPeriod:
    """How long a class of things is kept under the agreement."""

    period: timedelta
    paragraph: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What the partner may ask us, and what it may learn. None of it exists for an agreement without queries.

    claims      purposes under which the query's claim flag declares a refugee claim there
    reveal      table 3.3 of law.md: every row with and without a declared claim
    persecution paragraph under which nobody who alleges persecution there is spoken of; empty = the file is silent, and
                nobody is all the same
    """

    purposes: Mapping[Purpose, str]
    claims: Mapping[Purpose, str]
    reveal: Mapping[tuple[Row, bool], Cell]
    blocks: tuple[Block, ...]
    withheld: tuple[Withheld, ...]
    refusing: Refusing | None
    persecution: str
    quotas: Quotas | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What we may ask the partner: for which purposes, about whom, how often.

    scope         rows of people who may be asked about
    persecution   paragraph of the bar on asking a country that the person says persecutes them
    """

    purposes: Mapping[Purpose, str]
    scope: Mapping[Row, str]
    persecution: str
    quotas: Quotas | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What two parties agreed, one version of it.

    division           of IRPR Part 19.1; 0 = an arrangement outside it
    in_force, until    the first moment in force, and the first no longer (None = open-ended)
    home_countries, partner_countries   codes that nationals of home and of the partner carry: those that the file
                       names, and all that belong to a country that it names (`gateway.law.countries`)
    max_age            how long after its confirmation a person's status may be relied on
    fpir               share of non-mated searches that may raise a candidate, 0 < fpir < 1
    modalities         what a query may carry, each with its paragraph
    modality_purposes  for which purposes alone, where the file says so; any other modality for all
    prior_transaction  paragraph under which a number may replace samples; empty = not permitted
    same_direction     whether the first asker may ask again by its own number (a looser reading of 315.38)
    digest             SHA-256 of the file in hexadecimal
    superseded         when a later version took over; None for the newest
    """

    id: str
    version: int
    title: str
    division: int
    home: str
    partner: str
    home_names: tuple[Name, ...]
    partner_names: tuple[Name, ...]
    home_countries: frozenset[str]
    partner_countries: frozenset[str]
    in_force: datetime
    until: datetime | None
    max_age: timedelta
    fpir: float
    answering: Answering
    asking: Asking
    modalities: Mapping[Modality, str]
    prior_transaction: str
    same_direction: bool
    review: Band | None
    single_step: bool
    caveats: tuple[Caveat, ...]
    timers: Timers
    digest: str
    retention: Mapping[str, KeptPeriod] = field(default_factory=lambda: MappingProxyType({}))
    modality_purposes: Mapping[Modality, frozenset[Purpose]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    superseded: datetime | None = None

    @property
    def name(self) -> str:
        """Id and version as rules cite them: `au@1`."""
        return f"{self.id}@{self.version}"

    @property
    def answer_purposes(self) -> Mapping[Purpose, str]:
        """For what the partner may ask us, each with its paragraph."""
        return self.answering.purposes

    def carries(self, modality: Modality, purpose: Purpose) -> bool:
        """Return whether a query for a purpose may carry samples of a modality, in either direction."""
        purposes = self.modality_purposes.get(modality)
        return modality in self.modalities and (purposes is None or purpose in purposes)

    def modality_rules(self, modalities: Iterable[Modality]) -> list[str]:
        """Return the keys of the rules that permit to carry these, in their order: each, and for which purposes."""
        return [
            key
            for modality in sorted(modalities)
            for key in (
                f"modalities.{modality.name}",
                *(
                    [f"modality_purposes.{modality.name}"]
                    if modality in self.modality_purposes
                    else ()
                ),
            )
        ]

    def rule(self, key: str) -> str:
        """Return the id of the rule at `key` of the file."""
        return f"{self.name}:{key}"

    @property
    def persecution_rule(self) -> str:
        """The id of the rule by which nobody who alleges persecution there is spoken of."""
        withheld = (each.rule for each in self.answering.withheld if each.persecution)
        stated = self.rule("answer.persecution")
        return stated if self.answering.persecution else next(withheld, stated)

    def covers(self, now: datetime) -> bool:
        """Return whether this version is in force at `now`."""
        ends = (self.until, self.superseded)
        return self.in_force <= now and all(end is None or now < end for end in ends)

    def partner_name(self, now: datetime) -> str:
        """Return the partner's legal name at a moment; before the first, the first."""
        held = [each.name for each in self.partner_names if each.since <= now]
        return held[-1] if held else self.partner_names[0].name


Agreements = Mapping[str, tuple[Agreement, ...]]  # id → its versions, oldest first


@dataclass(slots=True)
class AgreementsInForce:
    """What is agreed, now. Who reads the agreements folder replaces `current`; everybody else reads it anew for each use."""

    current: Agreements
