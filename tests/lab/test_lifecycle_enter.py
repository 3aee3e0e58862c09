"""A command inside a node behaves as one outside: exit code, signals, terminal, directory; and ends with the lab."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cs import CloudStack

from tests.lab.box import wait_until
from vrbench.lab import lifecycle
from vrbench.lab.status import LabOptions, LabStatus
from vrbench.lab.system.processes import children

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the state directory of a lab that all tests here share."""
    directory = tmp_path_factory.mktemp("lab")
    lifecycle.up(directory, LabOptions(time_scale=0.01), lifeline=True)
    yield directory
    lifecycle.down(directory)


def test_exit_code_output_and_directory_pass_through(state: Path, tmp_path: Path) -> None:
    """The host's files are there under their own names, and the command starts where its caller is."""
    (tmp_path / "here").touch()
    command = lifecycle.enter(state, "upstream", ["sh", "-c", "cat; ls; exit 7"])
    done = subprocess.run(command, input="said\n", capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "said\nhere\n", "")
    assert lifecycle.exec_(state, "neighbour", ["sh", "-c", "exit 3"]) == 3
    assert lifecycle.exec_(state, "neighbour", ["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM


def test_a_node_has_its_own_network(state: Path) -> None:
    """upstream and its neighbour see each other; neither sees the host's interfaces."""
    ask = lifecycle.enter(state, "upstream", ["ip", "-4", "-br", "address"])
    addresses = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert "198.51.100.1/24" in addresses
    assert [line.split()[0].partition("@")[0] for line in addresses.splitlines()] == ["lo", "eth0", "eth1"]
    assert lifecycle.exec_(state, "neighbour", ["ping", "-q", "-c1", "-W30", "203.0.113.1"]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_the_stand_in_reaches_the_command_once(state: Path, number: signal.Signals) -> None:
    """Whether sent to the process or to its whole group (as timeout and CI systems do)."""
    count = (
        "import signal, time\nhits = []\n"
        f"signal.signal({int(number)}, lambda *_: hits.append(1))\n"
        "print('ready', flush=True)\n"
        "while not hits: time.sleep(0.01)\n"
        "time.sleep(0.2)\nraise SystemExit(len(hits))"
    )
    for send in (os.kill, os.killpg):
        command = lifecycle.enter(state, "upstream", [sys.executable, "-c", count])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            send(process.pid, number)
            assert process.wait(timeout=60) == 1


def test_the_stand_in_dies_as_the_command_died(state: Path) -> None:
    """A command killed by a signal shows as killed by that signal."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        command = lifecycle.enter(state, "upstream", ["sh", "-c", f"kill -{int(number)} $$"])
        assert subprocess.call(command) == -number


def test_the_command_ends_when_the_stand_in_is_killed(state: Path) -> None:
    """kill -9 of what the user sees does not leave the command running unseen: it gets a SIGTERM."""
    command = lifecycle.enter(state, "upstream", ["sh", "-c", "trap 'echo asked; exit' TERM; echo up; sleep 60 & wait"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.kill()
        assert process.stdout.readline() == "asked\n"


def test_a_terminal_is_handed_over_and_given_back(state: Path) -> None:
    """Ctrl-C on the terminal reaches the command, and only it: its stand-in lives to tell its exit code."""
    child, terminal = pty.fork()
    if child == 0:
        command = lifecycle.enter(
            state, "upstream", ["sh", "-c", "trap 'exit 9' INT; tty; while :; do sleep 0.05; done"]
        )
        os._exit(subprocess.call(["sh", "-c", '"$@"; echo code $?', "sh", *command]))
    wait_for(terminal, b"/dev/pts/")
    os.write(terminal, b"\x03")
    wait_for(terminal, b"code 9")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_stop_on_the_terminal_stops_the_whole_job(state: Path) -> None:
    """Ctrl-Z gives the prompt back, fg the command, and the command counts on from where it was."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp("sh", ["sh", "-i"])
    # No shell: one stopped between vfork and exec would never be seen as stopped, with or without a stand-in.
    count = "import itertools, time\ntry:\n for n in itertools.count(): print(f'n{n}', flush=True); time.sleep(0.05)\n"
    count += "except KeyboardInterrupt: print('bye')"
    command = lifecycle.enter(state, "upstream", [sys.executable, "-c", count])
    os.write(terminal, f"{shlex.join(command)}\n".encode())
    counted = wait_for(terminal, b"\nn3")
    os.write(terminal, b"\x1a")
    counted += wait_for(terminal, b"Stopped")
    reached = max(int(number) for number in re.findall(rb"\nn(\d+)\r", counted))
    for keys, shown in ((b"fg\n", f"\nn{reached + 3}".encode()), (b"\x03", b"bye"), (b"exit\n", b"exit")):
        os.write(terminal, keys)
        wait_for(terminal, shown)
    os.waitpid(child, 0)


def test_pausing_the_command_leaves_its_stand_in_at_work(state: Path) -> None:
    """A SIGSTOP for the command alone is no job control: once continued, it ends as ever."""
    pause = (
        "import os, signal; print(os.getpid(), flush=True); os.kill(os.getpid(), signal.SIGSTOP); raise SystemExit(4)"
    )
    command = lifecycle.enter(state, "upstream", [sys.executable, "-c", pause])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        inner = process.stdout.readline().strip()
        assert wait_until(lambda: "T (stopped)" in Path(f"/proc/{children(process.pid)[0]}/status").read_text())
        assert lifecycle.exec_(state, "upstream", ["sh", "-c", f"kill -CONT {inner}"]) == 0
        assert process.wait(timeout=60) == 4


def wait_for(terminal: int, text: bytes) -> bytes:
    """Read until the terminal shows ``text``, and return all that was read; what it showed instead is the failure."""
    seen = b""
    deadline = time.monotonic() + 60
    while text not in seen:
        ready = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]
        assert ready, f"{text!r} did not appear in {seen!r}"
        seen += os.read(terminal, 1000)
    return seen


def test_an_unknown_node_or_command_is_named(state: Path) -> None:
    """The error lists the nodes there are; a missing command is exit code 127, as in a shell."""
    done = subprocess.run(lifecycle.enter(state, "nowhere", ["true"]), capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "cannot enter nowhere: no such node; there are: neighbour, upstream" in done.stderr
    assert lifecycle.exec_(state, "upstream", ["no-such-thing"]) == 127


def test_what_runs_in_a_node_ends_with_the_lab(tmp_path: Path) -> None:
    """However deep: the command, and what it left in the background."""
    lifecycle.up(tmp_path, LabOptions(), lifeline=True)
    command = lifecycle.enter(tmp_path, "upstream", ["sh", "-c", "setsid sleep 86399 & echo up; sleep 86399"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        lifecycle.down(tmp_path)
        assert process.wait(timeout=60) == -signal.SIGKILL
        assert process.stdout.read() == ""  # nobody holds the pipe any more


def deploy(status: LabStatus) -> str:
    """Deploy a VM in a network of its own through the API, and return its name."""
    root = status.callers["root"]
    cloud = CloudStack(
        endpoint=status.endpoint, key=root.apikey, secret=root.secretkey, fetch_result=True, poll_interval=0.05
    )
    zone = cloud.listZones()["zone"][0]["id"]
    offerings = cloud.listNetworkOfferings(guestiptype="Isolated", supportedservices="SourceNat", state="Enabled")
    offering = next(o["id"] for o in offerings["networkoffering"] if "Nsx" not in str(o["service"]) and not o["forvpc"])
    network = cloud.createNetwork(zoneid=zone, networkofferingid=offering, name="n", displaytext="n")["network"]["id"]
    machine = cloud.deployVirtualMachine(
        zoneid=zone,
        networkids=network,
        name="guest-a",
        templateid=cloud.listTemplates(templatefilter="featured")["template"][0]["id"],
        serviceofferingid=cloud.listServiceOfferings()["serviceoffering"][0]["id"],
    )
    return str(machine["virtualmachine"]["name"])


@pytest.fixture(scope="module")
def guest(state: Path) -> str:
    """Return the name of a VM in the shared lab."""
    return deploy(lifecycle.status(state))


def test_a_guest_and_its_router_are_nodes_too(state: Path, guest: str) -> None:
    """Deployed through the API, a VM can be entered: its hostname, its processes; an outage may be aimed at it."""
    command = lifecycle.enter(state, guest, ["sh", "-c", "hostname; ls /proc | grep -c '^[0-9]'; touch /usr/x"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    hostname, processes = done.stdout.split()
    assert hostname == guest
    assert int(processes) < 20
    assert "Read-only" in done.stderr
    nodes = {node.kind: node for node in lifecycle.status(state).nodes}
    assert nodes["vm"].name == guest
    told = lifecycle.outage(state, 0.2, "egress", guest)
    assert told.routers == (nodes["router"].name,)
    assert 0.2 <= told.duration_s < 60  # so long, and not until somebody ended it
    assert wait_until(lambda: lifecycle.exec_(state, guest, ["ping", "-q", "-c1", "-W1", "10.1.1.1"]) == 0)


def test_an_outage_ends_when_whoever_asked_for_it_has_gone(state: Path, guest: str) -> None:
    """kill -9 of the asker: traffic flows again long before the outage was to end."""

    def answered() -> bool:
        return lifecycle.exec_(state, guest, ["ping", "-q", "-c1", "-W1", "10.1.1.1"]) == 0

    code = f"from pathlib import Path; from vrbench.lab import lifecycle; lifecycle.outage(Path({str(state)!r}), 600)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2]) as asker:
        assert wait_until(lambda: not answered())
        asker.kill()
    assert wait_until(answered)
