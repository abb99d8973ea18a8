"""A message that was refused after its REQUEST keeps the refusal, so that a copy of it hears the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was refused before this release ended as it did then."""
    op.add_column("replay", sa.Column("refusal", sa.Text(), nullable=True))
