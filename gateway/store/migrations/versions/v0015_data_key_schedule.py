"""Data keys rotate by themselves from the start, in a gateway that begins now; one that was there goes on as it was.

Its earlier data keys were kept on purpose, or nobody asked: that a schedule destroys them is for two persons to decide.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEY = "rotation/schedule/DATA"
AS_BEFORE = '{"days":335,"on":false}'


def upgrade() -> None:
    """Write down the schedule of before, where the ledger has entries and nobody set another."""
    values = sa.table("values", sa.column("key"), sa.column("value"))
    leaves = sa.table("leaves", sa.column("idx"))
    row = sa.select(sa.literal(KEY), sa.literal(AS_BEFORE)).where(
        sa.exists(sa.select(leaves.c.idx)),
        ~sa.exists(sa.select(values.c.key).where(values.c.key == KEY)),
    )
    op.execute(sa.insert(values).from_select(["key", "value"], row))
