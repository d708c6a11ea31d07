"""When the nightly work was done last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0003"
down_revision = "install_0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "telemetry_upkeep",
        sa.Column("job", sa.String(length=40), nullable=False, comment="what is done every night"),
        sa.Column("done_at", sa.BigInteger(), nullable=False, comment="when it was done last, unix ms"),
        sa.PrimaryKeyConstraint("job"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("telemetry_upkeep")
