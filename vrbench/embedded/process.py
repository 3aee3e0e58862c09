"""The embedded lab around a process: start it, run a command inside its outside world, take it down."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vrbench.core.plan.tables import LabTable
from vrbench.lab import lifecycle, presets
from vrbench.lab.status import LabOptions, LabStatus
from vrbench.lab.system.syscalls import die_with_parent
from vrbench.lab.timing import Timing
from vrbench.private import child_environment
from vrbench.run.interrupts import heeded

NODE = "upstream"
LOOK_S = 0.2
BUILD_SCALE = 0.01  # until the first restart: how long routers take for their first start is in no figure


class NotStarted(Exception):
    """A signal came before the command inside the lab was started."""


def run_in_lab(
    lab: LabTable, state: Path, command: Callable[[LabStatus], Sequence[str]], timeout_s: float | None = None
) -> int:
    """Start a lab in ``state``, run a command inside it, end the lab; return the command's exit code.

    After ``timeout_s`` the command gets SIGTERM, so that it ends in good order. The lab ends with this process, however
    that ends. Raises LabError when the lab does not come up, NotStarted when a signal came first.
    """
    options = lab_options(lab)
    with kept_signals() as pass_on:
        status = lifecycle.up(state, options, lifeline=True)
        try:
            argv = lifecycle.enter(state, NODE, command(status))
            if pass_on:
                raise NotStarted
            return _wait(argv, pass_on, timeout_s)
        finally:
            lifecycle.down(state)


def lab_options(lab: LabTable) -> LabOptions:
    """Return how a lab starts; an empty preset is the lab's own times."""
    return LabOptions(
        strategy=lab.restart_strategy,
        server_version=lab.server_version,
        time_scale=lab.time_scale,
        build_scale=min(lab.time_scale, BUILD_SCALE),
        timing=presets.load(lab.preset).timing if lab.preset else Timing(),
        rule_cost_s=lab.rule_cost,
    )


def end_with_parent() -> None:
    """Have this process end in good order when the one that started it does, however that ends."""
    die_with_parent(signal.SIGTERM)


def _wait(argv: Sequence[str], pass_on: list[int], timeout_s: float | None) -> int:
    """Run a command to its end, and pass on the signals that arrive meanwhile."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    child = subprocess.Popen(argv, env=child_environment())
    while True:
        try:
            return child.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            if until is not None and time.monotonic() >= until:
                until = None
                pass_on.append(signal.SIGTERM)
            while pass_on:
                child.send_signal(pass_on.pop(0))


@contextmanager
def kept_signals() -> Iterator[list[int]]:
    """Collect signals: they neither end this process nor are lost, for what was started must tear down."""
    received: list[int] = []
    before = {n: signal.signal(n, lambda number, _: received.append(number)) for n in heeded()}
    try:
        yield received
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
