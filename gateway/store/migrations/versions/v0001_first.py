"""The first tables: the ledger, what it records of queries, the registry, and small named values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "checkpoints",
        sa.Column("size", INT, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("time_ms", INT, autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "detail_keys",
        sa.Column("idx", INT, autoincrement=False, nullable=False),
        sa.Column("sealed_dek", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_detail_keys")),
    )
    op.create_table(
        "details",
        sa.Column("idx", INT, autoincrement=False, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_details")),
    )
    op.create_table(
        "leaves",
        sa.Column("idx", INT, autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.Column("type", INT, autoincrement=False, nullable=False),
        sa.Column("time_ms", INT, autoincrement=False, nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_number", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name=op.f("pk_leaves")),
    )
    op.create_index(op.f("ix_leaves_leaf_hash"), "leaves", ["leaf_hash"], unique=False)
    op.create_index(
        op.f("ix_leaves_partner_message_id"), "leaves", ["partner", "message_id"], unique=False
    )
    op.create_table(
        "nodes",
        sa.Column("level", INT, autoincrement=False, nullable=False),
        sa.Column("number", INT, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name=op.f("pk_nodes")),
    )
    op.create_table(
        "quotas",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("purpose", INT, autoincrement=False, nullable=False),
        sa.Column("direction", INT, autoincrement=False, nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("used", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint(
            "partner", "purpose", "direction", "period", name=op.f("pk_quotas")
        ),
    )
    op.create_table(
        "replay",
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("transcript", sa.LargeBinary(), nullable=False),
        sa.Column("state", INT, autoincrement=False, nullable=False),
        sa.Column("operation", INT, autoincrement=False, nullable=False),
        sa.Column("transaction_number", sa.Text(), nullable=False),
        sa.Column("request_index", INT, autoincrement=False, nullable=False),
        sa.Column("response_index", INT, autoincrement=False, nullable=True),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("expires_ms", INT, autoincrement=False, nullable=False),
        sa.Column("stored_until_ms", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("sender", "message_id", name=op.f("pk_replay")),
    )
    op.create_index(
        op.f("ix_replay_sender_transaction_number"),
        "replay",
        ["sender", "transaction_number"],
        unique=False,
    )
    op.create_index(
        op.f("ix_replay_state_stored_until_ms"),
        "replay",
        ["state", "stored_until_ms"],
        unique=False,
    )
    op.create_table(
        "subjects",
        sa.Column("id", INT, autoincrement=False, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
        sa.UniqueConstraint("reference", name=op.f("uq_subjects_reference")),
    )
    op.create_table(
        "transactions",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", INT, autoincrement=False, nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("version", INT, autoincrement=False, nullable=False),
        sa.Column("state", INT, autoincrement=False, nullable=False),
        sa.Column("outcome", INT, autoincrement=False, nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("request_index", INT, autoincrement=False, nullable=False),
        sa.Column("response_index", INT, autoincrement=False, nullable=True),
        sa.Column("receive_ms", INT, autoincrement=False, nullable=False),
        sa.Column("decide_ms", INT, autoincrement=False, nullable=True),
        sa.Column("quota_day", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("partner", "number", name=op.f("pk_transactions")),
    )
    op.create_table(
        "values",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_values")),
    )
    op.create_table(
        "hit_references",
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("transaction_number", sa.Text(), nullable=False),
        sa.Column("subject_id", INT, autoincrement=False, nullable=False),
        sa.Column("expires_ms", INT, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["partner", "transaction_number"],
            ["transactions.partner", "transactions.number"],
            name=op.f("fk_hit_references_transactions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_hit_references")),
    )
    op.create_index(
        op.f("ix_hit_references_expires_ms"), "hit_references", ["expires_ms"], unique=False
    )
    op.create_index(
        op.f("ix_hit_references_partner_transaction_number"),
        "hit_references",
        ["partner", "transaction_number"],
        unique=False,
    )
    op.create_table(
        "samples",
        sa.Column("subject_id", INT, autoincrement=False, nullable=False),
        sa.Column("position", INT, autoincrement=False, nullable=False),
        sa.Column("format", INT, autoincrement=False, nullable=False),
        sa.Column("extractor", sa.Text(), nullable=False),
        sa.Column("impression", INT, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subjects.id"], name=op.f("fk_samples_subjects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("subject_id", "position", name=op.f("pk_samples")),
    )
