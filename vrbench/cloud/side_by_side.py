"""Calls made side by side by a few threads, with an end to it when one fails or the user interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from vrbench.cloud.facade import Poll

T = TypeVar("T")

WIDTH = 10  # calls at once
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
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    waiting = iter(list(enumerate(calls)))
    lock = threading.Lock()

    def work() -> None:
        while not stop.is_set():
            with lock:
                index, call = next(waiting, (-1, None))
            if call is None:
                return
            try:
                results[index] = call()
            except Stopped:
                return
            except BaseException as failure:  # noqa: BLE001  # it is raised again, in the calling thread
                failures.append(failure)
                stop.set()

    # Daemons: a second interrupt must be able to end the process while a call still waits for its answer.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(width, len(calls)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        _join_until(threads, time.monotonic() + PATIENCE_S)
        raise
    if failures:
        raise failures[0]
    stop.check()
    return [results[index] for index in range(len(calls))]


def _join_until(threads: Sequence[threading.Thread], until_s: float) -> None:
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
