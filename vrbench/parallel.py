"""Work done for several things at once by a few threads, with an end to it when one fails or the user interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WIDTH = 16  # at once
STEP_S = 0.1
GRACE_S = 5.0  # for work under way when the user interrupts: so that what it began can be cleaned up


class Stopped(Exception):
    """Work gave up because its result is no longer wanted."""


class CancelToken:
    """Tells work whether its result is still wanted."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise Stopped once the flag is set."""
        if self._event.is_set():
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise Stopped as soon as the flag is set."""
        if self._event.wait(seconds):
            raise Stopped


def parallel(
    items: Sequence[T],
    work: Callable[[T, CancelToken], R],
    *,
    stop: CancelToken | None = None,
    width: int = WIDTH,
    grace_s: float = GRACE_S,
) -> list[R]:
    """Do the work for every item, ``width`` at once; the results in order.

    The first failure sets ``stop`` and is raised when none is under way any more. An interrupt (any BaseException in
    the calling thread) sets it too, gives work under way ``grace_s`` to end and goes on its way: work checks its
    ``CancelToken`` before each step that it begins.
    """
    shift = _Shift(items, work, stop or CancelToken())
    # Daemons: a second interrupt must be able to end the process while one still waits for an answer.
    threads = [threading.Thread(target=shift.take_turns, daemon=True) for _ in range(min(width, len(items)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            # In steps: a signal that comes just before a wait begins is only noticed when that wait ends.
            while thread.is_alive():
                thread.join(STEP_S)
    except BaseException:
        shift.stop.set()
        shift.await_idle(grace_s)
        raise
    if shift.failures:
        raise shift.failures[0]
    shift.stop.check()
    return [shift.results[index] for index in range(len(items))]


class _Shift(Generic[T, R]):
    """Items taken in turn by several threads. What is under way is counted, not deduced from the threads: an interrupt
    may come while those are still being started."""

    def __init__(self, items: Sequence[T], work: Callable[[T, CancelToken], R], stop: CancelToken) -> None:
        self.stop = stop
        self.results: dict[int, R] = {}
        self.failures: list[BaseException] = []
        self._work = work
        self._waiting = iter(list(enumerate(items)))
        self._under_way = 0
        self._turn = threading.Condition()

    def take_turns(self) -> None:
        while (taken := self._take()) is not None:
            index, item = taken
            try:
                self.results[index] = self._work(item, self.stop)
            except Stopped:
                pass
            except BaseException as failure:  # noqa: BLE001  # it is raised again, in the calling thread
                self.failures.append(failure)
                self.stop.set()
            with self._turn:
                self._under_way -= 1
                self._turn.notify_all()

    def _take(self) -> tuple[int, T] | None:
        with self._turn:
            taken = None if self.stop.is_set() else next(self._waiting, None)
            self._under_way += taken is not None
            return taken

    def await_idle(self, grace_s: float) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._under_way == 0, grace_s)
