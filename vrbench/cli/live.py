"""The live view: what is done and what comes next; per VM and stream the last minute, up or down now, and the total.

It fits 80 by 24: streams of a VM share a strip where a terminal is too narrow for one each, and VMs that don't fit are
counted. It can be read without colour. Words from outside (a server's errors, names) are never read as markup.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vrbench.core.kinds import KINDS
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.strip import Seen, Strip, is_old, summary_words, worst
from vrbench.core.model import Direction

COLUMNS = {kind.key: kind.labels.column for kind in KINDS if kind.labels.column}
MINUTE_S = 60
STRIP_LENGTHS = (60, 30, 20, 15, 12, 10)  # cells of a minute: whole seconds each
WIDE_LENGTHS = STRIP_LENGTHS[:4]  # below that a strip per stream tells too little
NARROWEST = 70  # columns; below them there is room for the sums only
WORD = 9  # of a stream's state: "DOWN 12.3"
OTHER_LINES = 7  # of the view beside the VMs
FADED_S = 1.5  # states this old belong to a phase that is over
GLYPHS = {Seen.NOTHING_YET: " ", Seen.UP: "▁", Seen.NOT_SEEN: "░", Seen.DOWN: "█"}
ASCII_GLYPHS = {Seen.NOTHING_YET: " ", Seen.UP: "_", Seen.NOT_SEEN: "?", Seen.DOWN: "#"}
STYLES = {Seen.NOTHING_YET: "", Seen.UP: "green", Seen.NOT_SEEN: "yellow", Seen.DOWN: "bold red"}


@dataclass(frozen=True, slots=True)
class Watched:
    """One stream as it is watched."""

    state: StreamState
    strip: Strip

    def is_down(self, now_ns: int) -> bool:
        return self.state.up is False and not self.state.unfit and not is_old(self.state, now_ns)

    def is_up(self, now_ns: int) -> bool:
        return self.state.unfit or (bool(self.state.up) and not is_old(self.state, now_ns))


Rows = Mapping[str, Mapping[str, Watched]]  # name of the VM or public end -> key of the kind -> stream


@dataclass(frozen=True, slots=True)
class Layout:
    """How much room there is, and with which characters strips are drawn."""

    width: int
    height: int
    glyphs: Mapping[Seen, str]

    def strip_each(self, name: int, columns: int) -> int:
        """Return the length of a strip of each stream, 0 where they must share one."""
        room = (self.width - name) // max(1, columns) - WORD - 4
        return next((n for n in WIDE_LENGTHS if n <= room), 0)

    def strip_shared(self, name: int, columns: int) -> int:
        """Return the length of a strip of each VM."""
        room = self.width - name - 2 - columns * (WORD + 2)
        return next((n for n in STRIP_LENGTHS[1:] if n <= room), STRIP_LENGTHS[-1])


def stream_lines(rows: Rows, now_ns: int, layout: Layout) -> list[Text]:
    """Return the table of streams, heading and legend with it, in no more lines than there is room for."""
    if not rows or layout.width < NARROWEST:
        return []
    kinds = [kind for kind in COLUMNS if any(kind in streams for streams in rows.values())]
    name = max(len("VM"), *map(len, rows))
    each = layout.strip_each(name, len(kinds))
    length = each or layout.strip_shared(name, len(kinds))
    shown, folded = _fitting(rows, now_ns, max(3, layout.height - OTHER_LINES))
    lines = [_heading(name, kinds, length, bool(each))]
    for row in shown:
        lines.append(
            _row(row.ljust(name), [rows[row].get(kind) for kind in kinds], now_ns, (length, bool(each), layout.glyphs))
        )
    if folded:
        lines.append(Text(_folded([rows[row] for row in folded], now_ns), style="dim"))
    return [*lines, _legend(length, layout.glyphs)]


def _fitting(rows: Rows, now_ns: int, room: int) -> tuple[list[str], list[str]]:
    """Choose the rows to show, and those only to count: what is not up is shown first."""
    names = sorted(rows, key=_natural)
    if len(names) <= room:
        return names, []
    urgent = sorted(names, key=lambda name: (_urgency(rows[name], now_ns), _natural(name)))
    kept = set(urgent[: room - 1])
    return [n for n in names if n in kept], [n for n in names if n not in kept]


def _urgency(streams: Mapping[str, Watched], now_ns: int) -> int:
    if any(s.is_down(now_ns) for s in streams.values()):
        return 0
    return 2 if all(s.is_up(now_ns) for s in streams.values()) else 1


def _folded(rows: Sequence[Mapping[str, Watched]], now_ns: int) -> str:
    """Word the rest: "and 40 more, all up", "and 40 more: 3 down, 1 without news"."""
    urgencies = [_urgency(streams, now_ns) for streams in rows]
    told = [f"{urgencies.count(u)} {word}" for u, word in ((0, "down"), (1, "without news")) if u in urgencies]
    return f"and {len(rows)} more{': ' + ', '.join(told) if told else ', all up'}"


def _heading(name: int, kinds: Sequence[str], length: int, each: bool) -> Text:
    if each:
        return Text("VM".ljust(name) + "".join(f"  {COLUMNS[kind]:{length + 1 + WORD}}" for kind in kinds), style="dim")
    minute = "last minute"[:length].ljust(length)
    return Text(f"{'VM':{name}}  {minute}" + "".join(f"  {COLUMNS[kind]:>{WORD}}" for kind in kinds), style="dim")


def _row(
    name: str, streams: Sequence[Watched | None], now_ns: int, drawn: tuple[int, bool, Mapping[Seen, str]]
) -> Text:
    """Draw one VM: its strip and the states of its streams, or each stream with a strip of its own."""
    length, each, glyphs = drawn
    line = Text(name)
    strips = [s.strip.cells(now_ns, length, MINUTE_S // length) if s else () for s in streams]
    if not each:
        line.append("  ")
        draw_strip(line, worst(cells for cells in strips if cells), glyphs)
    for stream, cells in zip(streams, strips, strict=True):
        line.append("  ")
        if each:
            draw_strip(line, cells or (Seen.NOTHING_YET,) * length, glyphs)
            line.append(" ")
        word, style = _word(stream.state, now_ns) if stream else ("", "")
        line.append(f"{word:{'<' if each else '>'}{WORD}}", style)
    return line


def draw_strip(line: Text, cells: Sequence[Seen], glyphs: Mapping[Seen, str]) -> None:
    """Append a strip, a span for each stretch that is alike."""
    begin = 0
    for end in range(1, len(cells) + 1):
        if end == len(cells) or cells[end] is not cells[begin]:
            line.append(glyphs[cells[begin]] * (end - begin), STYLES[cells[begin]])
            begin = end


def _word(state: StreamState, now_ns: int) -> tuple[str, str]:
    """Say up or down now and for how many seconds in all; a guest that can't be reached can't be asked."""
    total_s = state.down_ns / 1e9
    if state.unfit:
        return "left out", "dim"
    if state.up is None:
        return "waiting", "dim"
    if is_old(state, now_ns):
        return "no news", "yellow"
    if state.up:
        return (f"up {_seconds(total_s)}" if total_s else "up"), "green"
    return f"DOWN {_seconds(total_s + max(0.0, (now_ns - state.since_ns) / 1e9))}", "bold red"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _legend(length: int, glyphs: Mapping[Seen, str]) -> Text:
    """Explain the characters and the figures."""
    words = {Seen.UP: "up", Seen.DOWN: "down", Seen.NOT_SEEN: "not seen"}
    line = Text(style="dim")
    for seen, word in words.items():
        line.append(glyphs[seen], STYLES[seen])
        line.append(f" {word}  ")
    return line.append(f"each character {MINUTE_S // length} s; figures: seconds down")


def _natural(name: str) -> tuple[str, int]:
    """Sort vm2 before vm10."""
    digits = name[len(name.rstrip("0123456789")) :]
    return name.removesuffix(digits), int(digits or 0)


class LiveScreen:
    """The view on a terminal, drawn anew four times a second (port ``core.ports.RunScreen``)."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._labels: Mapping[str, str] = {}
        self._begun = self._phase_begun = clock()
        self._phase = self._following = self._doing = self._job = ""
        self._watched: dict[tuple[str, str], Watched] = {}
        self._now_ns, self._watched_at = 0, -math.inf
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()
        if kind is None:
            self._tick_off()

    def label(self, rows: Mapping[str, str]) -> None:
        self._labels = rows

    def phase(self, name: str, following: str) -> None:
        self._tick_off()
        self._phase, self._following, self._phase_begun = name, following, self._clock()
        self._doing = ""

    def _tick_off(self) -> None:
        """Leave a line for the phase that is over."""
        if self._phase:
            took = f" {self._clock() - self._phase_begun:.1f} s"
            tick = "✓" if self._unicode else "*"
            self._console.print(Text.assemble((f"{tick} ", "green"), self._phase, (took, "dim")))

    def doing(self, text: str) -> None:
        self._doing = text

    def note(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False, highlight=False)

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        before, self._watched = self._watched, {}
        for state in states:
            if state.stream.direction in (Direction.EGRESS, Direction.INGRESS):
                key = (state.node, state.stream.name)
                strip = before[key].strip if key in before else Strip()
                strip.add(state)
                self._watched[key] = Watched(state, strip)
        self._now_ns, self._job, self._watched_at = now_ns, job, self._clock()

    def _view(self) -> Group:
        now = self._clock()
        following = f"   next: {self._following}" if self._following else ""
        run = f"{following}   run {now - self._begun:.0f} s"
        lines = [Text.assemble((self._phase or "starting", "bold"), f"  {now - self._phase_begun:.0f} s", (run, "dim"))]
        if self._doing:
            lines.append(Text(f"  {self._doing}"))
        watched = tuple(self._watched.values())
        if watched and now - self._watched_at < FADED_S:
            sums = summary_words([w.state for w in watched], self._now_ns)
            lines.append(Text(f"job: {self._job}   {sums}"))
            lines += stream_lines(self._rows(), self._now_ns, self._layout())
        for line in lines:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines, Text())  # a terminal echoes ^C at the end: on a full line it would wrap, and stay

    @property
    def _unicode(self) -> bool:
        return self._console.encoding.lower().startswith("utf")

    def _layout(self) -> Layout:
        return Layout(self._console.width, self._console.height, GLYPHS if self._unicode else ASCII_GLYPHS)

    def _rows(self) -> Rows:
        rows: dict[str, dict[str, Watched]] = {}
        for watched in self._watched.values():
            place = watched.state.stream.place
            kind = watched.state.stream.kind.key
            if kind in COLUMNS:
                rows.setdefault(self._labels.get(place, place), {})[kind] = watched
        return rows
