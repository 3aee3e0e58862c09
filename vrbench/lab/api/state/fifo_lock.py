"""First come, first served: jobs on one thing run one after the other, in the order in which they were submitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class FifoLock:
    """A queue of tickets; a drawn ticket must be served, or those behind it wait for ever."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._drawn = 0
        self._served = 0

    def draw(self) -> int:
        """Return the next ticket."""
        with self._changed:
            self._drawn += 1
            return self._drawn - 1

    @contextmanager
    def serve(self, ticket: int) -> Iterator[None]:
        """Wait for the ticket's turn and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._served == ticket)
        try:
            yield
        finally:
            with self._changed:
                self._served += 1
                self._changed.notify_all()
