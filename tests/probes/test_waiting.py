"""Waiting for guests ends when nobody wants it any more."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.probes.rig import wait_for

ROOT = Path(__file__).parents[2]
_WAIT = """
from pathlib import Path
from vrbench.core.model import Environment, Guest
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.probes.observation import SshGuests
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import generate_key
import sys

home = Path(sys.argv[1])
generate_key(home / "id")
plan = make_plan(load_profile('[lab]\\n[probes]\\negress_target = "192.0.2.1"', "test"), "run")
guests = tuple(Guest(f"vm-{i}", "", "10.1.1.1", "127.0.0.1", 1) for i in range(3))
environment = Environment("n", "net", "z", "h", "v", "o", "127.0.0.1", guests, ())
print("waiting", flush=True)
SshGuests(plan, environment, home / "id", HostKeyPins(home / "pins")).await_guests(600)
"""


def test_an_interrupt_while_waiting_for_ssh_ends_the_process(tmp_path: Path) -> None:
    """Ctrl-C while no guest answers: the process is gone soon, not at the deadline of ten minutes."""
    waiting = subprocess.Popen(
        [sys.executable, "-c", _WAIT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"waiting\n"
    end = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > end, "a first attempt or two")
    waiting.send_signal(signal.SIGINT)
    try:
        assert waiting.wait(60) == -signal.SIGINT
    finally:
        waiting.kill()
        waiting.wait()
        waiting.stdout.close()
