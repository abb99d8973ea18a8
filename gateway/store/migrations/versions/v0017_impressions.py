"""A person may have several impressions of a finger: samples are kept by the number of the impression too.

What is there already is the first. What was sealed stays as it is: the labels of then open the first impression alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FIRST = "1"


def upgrade() -> None:
    """Add the number, and it to the key; existing rows are first impressions."""
    with op.batch_alter_table("samples", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "impression_number", INT, autoincrement=False, nullable=False, server_default=FIRST
            )
        )
        batch_op.drop_constraint(op.f("pk_samples"), type_="primary")
        batch_op.create_primary_key(
            op.f("pk_samples"), ["subject_id", "modality", "position", "impression_number"]
        )
    with op.batch_alter_table("samples", schema=None) as batch_op:
        batch_op.alter_column("impression_number", existing_type=INT, server_default=None)
