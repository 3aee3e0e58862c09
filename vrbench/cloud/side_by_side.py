"""Calls made side by side by a few threads, with an end to it when one fails or the user interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from vrbench.cloud.facade import Poll

T = TypeVar("T")

WIDTH = 10  # calls at once
STEP_S = 0.1
PATIENCE_S = 15.0  # for calls under way when the user interrupts: so that their answers still reach the journal


class Stopped(Exception):
    """A wait ended early because another call failed or the user interrupted."""


class Stop:
    """A flag that ends waits: pass ``check`` to ``Cloud.wait`` as ``on_poll``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self, _poll: Poll | None = None) -> None:
        """Raise Stopped once the flag is set."""
        if self._event.is_set():
            raise Stopped


def side_by_side(calls: Sequence[Callable[[], T]], stop: Stop, width: int = WIDTH) -> list[T]:
    """The calls' results, in order. The first failure sets ``stop``, and is raised when no call is under way any more.

    An interrupt (any BaseException in the calling thread) sets ``stop`` too, gives calls under way ``PATIENCE_S`` to
    end, and goes on its way.
    """
    work = _Work(calls, stop)
    # Daemons: a second interrupt must be able to end the process while a call still waits for its answer.
    threads = [threading.Thread(target=work.take_turns, daemon=True) for _ in range(min(width, len(calls)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            # In steps: a signal that comes just before a wait begins is only noticed when that wait ends.
            while thread.is_alive():
                thread.join(STEP_S)
    except BaseException:
        stop.set()
        work.await_idle(PATIENCE_S)
        raise
    if work.failures:
        raise work.failures[0]
    stop.check()
    return [work.results[index] for index in range(len(calls))]


class _Work(Generic[T]):
    """Calls taken in turn by several threads. Which are under way is counted, not deduced from the threads: an
    interrupt may come while those are still being started."""

    def __init__(self, calls: Sequence[Callable[[], T]], stop: Stop) -> None:
        self.results: dict[int, T] = {}
        self.failures: list[BaseException] = []
        self._waiting = iter(list(enumerate(calls)))
        self._stop = stop
        self._under_way = 0
        self._turn = threading.Condition()

    def take_turns(self) -> None:
        while (taken := self._take()) is not None:
            index, call = taken
            try:
                self.results[index] = call()
            except Stopped:
                pass
            except BaseException as failure:  # noqa: BLE001  # it is raised again, in the calling thread
                self.failures.append(failure)
                self._stop.set()
            with self._turn:
                self._under_way -= 1
                self._turn.notify_all()

    def _take(self) -> tuple[int, Callable[[], T]] | None:
        with self._turn:
            taken = None if self._stop.is_set() else next(self._waiting, None)
            self._under_way += taken is not None
            return taken

    def await_idle(self, patience_s: float) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._under_way == 0, patience_s)
