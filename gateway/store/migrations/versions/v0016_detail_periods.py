"""The keys to details are sealed once more, by a key for each period.

What is there already is not: a marker says so, and it is done when the data key is next followed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

BEFORE = bytes(8)
INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add the table; a touched period without a key of its own stands for the keys of before, where there are details."""
    periods = op.create_table(
        "detail_periods",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=False),
        sa.Column("moved", INT, autoincrement=False, nullable=False),
        sa.Column("touched", INT, autoincrement=False, nullable=False),
        sa.Column("first", INT, autoincrement=False, nullable=False),
        sa.Column("begin_ms", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_detail_periods")),
    )
    details = sa.table("details", sa.column("idx"))
    none = sa.literal(BEFORE, sa.LargeBinary())
    row = sa.select(none, none, *map(sa.literal, (1, 1, 0, 0))).where(
        sa.exists(sa.select(details.c.idx))
    )
    names = ["id", "seed", "moved", "touched", "first", "begin_ms"]
    op.execute(sa.insert(periods).from_select(names, row))
