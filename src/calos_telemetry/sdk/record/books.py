"""What became of everything that one process wanted to record; the install's books, in the database, sum up all processes."""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.sdk.record.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class ProcessBooks:
    """The books of this process since it began or was forked: offered = recorded + all of dropped, in events.

    ``recorded`` events are in the spool or, by now, in the database.  What the policy forbids was never offered; it is
    counted by reason in ``not_recorded``.
    """

    recorded: int
    dropped: dict[str, int]
    not_recorded: dict[str, int]

    @property
    def offered(self) -> int:
        """Return how many events this process wanted to record, and the policy allowed."""
        return self.recorded + sum(self.dropped.values())


def books_of(pipeline: Pipeline | None) -> ProcessBooks:
    """Return the books of a pipeline as they stand; all zero without one."""
    if pipeline is None:
        return ProcessBooks(0, {}, {})
    spool = pipeline.spool.books
    return ProcessBooks(spool.recorded, dict(spool.dropped), dict(pipeline.not_recorded))
