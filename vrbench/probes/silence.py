"""Streams that are silent for a while, on request: what a router's tracking forgets meanwhile. Python >= 3.6.

A flow that a router has bound wrongly stays so for as long as its probes come. Whether that is what ails a dead one
shows when it is silent for longer than the router remembers it, and is then tried again under the same id. The request
is a file beside the log, ``{"streams": [name, ...], "seconds": number}``, and SIGUSR1: an agent that is not asked
looks for nothing. The first slot that is left out is logged as PAUSED, the first that is sent again as RESUMED.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035

import json
import os
import signal
from typing import Any, Dict, List

from vrbench.probes.engine import PAUSED, RESUMED, Log, Prober, monotonic_ns

REQUEST = ".silence"  # after the log's name


def ask(log: str, pid: int, seconds: float, streams: List[str]) -> None:
    """Ask the prober ``pid`` of ``log`` to leave streams silent, by their names."""
    with open(log + REQUEST + ".new", "w") as file:
        json.dump({"streams": streams, "seconds": seconds}, file)
    os.rename(log + REQUEST + ".new", log + REQUEST)
    os.kill(pid, signal.SIGUSR1)


class Silence:
    """Does what is asked of ``prober``, whose streams are given in their order."""

    def __init__(self, prober: Prober, streams: List[Dict[str, Any]], log: Log) -> None:
        self.log = log
        prober.left_out = self.left_out  # type: ignore[method-assign]
        self.numbers = {stream["name"]: number for number, stream in enumerate(streams)}
        self.asked = False
        self.length_ns = 0
        self.until = {}  # type: Dict[int, int]  # when a stream goes on; 0: it is still to fall silent
        signal.signal(signal.SIGUSR1, lambda *_: self.ask())
        log.sources.append(self.look)

    def ask(self) -> None:
        self.asked = True

    def look(self, log: Log) -> None:
        """Read a request, if there is one."""
        if not self.asked:
            return
        self.asked = False
        with open(log.path + REQUEST) as file:
            wanted = json.load(file)
        self.length_ns = int(wanted["seconds"] * 1e9)
        self.until = {self.numbers[name]: 0 for name in wanted["streams"] if name in self.numbers}

    def left_out(self, stream: int, slot: int, due_ns: int) -> bool:
        """Return whether a slot is left out: the first that is, and the first that no longer is, are noted."""
        if stream not in self.until:
            return False
        begun = not self.until[stream]
        if begun:
            self.until[stream] = due_ns + self.length_ns
        elif due_ns >= self.until[stream]:
            del self.until[stream]
        if begun or stream not in self.until:
            self.log.record(PAUSED if begun else RESUMED, stream, 0, slot, monotonic_ns())
        return stream in self.until
