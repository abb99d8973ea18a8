"""What follows a query: people's records, disclosures, reviews, corrections, our questions, holds, staff."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite row ids must say INTEGER


def upgrade() -> None:
    """Add the tables and columns."""
    op.create_table(
        "asked",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", INT, autoincrement=False, nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("version", INT, autoincrement=False, nullable=False),
        sa.Column("case_reference", sa.Text(), nullable=False),
        sa.Column("state", INT, autoincrement=False, nullable=False),
        sa.Column("outcome", INT, autoincrement=False, nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("subject_id", INT, autoincrement=False, nullable=True),
        sa.Column("ask_ms", INT, autoincrement=False, nullable=False),
        sa.Column("answer_ms", INT, autoincrement=False, nullable=True),
        sa.Column("used_ms", INT, autoincrement=False, nullable=True),
        sa.Column("used_in", sa.Text(), nullable=True),
        sa.Column("asked_index", INT, autoincrement=False, nullable=False),
        sa.Column("answered_index", INT, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("partner", "number", name=op.f("pk_asked")),
    )
    with op.batch_alter_table("asked", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_asked_case_reference"), ["case_reference"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_asked_state_answer_ms"), ["state", "answer_ms"], unique=False
        )

    op.create_table(
        "corrections",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("direction", INT, autoincrement=False, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", INT, autoincrement=False, nullable=False),
        sa.Column("state", INT, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("open_ms", INT, autoincrement=False, nullable=False),
        sa.Column("due_ms", INT, autoincrement=False, nullable=False),
        sa.Column("send_ms", INT, autoincrement=False, nullable=True),
        sa.Column("next_ms", INT, autoincrement=False, nullable=True),
        sa.Column("attempts", INT, autoincrement=False, nullable=False),
        sa.Column("ack_ms", INT, autoincrement=False, nullable=True),
        sa.Column("outcome", INT, autoincrement=False, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("open_index", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", "partner", "direction", name=op.f("pk_corrections")),
    )
    with op.batch_alter_table("corrections", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_corrections_partner_number"), ["partner", "number"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_corrections_state_next_ms"), ["state", "next_ms"], unique=False
        )

    op.create_table(
        "decisions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject_id", INT, autoincrement=False, nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("scope", INT, autoincrement=False, nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("ground", INT, autoincrement=False, nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("decide_ms", INT, autoincrement=False, nullable=False),
        sa.Column("lift_ms", INT, autoincrement=False, nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_decisions_subject_id_partner"), ["subject_id", "partner"], unique=False
        )

    op.create_table(
        "disclosures",
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("details_number", sa.Text(), nullable=False),
        sa.Column("field", INT, autoincrement=False, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("hit_reference", sa.LargeBinary(), nullable=False),
        sa.Column("subject_id", INT, autoincrement=False, nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("record_version", INT, autoincrement=False, nullable=False),
        sa.Column("disclose_ms", INT, autoincrement=False, nullable=False),
        sa.Column("response_index", INT, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("partner", "details_number", "field", name=op.f("pk_disclosures")),
    )
    with op.batch_alter_table("disclosures", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_disclosures_hit_reference"), ["hit_reference"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_disclosures_partner_number"), ["partner", "number"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_disclosures_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("place_ms", INT, autoincrement=False, nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("release_ms", INT, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    with op.batch_alter_table("holds", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_holds_kind_reference"), ["kind", "reference"], unique=False
        )

    op.create_table(
        "staff",
        sa.Column("pin", sa.LargeBinary(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("grant_ms", INT, autoincrement=False, nullable=False),
        sa.Column("expire_ms", INT, autoincrement=False, nullable=False),
        sa.Column("end_ms", INT, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("pin", name=op.f("pk_staff")),
    )
    with op.batch_alter_table("staff", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_staff_person"), ["person"], unique=False)

    op.create_table(
        "reviews",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("message_id", sa.LargeBinary(), nullable=False),
        sa.Column("state", INT, autoincrement=False, nullable=False),
        sa.Column("persons", INT, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("lease_ms", INT, autoincrement=False, nullable=True),
        sa.Column("first_examiner", sa.Text(), nullable=True),
        sa.Column("first_verdict", INT, autoincrement=False, nullable=True),
        sa.Column("second_examiner", sa.Text(), nullable=True),
        sa.Column("verdict", INT, autoincrement=False, nullable=True),
        sa.Column("open_ms", INT, autoincrement=False, nullable=False),
        sa.Column("due_ms", INT, autoincrement=False, nullable=False),
        sa.Column("close_ms", INT, autoincrement=False, nullable=True),
        sa.Column("request_index", INT, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["partner", "number"],
            ["transactions.partner", "transactions.number"],
            name=op.f("fk_reviews_transactions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_reviews")),
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reviews_state_due_ms"), ["state", "due_ms"], unique=False
        )

    with op.batch_alter_table("hit_references", schema=None) as batch_op:
        batch_op.add_column(sa.Column("fields", sa.Text(), nullable=True))

    with op.batch_alter_table("leaves", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_leaves_transaction_number"), ["transaction_number"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_leaves_type_time_ms"), ["type", "time_ms"], unique=False
        )

    with op.batch_alter_table("subjects", schema=None) as batch_op:
        batch_op.add_column(sa.Column("record", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("record_version", INT, autoincrement=False, nullable=True))
        batch_op.add_column(sa.Column("record_ms", INT, autoincrement=False, nullable=True))

    with op.batch_alter_table("transactions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("subject", sa.LargeBinary(), nullable=True))
