"""What reports can hold, so that an upgrade can say what it would newly send."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0006"
down_revision = "install_0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "telemetry_catalogues",
        sa.Column(
            "since",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="number of the first report with them",
        ),
        sa.Column("names", sa.Text(), nullable=False, comment="fields and counters that can leave, as JSON"),
        sa.PrimaryKeyConstraint("since"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("telemetry_catalogues")
