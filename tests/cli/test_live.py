"""The live view: what it shows of every stream, and that it fits whatever terminal it is on."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence

import pytest
from rich.console import Console

from vrbench.cli import live
from vrbench.cli.live import ASCII_GLYPHS, GLYPHS, Layout, LiveScreen, Watched, stream_lines
from vrbench.cli.screen import PlainScreen, Unfailing, make_screen
from vrbench.core.kinds import HEADLINE, ICMP_FRESH, SSH_SYN, ProbeKind
from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.strip import Strip
from vrbench.core.model import Stream

NOW_S = 100.0
NOW_NS = round(NOW_S * 1e9)


def state(vm: str, kind: ProbeKind, up: bool | None = True, since: float = 0.0, judged: float = 99.5) -> StreamState:
    """Make a stream of a VM, up since the start unless said otherwise."""
    stream = Stream(kind.stream_name(vm), kind.direction, kind.probe, kind.flow, "target", 0.1)
    return StreamState("node", stream, up, round(since * 1e9), round(judged * 1e9), 1, int(up is False), 0)


def rows(vms: int, *changed: StreamState) -> dict[str, dict[str, Watched]]:
    """Make streams of so many VMs, all up but for the changed ones."""
    states = {(f"vm{n}", kind): state(f"vm{n}", kind) for n in range(1, vms + 1) for kind in HEADLINE}
    states |= {(s.stream.name.split("/")[1], s.stream.kind): s for s in changed}
    found: dict[str, dict[str, Watched]] = {}
    for (vm, kind), one in states.items():
        strip = Strip()
        if one.up is False:  # it was up until then
            strip.add(state(vm, kind, True, 0.0, one.since_ns / 1e9 - 0.1))
        strip.add(one)
        found.setdefault(vm, {})[kind.key] = Watched(one, strip)
    return found


def shown(vms: int, width: int, height: int, *changed: StreamState) -> list[str]:
    lines = stream_lines(rows(vms, *changed), NOW_NS, Layout(width, height, GLYPHS))
    return [line.plain for line in lines]


@pytest.mark.parametrize(("width", "height"), [(70, 24), (80, 24), (100, 24), (119, 30), (140, 24), (200, 60)])
@pytest.mark.parametrize("vms", [1, 10, 60])
def test_it_fits(vms: int, width: int, height: int) -> None:
    """Every line fits the width, all lines fit the height beside the two above them."""
    lines = shown(vms, width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) + 4 <= height


def test_at_80_columns_streams_of_a_vm_share_a_strip() -> None:
    """The worst of them is drawn, and each says up or down and for how long by itself."""
    down, lost = state("vm2", SSH_SYN, False, 90.0), state("vm1", ICMP_FRESH, True, 0.0, 70.0)
    heading, first, second, legend = shown(2, 80, 24, down, lost)
    assert heading.split() == "VM last minute out new out old in TCP in SSH".split()
    assert first.split() == ["vm1", "▁" * 14 + "░" * 14 + "▁", "no", "news", "up", "up", "up"]
    assert second.split() == ["vm2", "▁" * 24 + "█" * 5, "up", "up", "DOWN", "10.0", "up"]
    assert "each character 2 s" in legend


def test_at_140_columns_each_stream_has_a_strip() -> None:
    """A third as fine."""
    _, line, legend = shown(1, 140, 24, state("vm1", SSH_SYN, False, 88.0))
    assert line.split() == ["vm1", *("▁" * 20, "up") * 2, "▁" * 15 + "█" * 5, "DOWN", "12.0", "▁" * 20, "up"]
    assert "each character 3 s" in legend


def test_vms_without_room_are_counted_and_those_that_are_down_are_shown() -> None:
    """Nothing that is wrong hides behind what is fine."""
    lines = shown(60, 80, 24, state("vm47", SSH_SYN, False, 90.0))
    assert any(line.startswith("vm47 ") for line in lines)
    assert "and 44 more, all up" in lines
    wrong = [state(f"vm{n}", SSH_SYN, False, 90.0) for n in range(1, 31)]
    assert "and 44 more: 14 down" in shown(60, 80, 24, *wrong)


def test_an_ascii_terminal_gets_characters_that_it_has() -> None:
    """And they differ, as they must without colour."""
    assert len(set(GLYPHS.values())) == len(set(ASCII_GLYPHS.values())) == 4
    assert "".join(ASCII_GLYPHS.values()).isascii()


class Terminal:
    """A live view on a terminal that is a string."""

    def __init__(self, width: int, height: int) -> None:
        self.now = 0.0
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=True, width=width, height=height, color_system=None)
        self.screen = LiveScreen(self.console, lambda: self.now)

    def view(self, states: Sequence[StreamState]) -> Iterator[str]:
        self.screen.phase("trial 1 of 3: operating", "recovery of every stream")
        self.screen.label({"198.51.100.1:22": "vm1"})
        self.screen.watch(states, NOW_NS, "running, 4 s")
        return self.now_shown()

    def now_shown(self) -> Iterator[str]:
        with self.console.capture() as captured:
            self.console.print(self.screen._view())
        *lines, last = captured.get().splitlines()
        assert last == "", "the cursor must stand where an echoed ^C breaks no line"
        return iter(lines)


def test_the_view_says_what_is_done_and_what_comes_next() -> None:
    """Phase, next, job and sums; a public end stands in its VM's row."""
    lines = Terminal(80, 24).view([state("vm1", ICMP_FRESH), state("198.51.100.1:22", SSH_SYN, False, 90.0)])
    assert "trial 1 of 3: operating" in (first := next(lines))
    assert "next: recovery of every stream" in first
    assert "job: running, 4 s   egress 1 of 1 up; ingress 0 of 1 up" in next(lines)
    assert [line.split()[0] for line in lines] == ["VM", "vm1", "▁"]


def test_a_narrow_terminal_gets_the_sums() -> None:
    """No table that would be broken."""
    lines = list(Terminal(40, 24).view([state("vm1", ICMP_FRESH)]))
    assert len(lines) == 2
    assert all(len(line) <= 40 for line in lines)


def test_states_of_a_phase_that_is_over_are_not_shown() -> None:
    """Nobody watches while samples are collected."""
    terminal = Terminal(80, 24)
    assert len(list(terminal.view([state("vm1", ICMP_FRESH)]))) > 2
    terminal.now = live.FADED_S + 0.1
    assert len(list(terminal.now_shown())) == 1


@pytest.mark.parametrize(("term", "plain"), [("dumb", True), ("xterm-256color", False)])
def test_a_dumb_terminal_gets_lines(term: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing there can be drawn anew."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")  # it is a terminal, as far as rich can tell
    screen = make_screen(plain=False)
    assert isinstance(screen, Unfailing)
    assert isinstance(screen._screen, PlainScreen) is plain


@pytest.mark.parametrize(("failed", "ticks"), [(False, 2), (True, 1)])
def test_a_phase_that_is_over_leaves_a_line(failed: bool, ticks: int) -> None:
    """With the time it took; one that failed is not ticked off."""
    terminal = Terminal(80, 24)
    with contextlib.suppress(RuntimeError), terminal.screen as screen:
        screen.phase("building", "trial 1")
        terminal.now = 2.5
        screen.phase("removing what was built", "")
        if failed:
            raise RuntimeError
    told = terminal.file.getvalue()
    assert "✓ building 2.5 s" in told
    assert told.count("✓") == ticks
