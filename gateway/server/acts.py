"""The table of all acts of a house: what each room of the office lets our own people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.office.acts import Desk
from gateway.office.asking import AskingDesk
from gateway.office.auditors import Auditors
from gateway.office.backup import BackupDesk
from gateway.office.correcting import Correcting
from gateway.office.custody import CustodyRoom
from gateway.office.deciding import Deciding
from gateway.office.holding import Holding
from gateway.office.keepersdesk import KeepersDesk
from gateway.office.keeping import Keeping
from gateway.office.reading import ReadingRoom
from gateway.office.rotating import Rotating
from gateway.office.tracing import Tracing
from gateway.office.uses import Uses
from gateway.office.worst import WorstDay
from gateway.server import permits

if TYPE_CHECKING:
    from gateway.server.house import House


def desk_of(house: House) -> Desk:
    """Return the table of all acts of this house; each room of the office adds a line."""
    return Desk(
        [
            *house.staff.acts(),
            *house.ceremony.acts(),
            *house.statutes.acts(),
            *Rotating(house.turning).acts(),
            *Auditors(house.turning).acts(),
            *CustodyRoom(house.home, house.keyroom).acts(),
            *BackupDesk(house.database, house.sequencer, house.clock).acts(),
            *ReadingRoom(house.database, house.sequencer).acts(),
            *house.witnesses.acts(),
            *house.stamping.acts(),
            *house.reviews.acts(),
            *house.records.acts(),
            *Correcting(
                house.files,
                house.people.record,
                lambda to, record: permits.may_correct(house, to, record),
                lambda partner: permits.timers(house, partner),
            ).acts(),
            *Tracing(house.files).acts(),
            *Keeping(house.retention, house.watch).acts(),
            *Holding(house.database, house.sequencer, house.clock, house.random).acts(),
            *Deciding(house.database, house.sequencer, house.clock, house.random).acts(),
            *AskingDesk(house.files, house.postman, house.people.record).acts(),
            *Uses(house.files, house.postman).acts(),
            *KeepersDesk(house.publishing, house.keyroom).acts(),
            *WorstDay(
                house.keyroom,
                house.directory,
                house.barring,
                database=house.database,
                sequencer=house.sequencer,
                clock=house.clock,
                shown=lambda partner: tuple(house.shown.get(partner, {}).values()),
            ).acts(),
        ]
    )
