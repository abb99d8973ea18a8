"""What the agreements of a house say of what it sends: whether it may ask, what that uses up, how soon it corrects."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gateway.errands import Asking
from gateway.errors import AgreementNotInForce
from gateway.law import asking as law
from gateway.law import duty
from gateway.law.agreement import Agreement
from gateway.store import quotas
from gateway.store.effects import Effect
from gateway.store.quotas import Claims
from gateway.terms import Biometrics, Direction

if TYPE_CHECKING:
    from gateway.server.house import House


def may_ask(
    house: House, asking: Asking, now: datetime
) -> tuple[law.AskPermit, tuple[Effect, ...]]:
    """Return why we may ask, and what reserves the quota together with the ASKED entry.

    Raises the Refusal of our own law.
    """
    agreement = _agreement(house, asking)
    ask = law.Ask(
        purpose=asking.purpose,
        subject=asking.status,
        modalities=frozenset(
            {sample.modality for sample in asking.probe.samples}
            if isinstance(asking.probe, Biometrics)
            else ()
        ),
    )
    with house.database.reader() as reader:
        used = quotas.used(reader, asking.partner, Direction.OUTBOUND, now)
    permit = law.may_ask(ask, agreement, used, now)
    overall = permit.quotas.overall
    claims = Claims(
        purpose=asking.purpose,
        day_limit=overall.day,
        year_limit=overall.year,
        own=permit.quotas.purposes.get(asking.purpose),
    )
    return permit, quotas.reserve(asking.partner, claims, now, Direction.OUTBOUND)


def timers(house: House, partner: str) -> duty.Timers:
    """Return how soon a partner is told of a mistake: the shortest that an agreement with it ever promised.

    The duty outlives the agreement under which something was disclosed, so all of them count.
    """
    promised = [
        agreement.timers
        for versions in house.agreements.values()
        for agreement in versions
        if (agreement.home, agreement.partner) == (house.party, partner)
    ]
    if not promised:
        return duty.STANDARD
    return duty.Timers(
        send=min(each.send for each in promised),
        acknowledge=min(each.acknowledge for each in promised),
    )


def _agreement(house: House, asking: Asking) -> Agreement:
    """Return the agreement that was named, where it is one between us and this partner."""
    name, version = asking.agreement
    for agreement in house.agreements.get(name, ()):
        named = (agreement.version, agreement.home, agreement.partner)
        if named == (version, house.party, asking.partner):
            return agreement
    raise AgreementNotInForce(element="agreement")
