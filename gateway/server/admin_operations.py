"""The table of all acts of a house: what each room of the office lets our own people do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.admin.operation import Desk
from gateway.backup.operations import BackupDesk
from gateway.casework.answer_use import Uses
from gateway.casework.correction_trace import Tracing
from gateway.casework.corrections import Correcting
from gateway.casework.outbound_queries import AskingDesk
from gateway.casework.withholdings import Deciding
from gateway.directory.operations import KeepersDesk
from gateway.keymanagement.auditor_key import Auditors
from gateway.keymanagement.compromise import WorstDay
from gateway.keymanagement.custody import CustodyRoom
from gateway.keymanagement.operations import Rotating
from gateway.ledger_ops.audit_access import ReadingRoom
from gateway.retention.holds import Holding
from gateway.retention.operations import Keeping
from gateway.server import outbound_permissions

if TYPE_CHECKING:
    from gateway.server.application import House


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
                lambda to, record: outbound_permissions.may_correct(house, to, record),
                lambda partner: outbound_permissions.timers(house, partner),
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
