"""A run's progress as lines of JSON on standard output, for a process that shows more than one run."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

from vrbench.core.log.growing_log import StreamState
from vrbench.core.log.strip import Seen, Strip, summary_words, worst
from vrbench.core.model import Direction
from vrbench.run.silent import SilentScreen

SECONDS = 60  # of a strip
WATCHED = (Direction.EGRESS, Direction.INGRESS)

Event = dict[str, Any]


class Shows(Protocol):
    """What shows several runs: what happens in the run that is called ``word``."""

    def phase(self, word: str, name: str, following: str) -> None: ...

    def doing(self, word: str, text: str) -> None: ...

    def note(self, word: str, text: str) -> None: ...

    def watch(self, word: str, job: str, sums: str, strips: Mapping[str, Sequence[Seen]]) -> None:
        """Show how it stands; ``strips``: by direction, the last minute of the worst of its streams."""


def show(event: Event, word: str, screen: Shows) -> None:
    """Pass on what a line of an ``EventScreen`` tells."""
    (what, told) = next(iter(event.items()))
    if what == "watch":
        strips = {direction: [Seen(int(cell)) for cell in cells] for direction, cells in told["strips"].items()}
        screen.watch(word, told["job"], told["sums"], strips)
    elif what in ("phase", "doing", "note"):
        getattr(screen, what)(word, *told)


class EventScreen(SilentScreen):
    """Tells everything (port ``core.ports.RunScreen``)."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        # What works in threads tells of it in threads; and a signal's handler may tell in the middle of telling.
        self._turn = threading.RLock()
        self._strips: dict[tuple[str, str], Strip] = {}

    def phase(self, name: str, following: str) -> None:
        self._tell({"phase": [name, following]})

    def doing(self, text: str) -> None:
        self._tell({"doing": [text]})

    def note(self, text: str) -> None:
        self._tell({"note": [text]})

    def watch(self, states: Sequence[StreamState], now_ns: int, job: str) -> None:
        for state in states:
            self._strips.setdefault((state.node, state.stream.name), Strip()).add(state)
        strips = {direction.value: self._cells(states, direction, now_ns) for direction in WATCHED}
        self._tell({"watch": {"job": job, "sums": summary_words(states, now_ns), "strips": strips}})

    def _cells(self, states: Sequence[StreamState], direction: Direction, now_ns: int) -> str:
        strips = [
            self._strips[state.node, state.stream.name].cells(now_ns, SECONDS, 1)
            for state in states
            if state.stream.direction is direction and state.stream.kind.headline
        ]
        return "".join(str(int(seen)) for seen in worst(strips))

    def _tell(self, event: Event) -> None:
        with self._turn:
            self._out.write(json.dumps(event) + "\n")
            self._out.flush()
