"""Progress: a live view on a terminal, plain lines elsewhere. Always on stderr; results go to stdout."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from vrbench.core.log.live import StreamState
from vrbench.core.model import Direction

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FLOW_COLUMNS = (
    ("fresh", "out, new flows"),
    ("persistent", "out, old flow"),
    ("syn", "in, TCP"),
    ("banner", "in, SSH"),
)
NEWS_S = 3.0


class RunScreen(Protocol):
    """What a run shows while it goes on; also the main path's ``Screen`` port.

    ``label`` says which row a public end ("address:port") belongs to, once that is known; ``doing`` what a long phase
    is at, ``note`` something worth keeping.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def label(self, rows: Mapping[str, str]) -> None: ...
    def phase(self, name: str, following: str) -> None: ...
    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None: ...
    def doing(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...


def make_screen(plain: bool) -> RunScreen:
    """The live view where stderr is a terminal, plain lines otherwise."""
    from vrbench.cli.console import PatientConsole

    console = PatientConsole(stderr=True)
    return Unfailing(PlainScreen(console) if plain or not console.is_terminal else LiveScreen(console))


class Unfailing:
    """Passes everything on; a terminal that is gone or a pipe that is closed must not end what goes on behind it."""

    def __init__(self, screen: RunScreen) -> None:
        self._screen = screen

    def __enter__(self) -> Self:
        self._try(self._screen.__enter__)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._try(self._screen.__exit__, kind, error, tb)

    def label(self, rows: Mapping[str, str]) -> None:
        self._try(self._screen.label, rows)

    def phase(self, name: str, following: str) -> None:
        self._try(self._screen.phase, name, following)

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        self._try(self._screen.watch, states, now_ns, job)

    def doing(self, text: str) -> None:
        self._try(self._screen.doing, text)

    def note(self, text: str) -> None:
        self._try(self._screen.note, text)

    def _try(self, show: Callable[..., object], *arguments: object) -> None:
        with contextlib.suppress(OSError):
            show(*arguments)


class PlainScreen:
    """One line per phase, note and change of the network's state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def label(self, rows: Mapping[str, str]) -> None:
        return None

    def phase(self, name: str, following: str) -> None:
        self._line(f"{name} (next: {following})" if following else name)

    def doing(self, text: str) -> None:
        self._line(f"  {text}")

    def note(self, text: str) -> None:
        self._line(f"  {text}")

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        words = summary_words(states, now_ns)
        if words != self._last:
            self._last = words
            self._line(f"  {words}; job {job}")

    def _line(self, text: str) -> None:
        elapsed = time.monotonic() - self._begun
        self._console.print(f"{elapsed:7.1f} s  {text}", markup=False, highlight=False, soft_wrap=True)


class LiveScreen:
    """Phase, elapsed time and what comes next; per VM and stream: up or down now, and for how long in all.

    Words from outside (a server's errors, names) are never read as markup.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._rows: Mapping[str, str] = {}
        self._begun = self._phase_begun = time.monotonic()
        self._phase, self._following, self._doing = "starting", "", ""
        self._states: Sequence[StreamState] = ()
        self._now_ns, self._job = 0, ""
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def label(self, rows: Mapping[str, str]) -> None:
        self._rows = rows

    def phase(self, name: str, following: str) -> None:
        from rich.text import Text

        now = time.monotonic()
        if self._phase != "starting":
            took = f" {now - self._phase_begun:.1f} s"
            self._console.print(Text.assemble(("✓ ", "green"), self._phase, (took, "dim")))
        self._phase, self._following, self._phase_begun = name, following, now
        self._states, self._doing = (), ""

    def doing(self, text: str) -> None:
        self._doing = text

    def note(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False, highlight=False)

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        self._states, self._now_ns, self._job = states, now_ns, job

    def _view(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        following = f"; next: {self._following}" if self._following else ""
        run = f"  (run {now - self._begun:.0f} s{following})"
        outer = Table.grid(padding=(0, 1))
        outer.add_row(Text.assemble((self._phase, "bold"), f"  {now - self._phase_begun:.0f} s", (run, "dim")))
        if self._doing:
            outer.add_row(Text(f"  {self._doing}"))
        if self._states:
            outer.add_row(Text(f"job: {self._job}   {summary_words(self._states, self._now_ns)}"))
            outer.add_row(self._streams())
        return outer

    def _streams(self) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("VM")
        for _, title in FLOW_COLUMNS:
            table.add_column(title, justify="right")
        cells: dict[str, dict[str, str]] = {}
        for state in self._states:
            if state.stream.direction is not Direction.CONTROL:
                place = state.stream.name.split("/")[1]
                cells.setdefault(self._rows.get(place, place), {})[state.stream.flow] = _cell(state, self._now_ns)
        for row in sorted(cells, key=_natural):
            table.add_row(row, *(cells[row].get(flow, "") for flow, _ in FLOW_COLUMNS))
        return table


def _cell(state: StreamState, now_ns: int) -> str:
    """Up or down now, the present window and the total so far; a guest that can't be reached can't be asked."""
    total_s = state.down_ns / 1e9
    if state.up is None:
        return "[dim]waiting[/]"
    if is_old(state, now_ns):
        return f"[dim]no news {(now_ns - state.judged_ns) / 1e9:.0f} s[/]"
    if state.up:
        return f"[green]up[/] {total_s:.1f} s" if total_s else "[green]up[/]"
    present_s = max(0.0, (now_ns - state.since_ns) / 1e9)
    earlier = f" ({total_s + present_s:.1f} in all)" if total_s else ""
    return f"[bold red]DOWN[/] {present_s:.1f} s{earlier}"


def is_old(state: StreamState, now_ns: int) -> bool:
    """Whether the newest judged probe of a stream is too long ago to speak of now."""
    return (now_ns - state.judged_ns) / 1e9 > NEWS_S


def summary_words(states: Sequence[StreamState], now_ns: int) -> str:
    """ "egress 18 of 20 up, 2 without news; ingress 0 of 20 up"."""
    words = []
    for direction in (Direction.EGRESS, Direction.INGRESS):
        here = [s for s in states if s.stream.direction is direction and s.stream.counts]
        old = sum(is_old(s, now_ns) for s in here)
        up = sum(bool(s.up) and not is_old(s, now_ns) for s in here)
        if here:
            words.append(f"{direction.value} {up} of {len(here)} up{f', {old} without news' if old else ''}")
    return "; ".join(words) or "no stream yet"


def _natural(name: str) -> tuple[str, int]:
    """Sort vm2 before vm10."""
    digits = "".join(c for c in name if c.isdigit())
    return name.rstrip("0123456789"), int(digits or 0)
