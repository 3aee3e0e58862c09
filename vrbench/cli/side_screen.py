"""How several runs at once are shown: a few lines for each on a terminal, one line per event elsewhere.

On stderr, like the screen of a single run. It fits 80 by 24, and can be read without colour.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vrbench.cli.live import ASCII_GLYPHS, GLYPHS, draw_strip
from vrbench.core.log.strip import Seen

STRIP_LABEL = 9


@dataclass
class _Shown:
    """What is shown of one run."""

    phase: str = "starting its lab"
    following: str = "checking the cloud"
    begun: float = 0.0
    doing: str = ""
    sums: str = ""
    strips: Mapping[str, Sequence[Seen]] = field(default_factory=dict)


class SideScreen:
    """Shows several runs (``events.Shows``); ``live``: as a view drawn anew, else as lines."""

    def __init__(self, console: Console, words: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._begun = console, clock, clock()
        self._shown = {word: _Shown(begun=self._begun) for word in words}
        self._width = max(map(len, words))
        self._live: Live | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw the view for as long as the block lasts, or until ``settle``."""
        with contextlib.suppress(OSError):
            self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        try:
            yield
        finally:
            self.settle()

    def settle(self) -> None:
        """Draw no view any more: lines only."""
        if self._live:
            with contextlib.suppress(OSError):
                self._live.stop()
        self._live = None

    def phase(self, word: str, name: str, following: str) -> None:
        shown, now = self._shown[word], self._clock()
        if self._live:
            self._say(word, f"{shown.phase} {now - shown.begun:.1f} s", "✓ " if self._unicode else "* ")
        else:
            self._say(word, f"{name} (next: {following})" if following else name)
        self._shown[word] = _Shown(name, following, now, strips=shown.strips)

    def doing(self, word: str, text: str) -> None:
        self._shown[word].doing = text
        if not self._live:
            self._say(word, f"  {text}")

    def note(self, word: str, text: str) -> None:
        self._say(word, f"  {text}")

    def watch(self, word: str, job: str, sums: str, strips: Mapping[str, Sequence[Seen]]) -> None:
        shown = self._shown[word]
        if not self._live and sums != shown.sums:
            self._say(word, f"  {sums}; job {job}")
        shown.sums, shown.strips = sums, strips

    def paragraph(self, words: str) -> None:
        """Print words that are about all runs, in lines of the terminal's width; none for no words."""
        if words:
            with contextlib.suppress(OSError):
                self._console.print(Text(words))

    def _say(self, word: str, text: str, tick: str = "") -> None:
        lead = Text(tick, style="green") if self._live else Text(f"{self._clock() - self._begun:7.1f} s  ")
        line = Text.assemble(lead, (word.ljust(self._width), "bold" if self._live else ""), f"  {text}")
        with contextlib.suppress(OSError):
            self._console.print(line, highlight=False, soft_wrap=not self._live)

    def _view(self) -> Group:
        lines = [line for word, shown in self._shown.items() for line in self._side(word, shown)]
        legend = Text(style="dim")
        for seen, meaning in ((Seen.UP, "up"), (Seen.DOWN, "down"), (Seen.NOT_SEEN, "not seen")):
            legend.append(f"{self._glyphs[seen]} {meaning}  ")
        lines.append(legend.append(f"worst of the streams, a character a second   {self._clock() - self._begun:.0f} s"))
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines, Text())

    def _side(self, word: str, shown: _Shown) -> Iterator[Text]:
        following = f"   next: {shown.following}" if shown.following else ""
        at = f"  {self._clock() - shown.begun:.0f} s"
        yield Text.assemble((word.ljust(self._width), "bold"), f"  {shown.phase}", (at + following, "dim"))
        room = max(10, self._console.width - self._width - 2 - STRIP_LABEL)
        for direction, cells in shown.strips.items():
            line = Text(" " * (self._width + 2) + direction.ljust(STRIP_LABEL))
            draw_strip(line, cells[-room:], self._glyphs)
            yield line
        yield Text(" " * (self._width + 2) + (shown.sums or shown.doing), style="dim")

    @property
    def _unicode(self) -> bool:
        return self._console.encoding.lower().startswith("utf")

    @property
    def _glyphs(self) -> Mapping[Seen, str]:
        return GLYPHS if self._unicode else ASCII_GLYPHS
