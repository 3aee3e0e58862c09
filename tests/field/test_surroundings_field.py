"""What a process inherits: signals, a home, a user, a terminal, streams, another system."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.field.case import RUN, Case
from tests.field.conftest import Hold
from tests.field.place import Running
from vrbench.lab.system.processes import children

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
CONTAINER = 54321  # a user without an entry in passwd, as containers have them
IN_BASH = ("bash", "-c")
FIRST_LINE = (*IN_BASH, '"$@" | head -n1; exit ${PIPESTATUS[0]}', "bash")
NOBODY_READS = (*IN_BASH, '"$@" | true; exit ${PIPESTATUS[0]}', "bash")
DISK_FULL = (*IN_BASH, '"$@" >/dev/full', "bash")
ALL_CLOSED = (*IN_BASH, '"$@" <&- >&- 2>&-', "bash")
FOLDER_GONE = (*IN_BASH, 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "bash")
NOT_TO_WRITE = (*IN_BASH, 'mkdir -m 500 ro; cp mini.toml cloudstack.ini ro; cd ro; exec "$@"', "bash")
MACHINE = ("doctor", "--no-calibrate")
IGNORED = ("HUP", "INT", "TERM", "QUIT")
IGNORING = ("env", *(f"--ignore-signal={name}" for name in IGNORED))


def terminal(columns: int) -> tuple[str, ...]:
    return sys.executable, str(HERE / "terminal.py"), str(columns)


def another_system(name: str) -> tuple[str, ...]:
    return sys.executable, str(HERE / "other_system.py"), name, "--"


def all_signals(running: Running) -> None:
    """Send all that was ignored, in the middle of the baseline."""
    running.hear("trial 1: baseline")
    (terminal_,) = children(running.process.pid)  # below who stands in for it out here
    (command,) = children(terminal_)
    for name in IGNORED:
        os.kill(command, signal.Signals[f"SIG{name}"])


CASES = (
    Case(
        "a run on a dumb terminal, with signals that are ignored",
        "`TERM=dumb nohup vrbench run`, and so with INT, TERM and QUIT, all of which are sent during the baseline",
        code=0,
        said=("deploying 2 VMs in parallel", "trial 1: operating", "Restarting the router"),
        unsaid=("interrupted", "\x1b"),
        changes=True,
        argv=("run", "mini.toml"),
        environ={"TERM": "dumb"},
        through=(*IGNORING, *terminal(60)),
        meanwhile=all_signals,
    ),
    Case(
        "no home directory",
        "`HOME` names a folder that is not there",
        code=0,
        said=("nothing bad",),
        environ={"HOME": "/nowhere"},
    ),
    Case(
        "a home that is a file",
        "`HOME=/etc/hostname`",
        argv=MACHINE,
        code=0,
        said=("nothing bad",),
        environ={"HOME": "/etc/hostname"},
    ),
    Case(
        "no home, no user, no temporary folder",
        "`HOME`, `USER` and `TMPDIR` are not set, PATH is short",
        argv=MACHINE,
        code=0,
        said=("nothing bad",),
        environ={"HOME": "", "PATH": "/usr/bin:/bin"},
    ),
    Case(
        "a container's user",
        "uid 54321 without an entry in passwd, no home, no capabilities",
        code=64,
        said=("can't be sent from here", "checks are bad"),
        environ={"HOME": ""},
        uid=CONTAINER,
    ),
    Case(
        "a container's user asks for a profile",
        "the same, `vrbench init`",
        code=0,
        said=("mine.toml is written",),
        argv=("init", "--yes"),
        environ={"HOME": ""},
        uid=CONTAINER,
    ),
    Case(
        "a folder that can't be written to",
        "`vrbench run` in a read-only folder",
        code=2,
        said=("can't make reports/", "Permission denied; choose another place with --reports DIR"),
        argv=RUN,
        through=NOT_TO_WRITE,
        uid=CONTAINER,
    ),
    Case(
        "a folder that is gone",
        "the current folder was removed",
        argv=MACHINE,
        code=64,
        said=("the folder that this was started in is gone",),
        through=FOLDER_GONE,
    ),
    Case(
        "a dumb terminal",
        "a terminal, `TERM=dumb`",
        argv=MACHINE,
        code=0,
        said=("nothing bad",),
        unsaid=("\x1b",),
        environ={"TERM": "dumb"},
        through=terminal(60),
    ),
    Case(
        "a terminal without a name",
        "a terminal, `TERM` is not set",
        argv=MACHINE,
        code=0,
        said=("nothing bad",),
        unsaid=("\x1b",),
        through=terminal(80),
    ),
    Case(
        "a terminal of no width",
        "a terminal that says it has 0 columns",
        argv=MACHINE,
        code=0,
        said=("nothing bad",),
        environ={"TERM": "xterm", "COLUMNS": ""},
        through=terminal(0),
    ),
    Case(
        "a language without signs",
        "`PYTHONIOENCODING=ascii`, `LC_ALL=POSIX`",
        argv=("doctor", "mini.toml", "--no-calibrate", "--set", "trials.count=0"),
        code=64,
        said=("trials.count", "-> vrbench profiles --keys"),
        unsaid=("→", "? vrbench"),
        environ={"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX"},
    ),
    Case(
        "a reader that wants one line",
        "`vrbench doctor | head -n1`",
        argv=MACHINE,
        code=0,
        said=("ok python",),
        through=FIRST_LINE,
    ),
    Case(
        "a reader that wants none",
        "`vrbench cleanup --all | true`",
        code=0,
        argv=("cleanup", "--all"),
        through=NOBODY_READS,
    ),
    Case(
        "a full disk behind stdout",
        "`vrbench doctor > /dev/full`",
        argv=MACHINE,
        code=2,
        said=("standard output: No space left on device",),
        through=DISK_FULL,
    ),
    Case(
        "no streams at all",
        "stdin, stdout and stderr are closed",
        argv=MACHINE,
        code=0,
        through=ALL_CLOSED,
    ),
    Case(
        "another system",
        "macOS, as far as a Python tells",
        code=0,
        said=("vrbench run needs Linux, and this is darwin; what works here: init, cleanup, analyze", "run: exit 64"),
        argv=RUN,
        through=another_system("darwin"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
