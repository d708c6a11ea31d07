"""The closed list of counters in ``telemetry_aggregates``: every number is a (counter, key, value)."""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.contract.fields import Sensitivity


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: what it counts, what its key means, why it exists."""

    name: str
    what: str
    key: str
    why: str
    sensitivity: Sensitivity = Sensitivity.TECHNICAL
    required: bool = True


COUNTERS: tuple[Counter, ...] = (
    Counter("requests", "requests", "status class, such as 2xx", "shows load and health"),
    Counter("method", "requests", "HTTP method", "tells reading from changing"),
    Counter("hour", "requests", "hour of the day in UTC, 00 to 23", "shows peak hours"),
    Counter("weekday", "requests", "day of the week in UTC, 1 (Monday) to 7", "shows busy days"),
    Counter("style", "requests", "route style", "shows REST against GraphQL"),
    Counter("delivery", "requests", "streamed, or disconnected where the client left", "tells leaving from failing"),
    Counter("bytes_in", "bytes of request bodies", "empty", "plans bandwidth"),
    Counter("bytes_out", "bytes of response bodies", "empty", "plans bandwidth"),
    Counter("feature", "uses of a feature", "name of the feature", "shows adoption", Sensitivity.INTERACTION),
    Counter("error", "failures", "category", "shows what breaks"),
    Counter("country", "requests", "ISO 3166 code", "shows where", Sensitivity.INTERACTION, required=False),
    Counter("browser", "requests", "browser family", "decides support", Sensitivity.INTERACTION, required=False),
    Counter("os", "requests", "operating system family", "decides support", Sensitivity.INTERACTION, required=False),
    Counter("slow_request", "requests that took a second or longer", "template", "shows what is slow"),
    Counter("database_us", "µs that requests spent in the database", "empty", "shows where time goes", required=False),
    Counter("database_queries", "queries that requests made", "empty", "shows where time goes", required=False),
    Counter("slow_query", "queries over the threshold", "operation and table", "finds slow queries", required=False),
    Counter("transaction", "transactions that succeeded", "name", "shows what the product does"),
    Counter("failed_transaction", "transactions that failed", "name:category", "shows what breaks"),
    Counter(
        "choice",
        "uses of a closed choice",
        "feature.key=value",
        "shows what is chosen",
        Sensitivity.INTERACTION,
        required=False,
    ),
    Counter("active_users_1d", "users active on the day", "empty", "shows adoption", Sensitivity.INTERACTION),
    Counter(
        "active_users_7d", "users active on it or the 6 days before", "empty", "shows adoption", Sensitivity.INTERACTION
    ),
    Counter(
        "active_users_30d",
        "users active on it or the 29 days before",
        "empty",
        "shows adoption",
        Sensitivity.INTERACTION,
    ),
    Counter("active_sessions", "sessions that touch the day", "empty", "shows load", Sensitivity.INTERACTION),
    Counter(
        "session_seconds",
        "seconds that the sessions lasted which began",
        "empty",
        "shows engagement",
        Sensitivity.INTERACTION,
    ),
    Counter(
        "feature_pair",
        "sessions that used both",
        "feature + feature",
        "shows what belongs together",
        Sensitivity.INTERACTION,
    ),
    Counter(
        "feature_transition",
        "sessions that first used one right after the other",
        "feature > feature",
        "shows paths",
        Sensitivity.INTERACTION,
    ),
    Counter(
        "kept_events", "events of which the install keeps the rows", "empty", "tells whether its rows are a sample"
    ),
    Counter("thinned_events", "events that are only counted", "empty", "tells whether its rows are a sample"),
    Counter("storage_bytes", "bytes of the database at the last cleaning", "empty", "plans disks"),
    Counter("overflow", "counts without room for their key", "counter", "shows where (other) hides something"),
)

OF_ROWS = frozenset({"kept_events", "thinned_events", "storage_bytes"})
"""The counters that say how events are kept; all others count what the events say."""

COUNTER_NAMES = frozenset(counter.name for counter in COUNTERS)
