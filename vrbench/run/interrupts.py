"""Ctrl-C and its relatives: the first one ends the measuring, a second one everything.

A signal raises ``Interrupted`` in the main thread, but only while a stage is under way that is ready for it. Between
the stages it is remembered, so that it can't get lost and can't skip the removal. Where Python drops it, as it drops
whatever is raised while an object is cleared away, the same signal comes once more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import Any, Self

from vrbench.run.errors import Interrupted

HANDLED = tuple(s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP"))  # Windows lacks the last
ONCE_MORE_S = 0.05
ONE_PRESS_S = 0.25  # one Ctrl-C may come twice, from the terminal's group and passed on; no hand presses faster
AGAIN = "Press Ctrl-C again to quit now and clean up later."
STOPPING = f"interrupted: measuring ends now; then what was built is removed (kept with --keep). {AGAIN}"
REMOVING = f"removing what was built. {AGAIN}"


def heeded() -> tuple[signal.Signals, ...]:
    """Return the signals that are handled here: one that was ignored at the start (nohup) stays ignored."""
    return tuple(s for s in HANDLED if signal.getsignal(s) is not signal.SIG_IGN)


class _Stage(Enum):
    BETWEEN = auto()
    MEASURING = auto()
    REMOVING = auto()


class Interrupts:
    """Handles the signals that end a run, as a context manager; ``clock`` tells seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._presses = 0
        self._pressed_at = float("-inf")
        self._stage = _Stage.BETWEEN
        self._answer = STOPPING
        self._before: dict[int, Any] = {}
        self._hook = sys.unraisablehook
        self._number = signal.SIGINT
        self._dropped = False

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._handle) for s in heeded()}
        self._hook, sys.unraisablehook = sys.unraisablehook, self._look_for_dropped
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Let every signal raise Interrupted in this block, also one that came before it."""
        try:
            self._stage = _Stage.MEASURING
            if self._presses:
                raise Interrupted
            yield
        finally:
            self._stage = _Stage.BETWEEN

    @contextmanager
    def removing(self) -> Iterator[None]:
        """Let the second signal raise Interrupted in this block, also one that came before it.

        The first one is answered with a sentence, and the removal goes on.
        """
        try:
            self._stage, self._answer = _Stage.REMOVING, REMOVING
            if self._presses > 1:
                raise Interrupted
            yield
        finally:
            self._stage = _Stage.BETWEEN

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._dropped:
            self._dropped = False
        elif not self._is_new():
            return
        self._number = signal.Signals(number)
        if self._stage is _Stage.MEASURING or (self._stage is _Stage.REMOVING and self._presses > 1):
            raise Interrupted(signal.Signals(number).name)

    def _is_new(self) -> bool:
        """Count a press, and answer the first; return whether it is one of its own."""
        now, before = self._clock(), self._pressed_at
        self._pressed_at = now
        if now - before < ONE_PRESS_S:
            return False
        self._presses += 1
        if self._presses == 1:  # at once: what has been measured is collected first, which takes its seconds
            self._tell(self._answer)
        return True

    def _look_for_dropped(self, seen: sys.UnraisableHookArgs) -> None:
        """Have a signal come once more whose exception Python is dropping just now; show all else as before."""
        if not isinstance(seen.exc_value, Interrupted):
            self._hook(seen)
            return
        self._dropped, main = True, threading.main_thread().ident
        threading.Timer(ONCE_MORE_S, signal.pthread_kill, (main, self._number)).start()

    def _tell(self, text: str) -> None:
        """Say it, also where the signal came in the middle of a line that was being written to the same stream."""
        try:
            self._say(text)
        except RuntimeError:  # Python's: reentrant call inside the stream
            with contextlib.suppress(OSError):
                os.write(sys.stderr.fileno(), f"{text}\n".encode())
