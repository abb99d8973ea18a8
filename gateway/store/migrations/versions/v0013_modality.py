"""Samples are kept by modality too: whoever was enrolled before was enrolled by fingers.

What was sealed stays as it is, under the label of then, whose version each row names. It is one transaction: broken off,
it was not begun, and the next opening does it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FINGER = "1"  # the modality's number in protos and ledger, which does not change
FIRST = "1"  # the version of the label that named no modality


def upgrade() -> None:
    """Add the columns, and the modality to the key; existing rows are of fingers and under the first label."""
    with op.batch_alter_table("samples", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("modality", INT, autoincrement=False, nullable=False, server_default=FINGER)
        )
        batch_op.add_column(sa.Column("label", INT, nullable=False, server_default=FIRST))
        batch_op.drop_constraint(op.f("pk_samples"), type_="primary")
        batch_op.create_primary_key(op.f("pk_samples"), ["subject_id", "modality", "position"])
    with op.batch_alter_table("samples", schema=None) as batch_op:
        batch_op.alter_column("modality", existing_type=INT, server_default=None)
        batch_op.alter_column("label", existing_type=INT, server_default=None)
