"""The embedded lab around a command: start it, run the harness inside its outside world, take it down.

The harness inside is the production one: it finds an endpoint and keys in a cloudstack.ini, as anywhere, and its probes
start where it runs. Only the wiring here knows that there is a lab.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vrbench.cli.exits import Exit
from vrbench.cli.signals import HANDLED
from vrbench.core.plan.profile import LabTable
from vrbench.lab import lifecycle, presets
from vrbench.lab.status import LabOptions, LabStatus
from vrbench.lab.timing import Timing

NODE = "upstream"


def run_boxed(lab: LabTable, state: Path, arguments: Sequence[str]) -> int:
    """Start a lab in ``state``, run ``vrbench ARGUMENTS --inside STATE`` in it, end it; returns the exit code.

    The lab ends with this process, however that ends. Raises LabError when it does not come up.
    """
    options = lab_options(lab)
    with _deferred() as pass_on:
        status = lifecycle.up(state, options, lifeline=True)
        try:
            return _inside(status, state, arguments, pass_on)
        finally:
            lifecycle.down(state)


def lab_options(lab: LabTable) -> LabOptions:
    """How a lab starts; an empty preset is the lab's own times."""
    return LabOptions(
        strategy=lab.design,
        server_version=lab.server_version,
        time_scale=lab.time_scale,
        timing=presets.load(lab.preset).timing if lab.preset else Timing(),
    )


def _inside(status: LabStatus, state: Path, arguments: Sequence[str], pass_on: list[int]) -> int:
    command = [sys.executable, "-m", "vrbench", *arguments, "--inside", str(state)]
    command += ["--set", f"cloud.ssh_user={status.ssh_user}"]
    if pass_on:
        return Exit.NOT_VALID
    child = subprocess.Popen(lifecycle.enter(state, NODE, command), env=_environment())
    while True:
        try:
            code = child.wait(0.2)
            return code if code >= 0 else Exit.FAILED
        except subprocess.TimeoutExpired:
            while pass_on:
                child.send_signal(pass_on.pop(0))


def _environment() -> dict[str, str]:
    """Ours without the operator's own cloud: a lab run must not reach it."""
    return {k: v for k, v in os.environ.items() if not k.startswith("CLOUDSTACK_")}


@contextmanager
def _deferred() -> Iterator[list[int]]:
    """Signals neither end this process nor are lost: they are for the command inside, which tears down.

    Ctrl-C on the terminal does not come here: the command inside is the terminal's foreground.
    """
    received: list[int] = []
    before = {n: signal.signal(n, lambda number, _: received.append(number)) for n in HANDLED}
    try:
        yield received
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
