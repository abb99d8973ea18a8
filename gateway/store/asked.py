"""What we asked partners: numbers that we issued, and about whom."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from gateway.store.casebook import asked


@dataclass(frozen=True, slots=True)
class Issued:
    """A number of ours that a partner knows; `subject` is our own client, None where it is nobody's."""

    subject: int | None


def find_issued(connection: Connection, partner: str, number: str) -> Issued | None:
    """Return what stands behind a number that we issued to this very partner, else None.

    None too for a number of another partner's: the asker cannot tell the two apart (IRPR 315.38).
    """
    wanted = select(asked.c.subject_id).where(asked.c.partner == partner, asked.c.number == number)
    row = connection.execute(wanted).one_or_none()
    return None if row is None else Issued(row.subject_id)
