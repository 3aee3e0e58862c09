"""The machines of a lab inherit no signal that is ignored: they are machines of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from vrbench.lab import box


def test_the_box_ignores_nothing_that_was_ignored_where_it_was_started(tmp_path: Path) -> None:
    """A run under nohup, or in the background of a script: its guests end their processes by these signals."""
    log = tmp_path / "log"
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with log.open("wb") as out:
            os.waitpid(box.spawn(["/bin/sh", "-c", "grep SigIgn /proc/self/status"], (), out.fileno()), 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    ignored = int(log.read_text().split()[1], 16)
    assert [number for number in before if ignored >> (number - 1) & 1] == []
