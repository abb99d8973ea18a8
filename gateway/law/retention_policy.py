"""How long each kind of thing is kept, on which ground, and how late its erasure may be before we stop.

A period says when a thing must go, counted from the moment that its data class names (`gateway.store.retention.data_classes`). The
grace is not a longer period: it is how long a failing erasure is bearable before no query is answered any more.
An agreement may say another period for its partner; what no agreement says is kept as long as written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from types import MappingProxyType

from gateway.law.agreement import Agreements


class RetentionClass(Enum):
    """A class of things that are kept for a time."""

    PROBE = "prints and templates of a query"
    REPLY = "stored replies"
    HIT_REFERENCE = "hit references"
    TRANSACTION = "queries that partners asked"
    DISCLOSURE = "records of what was disclosed to whom"
    UNUSED_RESULT = "answers received and not used"
    USED_RESULT = "answers received and used in a decision"
    ASKED = "queries that we asked"
    CORRECTION = "corrections that were acknowledged"
    EXCHANGE_DETAIL = "sealed details of exchanges in the ledger"
    OFFICE_DETAIL = "sealed details of our own operations in the ledger"
    TRACE = "bytes of what was erased, in the journal of the database"
    DATA_KEY = "data keys past their period, which open what was erased in copies of the database"


@dataclass(frozen=True, slots=True)
class Rule:
    """How long a class is kept.

    grace    how late an erasure may be before the gateway stops answering
    ground   the text that says so, or `chosen`
    bound    whether a hold can stop the erasure
    """

    period: timedelta
    grace: timedelta
    ground: str
    bound: bool = True


# Grace: a periodic job erases every ten minutes. Six missed turns are no accident any more where the law wants hours;
# where it wants months, a day lets an operator mend a disk before partners lose the service.
_SOON = timedelta(hours=1)
_DAY = timedelta(days=1)
_NOW = timedelta(0)
TWO_YEARS = timedelta(days=730)

RULES: Mapping[RetentionClass, Rule] = MappingProxyType(
    {
        # "Immediately after completion of the search": no hold can keep them. Five minutes are ten rounds of the periodic jobs.
        RetentionClass.PROBE: Rule(_NOW, timedelta(minutes=5), "IRPR 315.43(2)", bound=False),
        RetentionClass.REPLY: Rule(
            _NOW, _SOON, "24 hours for redelivery, stamped on each (protocol 8)"
        ),
        RetentionClass.HIT_REFERENCE: Rule(_NOW, _SOON, "30 days, stamped on each (chosen)"),
        RetentionClass.TRANSACTION: Rule(TWO_YEARS, _DAY, "exchange logs (chosen; law.md 10)"),
        RetentionClass.DISCLOSURE: Rule(
            TWO_YEARS, _DAY, "exchange logs (chosen; IRPR 315.42(1) needs them)"
        ),
        RetentionClass.UNUSED_RESULT: Rule(
            timedelta(days=30), _DAY, "IRPR 315.26: as soon as feasible"
        ),
        RetentionClass.USED_RESULT: Rule(
            TWO_YEARS, _DAY, "Privacy Regulations s. 4(1): after the last use"
        ),
        RetentionClass.ASKED: Rule(TWO_YEARS, _DAY, "exchange logs (chosen; law.md 10)"),
        RetentionClass.CORRECTION: Rule(TWO_YEARS, _DAY, "exchange logs (chosen; law.md 10)"),
        RetentionClass.EXCHANGE_DETAIL: Rule(TWO_YEARS, _DAY, "exchange logs (chosen; law.md 10)"),
        # Prints given are good for ten years (IRPR 12.7); so long it can be asked how their record came to be.
        RetentionClass.OFFICE_DETAIL: Rule(
            timedelta(days=3653), _DAY, "as long as prints are valid (chosen)"
        ),
        RetentionClass.TRACE: Rule(
            _NOW, _SOON, "ledger.md 3: shredding is complete when the journal is empty"
        ),
        # Their period is the schedule's. What fails is an ALARM within minutes (`JOB/resealing`, `STEP_FAILED/DATA`); a record that
        # opens with no key takes days to bring back from a backup, and meanwhile the running database has forgotten.
        RetentionClass.DATA_KEY: Rule(
            _NOW, timedelta(days=7), "ledger.md 3: erasure does not rest on what a copy holds"
        ),
    }
)

REPLY_LIFE = timedelta(hours=24)  # of a stored reply, for `RedeliverResult` (protocol 8)
HIT_LIFE = timedelta(days=30)  # how long a hit reference can be used (law.md section 10)
# Their end is written when they are made, hence a period of zero in the rules.
STAMPED: Mapping[RetentionClass, timedelta] = MappingProxyType(
    {RetentionClass.REPLY: REPLY_LIFE, RetentionClass.HIT_REFERENCE: HIT_LIFE}
)

ROUNDS_SILENT = timedelta(
    minutes=15
)  # thirty rounds of the periodic jobs; who erases nothing must not go on receiving


def life(kept: RetentionClass) -> timedelta:
    """Return how long a class is kept from its making, where no agreement says another period."""
    return STAMPED.get(kept, RULES[kept].period)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The periods in force: those of the rules, and what agreements say for their partners."""

    agreed: Mapping[tuple[RetentionClass, str], timedelta] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def period(self, kept: RetentionClass, partner: str = "") -> timedelta:
        """Return how long a class is kept of a partner."""
        return self.agreed.get((kept, partner), RULES[kept].period)

    def partners(self, kept: RetentionClass) -> tuple[str, ...]:
        """Return the partners whose agreement says a period of its own for a class."""
        return tuple(sorted(partner for each, partner in self.agreed if each is kept))


def schedule_of(agreements: Agreements) -> Schedule:
    """Return the periods that agreements say for their partners, of every version there is the longest.

    The longest, because what came under an older version is kept as that one said; an agreement cannot shorten
    what another of the same partner prolongs. Periods of STAMPED classes are stamped by who makes the thing.
    """
    agreed: dict[tuple[RetentionClass, str], timedelta] = {}
    for versions in agreements.values():
        for agreement in versions:
            for name, stated in agreement.retention.items():
                key = RetentionClass[name], agreement.partner
                if key[0] not in STAMPED:
                    agreed[key] = max(stated.period, agreed.get(key, stated.period))
    return Schedule(MappingProxyType(agreed))
