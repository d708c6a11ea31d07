"""Reports on their way to ClickHouse."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "vendor_0003"
down_revision = "vendor_0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False, comment="in the order of arrival"),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False, comment="rows in the report"),
        sa.Column("rows", sa.LargeBinary(), nullable=False, comment="table → rows of one report, as deflated JSON"),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("outbox")
