"""What other processes over the store must follow, and which of them does a periodic job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add both tables, empty: whoever opens the store reads it whole, and a lease is taken when it is needed."""
    op.create_table(
        "changes",
        sa.Column("number", INT, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_changes")),
    )
    op.create_table(
        "leases",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("until_ms", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_leases")),
    )
