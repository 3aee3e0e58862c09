"""Work for every guest at once, and its end when nobody wants it any more."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.probes.rig import wait_for
from vrbench.probes.config import ProbeError
from vrbench.probes.side_by_side import Stop, side_by_side

ROOT = Path(__file__).parents[2]
_WAIT = """
from pathlib import Path
from vrbench.core.model import Environment, Guest
from vrbench.core.plan import make_plan
from vrbench.core.profile import load_profile
from vrbench.probes.observation import Sensors
from vrbench.remote import HostKeyPins, generate_key
import sys

home = Path(sys.argv[1])
generate_key(home / "id")
plan = make_plan(load_profile('[lab]\\n[probes]\\negress_target = "192.0.2.1"', "test"), "run")
guests = tuple(Guest(f"vm-{i}", "", "10.1.1.1", "127.0.0.1", 1) for i in range(3))
environment = Environment("n", "net", "z", "h", "v", "o", "127.0.0.1", guests, ())
print("waiting", flush=True)
Sensors(plan, environment, home / "id", HostKeyPins(home / "pins")).await_guests(600)
"""


def test_results_come_in_order() -> None:
    """Whoever ends first, each result stands where its item stood."""
    later = threading.Event()

    def work(number: int, _: Stop) -> int:
        if number == 0:
            assert later.wait(5)
        later.set()
        return number * 10

    assert side_by_side([0, 1], work) == [0, 10]


def test_the_first_failure_ends_the_others() -> None:
    """Those that wait give up, those that have not begun never do, and the failure is raised."""
    begun = []

    def work(number: int, stop: Stop) -> None:
        begun.append(number)
        if number == 15:
            raise ProbeError("no place")
        while True:
            stop.sleep(0.05)

    with pytest.raises(ProbeError, match="no place"):
        side_by_side(range(40), work)
    assert max(begun) == 15


def test_an_interrupt_lets_nobody_take_another_step() -> None:
    """What is between two steps when the user interrupts never takes the second."""
    steps, resume, main = [], threading.Event(), threading.main_thread().ident
    assert main is not None

    def work(number: int, stop: Stop) -> None:
        steps.append((number, "deploy"))
        if len(steps) == 3:
            signal.pthread_kill(main, signal.SIGINT)
        resume.wait(10)
        stop.check()
        steps.append((number, "start"))

    with pytest.raises(KeyboardInterrupt):
        side_by_side(range(3), work, patience_s=0.1)
    resume.set()
    wait_for(lambda: not [t for t in threading.enumerate() if "take_turns" in t.name], "the end of the threads")
    assert {step for _, step in steps} == {"deploy"}


def test_an_interrupt_while_waiting_for_ssh_ends_the_process(tmp_path: Path) -> None:
    """Ctrl-C while no guest answers: the process is gone within seconds, not at the deadline of ten minutes."""
    waiting = subprocess.Popen(
        [sys.executable, "-c", _WAIT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"waiting\n"
    end = time.monotonic() + 1.0
    wait_for(lambda: time.monotonic() > end, "a first attempt or two")
    waiting.send_signal(signal.SIGINT)
    try:
        assert waiting.wait(8) == -signal.SIGINT
    finally:
        waiting.kill()
        waiting.wait()
        waiting.stdout.close()
