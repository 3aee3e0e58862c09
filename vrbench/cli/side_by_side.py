"""Several runs at once, each in a process of its own on a lab of its own: started, watched, told to end, awaited."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrbench.cli.ending import Ending
from vrbench.cli.events import Event, Shows, show
from vrbench.cli.exits import Exit
from vrbench.core.figures.results import RunState
from vrbench.core.plan.plan import Plan
from vrbench.embedded.process import kept_signals
from vrbench.private import child_environment
from vrbench.run.interrupts import HANDLED
from vrbench.store.codec import decode
from vrbench.store.directory import RunDir
from vrbench.store.files import StoreError, read_json

LOOK_S = 0.2


@dataclass
class Side:
    """One of the runs, by the word that it is called; ``ending`` is None until it is over."""

    word: str
    profile: str
    plan: Plan
    reports: Path
    ending: Ending | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def store(self) -> RunDir:
        return RunDir(self.reports / self.plan.run_id)

    def measured(self) -> bool:
        """Return whether all its trials are on disk; what is built may still be there."""
        try:
            return bool(read_json(self.store.path / "run.json")["state"] == RunState.DONE)
        except (StoreError, KeyError):
            return False

    @property
    def argv(self) -> list[str]:
        """The command that carries the run out (``cli.side``)."""
        count = str(self.plan.profile.trials.count)
        told = (self.profile, count, self.plan.run_id, str(self.reports))
        return [sys.executable, "-m", "vrbench.cli.side", *told]

    def start(self, events: queue.SimpleQueue[tuple[Side, Event | None]]) -> None:
        """Start its process, in a session of its own: what the terminal sends is passed on by this process."""
        self._process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(events,), daemon=True).start()

    def send(self, number: int) -> None:
        """Pass a signal on, if it still runs."""
        assert self._process is not None
        self._process.send_signal(number)

    def take(self, event: Event | None, screen: Shows) -> None:
        """Show an event; the last one, and the end without one, is how it ended."""
        assert self._process is not None
        if event is None:
            code = self._process.wait()
            told = (
                Ending(Exit.NOT_VALID, interrupted=True)
                if -code in HANDLED
                else Ending(Exit.FAILED, f"the {self.word} run ended early (exit code {code})")
            )
            self.ending = self.ending or told
        elif "ending" in event:
            self.ending = decode(Ending, event["ending"], self.store.path)
        else:
            show(event, self.word, screen)

    def _read(self, events: queue.SimpleQueue[tuple[Side, Event | None]]) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                event = json.loads(line)
                if not (isinstance(event, dict) and event):
                    raise ValueError("no event")
                events.put((self, event))
            except ValueError:  # somebody else's words: they end nothing
                events.put((self, {"note": [line.decode(errors="replace").rstrip()]}))
        events.put((self, None))


def carry_out(sides: Sequence[Side], screen: Shows, measured: Callable[[Side], None]) -> None:
    """Carry all out; ``measured`` is told each as soon as its trials are on disk, before what was built is removed.

    Signals reach all of them. When one fails or is interrupted, the others are told to end. Raises NotPrivate or
    StoreError, before any is started, where their directories can't be.
    """
    for side in sides:
        RunDir.create(side.reports, side.plan.run_id, 0)
    events: queue.SimpleQueue[tuple[Side, Event | None]] = queue.SimpleQueue()
    running, measuring = list(sides), list(sides)
    with kept_signals() as received:
        for side in sides:
            side.start(events)
        while running:
            _pass_on(received, running)
            try:
                side, event = events.get(timeout=LOOK_S)
            except queue.Empty:
                continue
            side.take(event, screen)
            if event is None:
                running.remove(side)
                _end_others(side, running)
            elif "phase" in event and side in measuring and side.measured():
                measuring.remove(side)
                measured(side)


def _pass_on(received: list[int], running: Sequence[Side]) -> None:
    while received:
        number = received.pop(0)
        for side in running:
            side.send(number)


def _end_others(ended: Side, running: Sequence[Side]) -> None:
    """Tell the others to end in good order, where this one leaves nothing to compare them with."""
    assert ended.ending is not None
    if ended.ending.code >= Exit.FAILED or ended.ending.interrupted:
        for side in running:
            side.send(signal.SIGTERM)
