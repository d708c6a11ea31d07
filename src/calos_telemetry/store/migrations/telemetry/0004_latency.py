"""Histograms as rows, one for each bucket, for whoever adds them up in SQL."""

from __future__ import annotations

from alembic import op

revision = "telemetry_0004"
down_revision = "telemetry_0003"

_EACH = {"sqlite": "json_each(p.histogram)", "postgresql": "json_each_text(p.histogram::json)"}
_LATENCY = """
CREATE VIEW telemetry_latency AS
SELECT p.install_id, p.period, p.metric, p.method, p.path, p.status,
  CAST(e.key AS integer) AS bucket, CAST(e.value AS bigint) AS count
FROM telemetry_performance AS p CROSS JOIN {each} AS e
"""


def upgrade() -> None:
    """Create the view."""
    op.execute(_LATENCY.format(each=_EACH[op.get_bind().dialect.name]))


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP VIEW telemetry_latency")
