"""The views for people with ``sqlite3`` or ``psql``, and PostgreSQL's functions, as the second migration makes them.

SQLite cannot have functions of ours in its file; ``store.queries`` answers the same questions on both engines.
"""

from __future__ import annotations

_EVENTS_SQLITE = """
CREATE VIEW telemetry_events AS
SELECT lower(hex(e.event_id)) AS event_id, p.install_id, p.event_type,
  json_patch(
    json_patch(p.data, coalesce(c.data, '{}')),
    json_patch(coalesce(e.rest, '{}'), json_object(
      'duration_us', e.duration_us, 'request_bytes', e.request_bytes, 'response_bytes', e.response_bytes,
      'database_us', e.database_us, 'database_queries', e.database_queries,
      'user', nullif(lower(hex(e.user_hash)), ''), 'session', nullif(lower(hex(e.session_hash)), '')))
  ) AS event_data,
  e.created_at
FROM telemetry_event_rows AS e
JOIN telemetry_event_parts AS p ON p.id = e.part
LEFT JOIN telemetry_event_parts AS c ON c.id = e.client
"""

_EVENTS_POSTGRESQL = """
CREATE VIEW telemetry_events AS
SELECT encode(e.event_id, 'hex') AS event_id, p.install_id, p.event_type,
  (p.data::jsonb || coalesce(c.data, '{}')::jsonb || coalesce(e.rest, '{}')::jsonb || jsonb_strip_nulls(
    jsonb_build_object(
      'duration_us', e.duration_us, 'request_bytes', e.request_bytes, 'response_bytes', e.response_bytes,
      'database_us', e.database_us, 'database_queries', e.database_queries,
      'user', encode(e.user_hash, 'hex'), 'session', encode(e.session_hash, 'hex'))))::text AS event_data,
  e.created_at
FROM telemetry_event_rows AS e
JOIN telemetry_event_parts AS p ON p.id = e.part
LEFT JOIN telemetry_event_parts AS c ON c.id = e.client
"""

_DAILY = """
CREATE VIEW telemetry_daily AS
WITH spread AS (
  SELECT s.install_id, s.period / 86400000 AS day, {bucket} AS bucket, sum({count}) AS n
  FROM telemetry_performance AS s CROSS JOIN {each}
  WHERE s.metric = 'api_request'
  GROUP BY s.install_id, s.period / 86400000, {bucket}
), ranked AS (
  SELECT install_id, day, bucket,
    sum(n) OVER (PARTITION BY install_id, day ORDER BY bucket) AS reached,
    sum(n) OVER (PARTITION BY install_id, day) AS total
  FROM spread
), latency AS (
  SELECT r.install_id, {date_of_day} AS date,
    min(CASE WHEN 100 * r.reached >= 50 * r.total THEN b.value END) / 1000.0 AS p50_ms,
    min(CASE WHEN 100 * r.reached >= 95 * r.total THEN b.value END) / 1000.0 AS p95_ms,
    min(CASE WHEN 100 * r.reached >= 99 * r.total THEN b.value END) / 1000.0 AS p99_ms
  FROM ranked AS r JOIN telemetry_buckets AS b ON b.bucket = r.bucket
  GROUP BY r.install_id, r.day
), visits AS (
  SELECT install_id, {date_of_start} AS date, count(*) AS sessions, avg(duration_seconds) AS session_seconds
  FROM telemetry_sessions
  GROUP BY install_id, {date_of_start}
), counts AS (
  SELECT install_id, date,
    sum(CASE WHEN counter = 'requests' THEN value ELSE 0 END) AS requests,
    sum(CASE WHEN counter = 'requests' AND key = '2xx' THEN value ELSE 0 END) AS requests_2xx,
    sum(CASE WHEN counter = 'requests' AND key = '3xx' THEN value ELSE 0 END) AS requests_3xx,
    sum(CASE WHEN counter = 'requests' AND key = '4xx' THEN value ELSE 0 END) AS requests_4xx,
    sum(CASE WHEN counter = 'requests' AND key = '5xx' THEN value ELSE 0 END) AS requests_5xx,
    sum(CASE WHEN counter = 'error' THEN value ELSE 0 END) AS errors,
    sum(CASE WHEN counter = 'feature' THEN value ELSE 0 END) AS feature_uses
  FROM telemetry_aggregates
  GROUP BY install_id, date
)
SELECT c.install_id, c.date, c.requests, c.requests_2xx, c.requests_3xx, c.requests_4xx, c.requests_5xx, c.errors,
  c.feature_uses, l.p50_ms, l.p95_ms, l.p99_ms, coalesce(v.sessions, 0) AS sessions, v.session_seconds
FROM counts AS c
LEFT JOIN latency AS l ON l.install_id = c.install_id AND l.date = c.date
LEFT JOIN visits AS v ON v.install_id = c.install_id AND v.date = c.date
"""

_SQLITE = {
    "bucket": "CAST(h.key AS INTEGER)",
    "count": "h.value",
    "each": "json_each(s.histogram) AS h",
    "date_of_day": "date(r.day * 86400, 'unixepoch')",
    "date_of_start": "date(started_at / 1000, 'unixepoch')",
}
_POSTGRESQL = {
    "bucket": "h.key::integer",
    "count": "h.value::bigint",
    "each": "LATERAL jsonb_each_text(s.histogram::jsonb) AS h",
    "date_of_day": "to_char(to_timestamp(r.day * 86400) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "date_of_start": "to_char(to_timestamp(started_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}

_SUMMARY = """
CREATE FUNCTION get_telemetry_summary(install text, days integer DEFAULT 7)
RETURNS TABLE (feature_name text, usage_count bigint, avg_response_time_ms numeric, total_errors bigint,
  total_requests bigint)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
WITH span AS (
  SELECT to_char((now() AT TIME ZONE 'UTC')::date - (days - 1), 'YYYY-MM-DD') AS first,
    (extract(epoch FROM (now() AT TIME ZONE 'UTC')::date - (days - 1)) * 1000)::bigint AS first_ms
), totals AS (
  SELECT coalesce(sum(value) FILTER (WHERE counter = 'error'), 0)::bigint AS errors,
    coalesce(sum(value) FILTER (WHERE counter = 'requests'), 0)::bigint AS requests
  FROM telemetry_aggregates, span WHERE install_id = install AND date >= span.first
), latency AS (
  SELECT round(sum(total) / nullif(sum(count), 0) / 1000.0, 1) AS average
  FROM telemetry_performance, span
  WHERE install_id = install AND metric = 'api_request' AND period >= span.first_ms
)
SELECT a.key::text, sum(a.value)::bigint, latency.average, totals.errors, totals.requests
FROM telemetry_aggregates AS a, span, totals, latency
WHERE a.install_id = install AND a.counter = 'feature' AND a.date >= span.first
GROUP BY a.key, latency.average, totals.errors, totals.requests
ORDER BY 2 DESC, 1
$$
"""

_POPULAR = """
CREATE FUNCTION get_popular_features(how_many integer DEFAULT 10)
RETURNS TABLE (feature_name text, total_installs bigint, total_usage bigint)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
SELECT feature::text, count(DISTINCT install_id), sum(usage_count)::bigint
FROM telemetry_features
GROUP BY feature
ORDER BY 3 DESC, 1
LIMIT how_many
$$
"""

_CLEANUP = """
CREATE FUNCTION cleanup_telemetry_data(days integer DEFAULT 90)
RETURNS TABLE (events_deleted bigint, performance_deleted bigint, sessions_deleted bigint)
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  first bigint := (extract(epoch FROM (now() AT TIME ZONE 'UTC')::date - days) * 1000)::bigint;
BEGIN
  IF days < 1 THEN
    RAISE EXCEPTION USING MESSAGE = 'days is ' || days || ': give 1 or more';
  END IF;
  PERFORM pg_advisory_xact_lock({lock});
  DELETE FROM telemetry_event_rows WHERE created_at < first;
  GET DIAGNOSTICS events_deleted = ROW_COUNT;
  DELETE FROM telemetry_performance WHERE period < first;
  GET DIAGNOSTICS performance_deleted = ROW_COUNT;
  DELETE FROM telemetry_sessions WHERE last_seen_at < first;
  GET DIAGNOSTICS sessions_deleted = ROW_COUNT;
  DELETE FROM telemetry_event_parts WHERE used_on < first / 86400000;
  RETURN NEXT;
END
$$
"""


def create(dialect: str, write_lock: int) -> list[str]:
    """Return the statements that make the views and functions; ``write_lock`` is what a writer on PostgreSQL takes."""
    if dialect != "postgresql":
        return [_EVENTS_SQLITE, _DAILY.format(**_SQLITE)]
    return [
        _EVENTS_POSTGRESQL,
        _DAILY.format(**_POSTGRESQL),
        _SUMMARY,
        _POPULAR,
        _CLEANUP.format(lock=write_lock),
    ]


def drop(dialect: str) -> list[str]:
    """Return the statements that remove them."""
    views = ["DROP VIEW telemetry_daily", "DROP VIEW telemetry_events"]
    if dialect != "postgresql":
        return views
    functions = (
        "get_telemetry_summary(text, integer)",
        "get_popular_features(integer)",
        "cleanup_telemetry_data(integer)",
    )
    return [*(f"DROP FUNCTION {function}" for function in functions), *views]
