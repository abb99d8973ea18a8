"""What others say of our ledger: witnesses' cosignatures, and time stamps of an authority."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "cosignatures",
        sa.Column("size", INT, autoincrement=False, nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness", name=op.f("pk_cosignatures")),
    )
    with op.batch_alter_table("cosignatures", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_cosignatures_witness_size"), ["witness", "size"], unique=False
        )
    op.create_table(
        "timestamps",
        sa.Column("size", INT, autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("idx", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_timestamps")),
    )
