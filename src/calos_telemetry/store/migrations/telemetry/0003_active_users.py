"""Who was active on which day, and which features a session used: for counts that are exact without an id leaving."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "telemetry_0003"
down_revision = "telemetry_0002"


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "telemetry_user_days",
        sa.Column("user_hash", sa.LargeBinary(), nullable=False, comment="keyed hash of the user, 8 bytes"),
        sa.Column("day", sa.Integer(), nullable=False, comment="a day of activity, since 1970-01-01"),
        sa.PrimaryKeyConstraint("user_hash", "day"),
        sqlite_with_rowid=False,
    )
    op.add_column(
        "telemetry_sessions",
        sa.Column("features", sa.Text(), nullable=True, comment="feature → first use in it (unix ms), as JSON"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_column("telemetry_sessions", "features")
    op.drop_table("telemetry_user_days")
