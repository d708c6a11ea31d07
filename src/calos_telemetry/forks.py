"""Forking beside our background thread: a child must not inherit what that thread holds half done.

Threads other than the forking one do not exist in the child, but what they held does, for ever: SQLite believes that
this process has the database locked, a half-imported module waits for its importer, a lock for its owner.  So whoever
does such work does it inside the :data:`gate`, and a fork waits until nobody is inside.  The wait is bounded, because
forking must not hang on us; where it was in vain, the child knows.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 5.0


class ForkGate:
    """Keeps forks and delicate work apart; any number of threads may be inside, each any number of times."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self.inherited_work = False
        """Whether this process was forked in the midst of such work: then it must not touch the database."""
        self._patience = patience
        self._start_anew()

    def _start_anew(self) -> None:
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._forks = 0

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Do something delicate; a fork of another thread waits for it."""
        thread = self.enter()
        try:
            yield
        finally:
            self.leave(thread)

    def enter(self) -> int:
        """Come in, after the fork that is under way if there is one; return who came in."""
        thread = threading.get_ident()
        with self._changed:
            while self._forks and not self._inside[thread]:
                self._changed.wait()
            self._inside[thread] += 1
        return thread

    def leave(self, thread: int) -> None:
        """Go out again."""
        with self._changed:
            self._inside[thread] -= 1
            if self._inside[thread] <= 0:
                del self._inside[thread]
            self._changed.notify_all()

    def before_fork(self) -> None:
        """Wait until no other thread is inside, and let none in."""
        with self._changed:
            self._forks += 1
            self._changed.wait_for(lambda: not self._others(), self._patience)

    def after_fork_in_parent(self) -> None:
        """Let them in again."""
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """Begin anew: of all threads only this one is left."""
        self.inherited_work = self.inherited_work or self._others()
        self._start_anew()

    def _others(self) -> bool:
        return any(thread != threading.get_ident() for thread in self._inside)


gate = ForkGate()

os.register_at_fork(
    before=gate.before_fork, after_in_parent=gate.after_fork_in_parent, after_in_child=gate.after_fork_in_child
)
