"""Corrections with their papers apart, what was received by field, and the numbers that partners used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add tables, column and indices, and move what corrections say out of their rows.

    What is sealed is bound to partner, identifier and direction, not to its table: it moves as it is.
    """
    op.create_table(
        "correction_papers",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("direction", INT, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "partner", "direction", name=op.f("pk_correction_papers")),
    )
    op.create_table(
        "filed_notices",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("file_ms", INT, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "number", "id", name=op.f("pk_filed_notices")),
    )
    op.add_column("asked", sa.Column("received", INT, autoincrement=False, nullable=True))
    op.create_index(
        op.f("ix_corrections_partner_direction_open_ms"),
        "corrections",
        ["partner", "direction", "open_ms"],
        unique=False,
    )
    op.create_index(
        op.f("ix_corrections_state_due_ms"), "corrections", ["state", "due_ms"], unique=False
    )
    op.create_index(
        "ix_leaves_request_number",
        "leaves",
        ["partner", "transaction_number"],
        unique=False,
        sqlite_where=sa.text("type = 1"),
        postgresql_where=sa.text("type = 1"),
    )
    op.execute(
        "INSERT INTO correction_papers (id, partner, direction, sealed)"
        " SELECT id, partner, direction, sealed FROM corrections WHERE sealed IS NOT NULL"
    )
    op.execute("UPDATE corrections SET sealed = NULL WHERE sealed IS NOT NULL")
