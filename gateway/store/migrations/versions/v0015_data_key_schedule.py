"""Data keys rotate by themselves from the start, in a gateway that begins now; one that was there goes on as it was.

Its earlier data keys were kept on purpose, or nobody asked: that a schedule destroys them is for two persons to decide. A
schedule that was turned on before was one person's, and destroyed nothing: it is off until two turn it on again.
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
    """Write down the schedule of before, where the ledger has entries; one that was set keeps its days, off."""
    values = sa.table("values", sa.column("key"), sa.column("value"))
    leaves = sa.table("leaves", sa.column("idx"))
    row = sa.select(sa.literal(KEY), sa.literal(AS_BEFORE)).where(
        sa.exists(sa.select(leaves.c.idx)),
        ~sa.exists(sa.select(values.c.key).where(values.c.key == KEY)),
    )
    op.execute(sa.insert(values).from_select(["key", "value"], row))
    off = sa.func.replace(values.c.value, '"on":true', '"on":false')
    op.execute(sa.update(values).where(values.c.key == KEY).values(value=off))
