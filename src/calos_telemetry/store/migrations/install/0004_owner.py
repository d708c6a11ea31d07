"""Whose tables these are: two installs in one schema would count into each other's books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0004"
down_revision = "install_0003"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "telemetry_owner",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False, comment="always 1: there is one owner"),
        sa.Column("install_id", sa.String(length=32), nullable=False, comment="the install, 32 hex digits"),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("telemetry_owner")
