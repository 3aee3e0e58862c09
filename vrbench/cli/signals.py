"""Ctrl-C and its relatives: once, the run ends and tears down; twice, it leaves at once and the journal is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from vrbench.cli.exits import Interrupted

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_PRESS_S = 0.25  # one Ctrl-C may come twice, from the terminal's group and passed on; no hand presses faster


class Signals:
    """Turns the first signal into ``Interrupted`` in the main thread.

    While tearing down, the first one is only answered with a word (the teardown goes on) and the next one leaves.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._presses = 0
        self._pressed_at = float("-inf")
        self._tearing_down = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._handle) for s in HANDLED}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def leaving(self) -> bool:
        """Whether somebody has pressed twice: nothing may be begun any more."""
        return self._presses > 1

    def tear_down(self) -> None:
        """From now on everything is being removed."""
        self._tearing_down = True

    def _tell(self, text: str) -> None:
        """Say it, also where the signal came in the middle of a line that was being written to the same stream."""
        try:
            self._say(text)
        except RuntimeError:  # Python's: reentrant call inside the stream
            with contextlib.suppress(OSError):
                os.write(sys.stderr.fileno(), f"{text}\n".encode())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now, before = time.monotonic(), self._pressed_at
        self._pressed_at = now
        if now - before < ONE_PRESS_S:
            return
        self._presses += 1
        if self._tearing_down and self._presses == 1:
            self._tell("removing what was built; interrupt once more to leave it (the journal is kept)")
            return
        if self._presses == 1:  # at once: what has been measured is collected first, which takes its seconds
            self._tell("interrupted: ends the trial, then removes what was built; once more leaves it (in the journal)")
        raise Interrupted(signal.Signals(number).name)
