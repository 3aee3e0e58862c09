"""Progress: a live view on a terminal, plain lines elsewhere. Always on stderr; results go to stdout."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.strip import summary_words
from vrbench.core.ports import RunScreen
from vrbench.core.text import visible
from vrbench.run.silent import SilentScreen

if TYPE_CHECKING:
    from rich.console import Console


SILENCE_S = 20.0  # then a line says that the same goes on


class ShownScreen(RunScreen, Protocol):
    """A run's screen that is there for as long as a block lasts."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...


def make_screen(plain: bool) -> ShownScreen:
    """Return the live view where stderr is a terminal that can show it, plain lines otherwise."""
    from vrbench.cli.console import TextConsole

    console = TextConsole(stderr=True)
    if plain or not console.can_draw:
        return Unfailing(PlainScreen(console))
    from vrbench.cli.live import LiveScreen

    return Unfailing(LiveScreen(console))


class Unfailing:
    """Passes everything on; a terminal that is gone or a pipe that is closed must not end what goes on behind it.

    Each phase and note is one line: what a cloud says can't pass for another of ours.
    """

    def __init__(self, screen: ShownScreen) -> None:
        self._screen = screen

    def __enter__(self) -> Self:
        self._try(self._screen.__enter__)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._try(self._screen.__exit__, kind, error, tb)

    def label(self, rows: Mapping[str, str]) -> None:
        self._try(self._screen.label, rows)

    def phase(self, name: str, following: str) -> None:
        self._try(self._screen.phase, visible(name), visible(following))

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        self._try(self._screen.watch, states, now_ns, job)

    def doing(self, text: str) -> None:
        self._try(self._screen.doing, visible(text))

    def note(self, text: str) -> None:
        self._try(self._screen.note, visible(text))

    def _try(self, show: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(OSError):
            show(*arguments)


class PlainScreen(SilentScreen):
    """One line per phase, note and change of the network's state; in a long silence, one that says what goes on."""

    def __init__(self, console: Console, silence_s: float = SILENCE_S) -> None:
        self._console = console
        self._silence_s = silence_s
        self._begun = self._spoke = time.monotonic()
        self._last = self._phase = self._doing = ""
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()

    def phase(self, name: str, following: str) -> None:
        self._phase, self._doing = name, ""
        self._line(f"{name} (next: {following})" if following else name)

    def doing(self, text: str) -> None:
        self._doing = text
        self._line(f"  {text}")

    def note(self, text: str) -> None:
        self._line(f"  {text}")

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        words = summary_words(states, now_ns)
        if words != self._last:
            self._last = words
            self._line(f"  {words}; job {job}")

    def _break_silence(self) -> None:
        """Say now and then that the same is still going on; a log that stands still looks like one that hangs."""
        while not self._ended.wait(max(0.1, self._spoke + self._silence_s - time.monotonic())):
            if self._phase and time.monotonic() - self._spoke >= self._silence_s:
                self._line(f"  still {': '.join(filter(None, (self._phase, self._doing)))}")

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        elapsed = self._spoke - self._begun
        self._console.print(f"{elapsed:7.1f} s  {text}", markup=False, highlight=False, soft_wrap=True)
