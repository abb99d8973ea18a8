"""What two persons decide: proposals, and the key with which an officer signs them; who has seen our entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "proposals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("proposer", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decider", sa.Text(), nullable=True),
        sa.Column("approval", sa.LargeBinary(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("create_ms", INT, autoincrement=False, nullable=False),
        sa.Column("expire_ms", INT, autoincrement=False, nullable=False),
        sa.Column("decide_ms", INT, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
    )
    with op.batch_alter_table("proposals", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_proposals_state_expire_ms"), ["state", "expire_ms"], unique=False
        )

    op.create_table(
        "sightings",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("version", INT, autoincrement=False, nullable=False),
        sa.Column("see_ms", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("partner", name=op.f("pk_sightings")),
    )

    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.add_column(sa.Column("suspend_ms", INT, autoincrement=False, nullable=True))
        batch_op.add_column(sa.Column("approving", sa.LargeBinary(), nullable=True))
