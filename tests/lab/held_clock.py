"""A clock that tests stop and turn, so that what they must see is still there when they look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Event
from time import time

from vrbench.lab.api.state.clock import ZoneClock

LOOK_S = 0.02  # between looks whether the lab is being taken down
DEADLINE_S = 60.0


class HeldClock(ZoneClock):
    """Goes as the machine's does, but for the time that it is held, and what it is turned on by."""

    def __init__(self) -> None:
        self._turned = Condition()
        self._held_at: float | None = None
        self._behind_s = 0.0
        self._until: list[float] = []

    def now(self) -> float:
        with self._turned:
            return self._now()

    def _now(self) -> float:
        return time() - self._behind_s if self._held_at is None else self._held_at

    def wait(self, end: Event, seconds: float) -> bool:
        """Wait by this clock: for ever, while it is held."""
        with self._turned:
            until = self._now() + seconds
            self._until.append(until)
            self._turned.notify_all()
            while not end.is_set() and (left := until - self._now()) > 0:
                self._turned.wait(min(left, LOOK_S))
            self._until.remove(until)
            self._turned.notify_all()
        return end.is_set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no time pass in this block: what waits goes on waiting, and what is under way stays so."""
        with self._turned:
            self._held_at = self._now()
        try:
            yield
        finally:
            with self._turned:
                self._behind_s, self._held_at = time() - self._now(), None
                self._turned.notify_all()

    def turn_on(self, seconds: float) -> None:
        """Let so much time have passed, at once."""
        with self._turned:
            if self._held_at is None:
                self._behind_s -= seconds
            else:
                self._held_at += seconds
            self._turned.notify_all()

    def until_waiting(self, number: int) -> None:
        """Return when so many of the zone's machines and calls wait, while the clock is held."""
        with self._turned:
            assert self._turned.wait_for(lambda: len(self._until) == number, DEADLINE_S), f"{len(self._until)} wait"

    def waiting(self) -> tuple[float, ...]:
        """Return until when anything waits."""
        with self._turned:
            return tuple(self._until)

    def turn_to_next(self) -> float:
        """Turn a held clock to where the wait that is over first is over; return when that has gone on, and its end."""
        with self._turned:
            first = min(self._until)
            self._held_at = max(first, self._now())
            self._turned.notify_all()
            assert self._turned.wait_for(lambda: first not in self._until, DEADLINE_S)
            return first
