"""A lab from outside: up, status, down; what is left (nothing) whatever was killed; two labs side by side."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from tests.lab.box import wait_until
from vrbench.lab import control, lifecycle
from vrbench.lab.lifecycle import Found
from vrbench.lab.status import ImpossibleLab, LabError, LabOptions, LabStatus
from vrbench.lab.system.processes import children, namespace, process_ids, start_time
from vrbench.lab.timing import Timing

pytestmark = pytest.mark.lab

_ROOT = str(Path(__file__).parents[2])
_OPTIONS = LabOptions(time_scale=0.01)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Yield a state directory whose lab, if any, is ended after the test."""
    yield tmp_path / "state"
    lifecycle.down(tmp_path / "state")


def host_view() -> tuple[list[str], list[str], list[str]]:
    """Return what a lab must not change: the host's interfaces, names of namespaces and mounts."""
    links = os.listdir("/sys/class/net")
    names = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    return sorted(links), sorted(names), Path("/proc/self/mounts").read_text().splitlines()


def gone(box_namespace: str | None) -> bool:
    """Return whether no process lives in a process namespace any more."""
    alive = (pid for pid in process_ids() if start_time(pid) is not None)
    return all(namespace(pid, "pid") != box_namespace for pid in alive)


def inside_of(box_namespace: str | None) -> list[int]:
    """Return the processes of a lab; its own, and so their tables, can be looked into."""
    return [pid for pid in process_ids() if namespace(pid, "pid") == box_namespace]


def told_of(processes: list[int], secret: str) -> list[str]:
    """Return the command lines of those that have it in their environment or arguments."""
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes]
    environments = [Path(f"/proc/{pid}/environ").read_bytes() for pid in processes]
    assert b"PATH=" in b"".join(environments)
    return [str(c) for c, e in zip(commands, environments, strict=True) if secret.encode() in c + e]


def first_process(status: LabStatus) -> int:
    """Return the lab's first process, as the host numbers it."""
    return children(status.pid)[0]


def http_code(endpoint: str) -> int:
    """Return what the API answers to an unsigned call: 401 when it is there."""
    try:
        with urllib.request.urlopen(f"{endpoint}?command=listZones&response=json", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_up_status_down(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API answers at one address on the host and inside upstream; secrets are private; down leaves nothing."""
    before = host_view()
    monkeypatch.setenv("CLOUDSTACK_SECRET", "the operator's own")
    up = lifecycle.up(state, _OPTIONS, lifeline=True)
    processes = namespace(first_process(up), "pid")
    assert told_of([up.pid, *inside_of(processes)], "operator") == []
    assert lifecycle.status(state) == up
    assert http_code(up.endpoint) == 401
    fetch = f"from tests.lab.test_lifecycle import http_code; print(http_code({up.endpoint!r}))"
    command = lifecycle.enter(state, "upstream", [sys.executable, "-c", fetch])
    assert subprocess.run(command, capture_output=True, text=True, check=True, cwd=_ROOT).stdout == "401\n"
    assert host_view() == before
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.glob("*.*")} == {
        "lab.json": 0o600,
        "cloudstack.ini": 0o600,
        "lab.log": 0o600,
    }
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    lifecycle.down(state)
    lifecycle.down(state)
    assert gone(processes)
    assert host_view() == before
    assert not (state / "cloudstack.ini").exists()


def test_the_status_as_json_has_what_programs_read(state: Path) -> None:
    """The contract of lab status --json, and the file that CloudStack clients read, agree."""
    status = lifecycle.up(state, _OPTIONS, lifeline=True).to_json()
    assert {"endpoint", "apikey", "secretkey", "nodes", "callers", "ssh_user"} <= set(status)
    assert set(status["callers"]) == {"root", "domadmin", "user"}
    assert {node["name"] for node in status["nodes"]} == {"upstream", "neighbour"}
    assert LabStatus.from_json(json.loads(json.dumps(status))).to_json() == status
    clients = ConfigParser()
    clients.read(state / "cloudstack.ini")
    read = clients["cloudstack"]
    assert (read["endpoint"], read["key"], read["secret"]) == (
        status["endpoint"],
        status["apikey"],
        status["secretkey"],
    )


def test_two_labs_run_side_by_side(tmp_path: Path) -> None:
    """The same addresses in both, neither knows of the other; ending one leaves the other."""
    states = [tmp_path / name for name in ("one", "two")]
    try:
        ups = [lifecycle.up(state, _OPTIONS, lifeline=True) for state in states]
        assert ups[0].endpoint != ups[1].endpoint
        lifecycle.down(states[0])
        assert http_code(ups[1].endpoint) == 401
    finally:
        for state in states:
            lifecycle.down(state)


def test_ten_labs_at_once_do_not_meet(tmp_path: Path) -> None:
    """Each has the same addresses; what one's outside world adds is seen by its own neighbour and by no other's."""
    states = [tmp_path / str(number) for number in range(10)]
    before = host_view()
    try:
        with ThreadPoolExecutor(5) as pool:
            endpoints = {up.endpoint for up in pool.map(lambda s: lifecycle.up(s, _OPTIONS, lifeline=True), states)}
            assert len(endpoints) == 10
            list(pool.map(lambda n: add_address(states[n], f"203.0.113.{10 + n}"), range(10)))
            seen = list(
                pool.map(lambda n: [answers(states[n], f"203.0.113.{10 + m}") for m in (n, (n + 1) % 10)], range(10))
            )
        assert seen == [[True, False]] * 10
    finally:
        for state in states:
            lifecycle.down(state)
    assert host_view() == before


def add_address(state: Path, address: str) -> None:
    assert lifecycle.exec_(state, "upstream", ["ip", "address", "add", f"{address}/32", "dev", "lo"]) == 0


def answers(state: Path, address: str) -> bool:
    ping = lifecycle.enter(state, "neighbour", ["ping", "-c1", "-W2", address])
    return subprocess.run(ping, stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_a_directory_holds_one_lab(state: Path) -> None:
    """A second up in the same directory is refused and harms nothing."""
    up = lifecycle.up(state, _OPTIONS, lifeline=True)
    with pytest.raises(LabError, match=r"runs in .* already"):
        lifecycle.up(state, _OPTIONS, lifeline=True)
    assert http_code(up.endpoint) == 401


@pytest.mark.parametrize("victim", ["holder", "first", "supervisor", "everything"])
def test_nothing_is_left_when_a_part_is_killed(state: Path, victim: str) -> None:
    """kill -9 of any one process ends the box at once; status says so; down and up work as if nothing had been."""
    before = host_view()
    up = lifecycle.up(state, _OPTIONS, lifeline=True)
    first = first_process(up)
    processes = namespace(first, "pid")
    victims = {"holder": [up.pid], "first": [first], "supervisor": children(first)}
    victims["everything"] = [up.pid, first, *children(first)]
    for pid in victims[victim]:
        with suppress(ProcessLookupError):  # the kernel may have been faster
            os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: gone(processes))
    with pytest.raises(LabError, match="no lab runs"):
        lifecycle.status(state)
    lifecycle.down(state)
    assert host_view() == before
    lifecycle.up(state, _OPTIONS, lifeline=True)


def start_elsewhere(state: Path, lifeline: bool) -> subprocess.Popen[str]:
    """Another process that starts a lab, says so and waits."""
    code = (
        "from pathlib import Path; from vrbench.lab import lifecycle, status\n"
        f"lifecycle.up(Path({str(state)!r}), status.LabOptions(), lifeline={lifeline})\n"
        "print('up', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        text=True,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_an_embedded_lab_ends_with_its_parent(state: Path) -> None:
    """kill -9 of the process that started it with a lifeline leaves nothing."""
    with start_elsewhere(state, lifeline=True) as parent:
        processes = namespace(first_process(lifecycle.status(state)), "pid")
        parent.kill()
    assert wait_until(lambda: gone(processes))


def test_a_lab_by_hand_outlives_its_terminal(state: Path) -> None:
    """Started without a lifeline it goes on when its starter's whole process group is killed."""
    with start_elsewhere(state, lifeline=False) as parent:
        os.killpg(parent.pid, signal.SIGKILL)
    assert http_code(lifecycle.status(state).endpoint) == 401


def test_a_lab_that_can_not_start_says_why_and_leaves_nothing(state: Path) -> None:
    """The error shows the end of the log; no process, no file but the log remains."""
    broken = LabOptions(timing=Timing(vm_boot_s=cast(float, "soon")))
    with pytest.raises(LabError, match=r"(?s)ended before it was ready.*lab\.log.*TypeError"):
        lifecycle.up(state, broken)
    assert sorted(path.name for path in state.iterdir()) == ["lab.log", "lock"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (LabOptions(strategy="rolling"), r"'rolling': it has .*parallel, .*serial"),
        (LabOptions(time_scale=math.nan), r"time_scale must be a number from 0.001 to 10, not 'nan'$"),
        (LabOptions(time_scale=-1), r"time_scale must be .*, not '-1'; the nearest is 0.001"),
        (LabOptions(build_scale=math.inf), r"build_scale must be .*, not 'inf'; the nearest is 10"),
        (LabOptions(ready_s=cast(float, "soon")), r"ready_s must be .*, not 'soon'"),
        (LabOptions(first_subnet=-3), r"first_subnet must be a whole number from 1 to 239, not '-3'; the nearest is 1"),
    ],
)
def test_an_impossible_lab_is_refused_with_what_can_be(state: Path, options: LabOptions, words: str) -> None:
    """Before anything is started or written."""
    with pytest.raises(ImpossibleLab, match=words):
        lifecycle.up(state, options)
    assert not state.exists()


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 0.0, 1e300])
def test_an_impossible_outage_is_refused_with_what_can_be(state: Path, seconds: float) -> None:
    """Before a lab is looked for."""
    with pytest.raises(ImpossibleLab, match=r"seconds must be a number from 0.001 to 3600, not"):
        lifecycle.outage(state, seconds)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    """No lab moves into it, its mode stays, and down does nothing there."""
    (tmp_path / "letter").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(LabError, match="a directory of its own"):
        lifecycle.up(tmp_path, _OPTIONS, lifeline=True)
    lifecycle.down(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    """A file, a path below one, a path that can't be made: the lab's own error says which and why."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(LabError, match=f"{place} can't be used"):
            lifecycle.up(place, _OPTIONS, lifeline=True)


def test_a_deadline_missed_leaves_nothing(state: Path) -> None:
    """A lab that is not ready in time is ended, and the error says how long it had."""
    with pytest.raises(LabError, match=r"not ready within 0\.001 s"):
        lifecycle.up(state, LabOptions(ready_s=0.001))
    assert not (state / "lab.json").exists()


def test_a_stranger_with_a_lab_s_old_number_is_left_alone(state: Path) -> None:
    """Process numbers are used again: down looks at the start time and spares whoever has the number now."""
    lifecycle.up(state, _OPTIONS, lifeline=True)
    record = state / "lab.json"
    box = json.loads(record.read_text())
    lifecycle.down(state)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record.write_text(json.dumps({**box, "holder": stranger.pid, "first": stranger.pid}))
        lifecycle.down(state)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("loss", ["gone", "damaged", "all files", "the directory"])
def test_a_lab_whose_record_is_lost_is_found_and_ended(state: Path, loss: str) -> None:
    """By its processes: down says that it was lost, up and status know it as long as there is anything to ask."""
    up = lifecycle.up(state, _OPTIONS, lifeline=True)
    processes = namespace(first_process(up), "pid")
    match loss:
        case "gone":
            (state / "lab.json").unlink()
            assert lifecycle.status(state) == up
        case "damaged":
            (state / "lab.json").write_text('{"holder": 1')
            assert lifecycle.status(state) == up
        case "all files":
            shutil.rmtree(state)
            state.mkdir()
        case _:
            shutil.rmtree(state)
    with pytest.raises(LabError, match=r"runs in .* already"):
        lifecycle.up(state, _OPTIONS, lifeline=True)
    assert lifecycle.down(state) is Found.LOST
    assert gone(processes)
    assert lifecycle.down(state) is Found.NOTHING


def test_down_tells_what_there_was(state: Path) -> None:
    """A lab, none any more, and a directory that is no lab's."""
    assert lifecycle.down(state) is Found.NO_LAB
    lifecycle.up(state, _OPTIONS, lifeline=True)
    assert lifecycle.down(state) is Found.RECORDED
    assert lifecycle.down(state) is Found.NOTHING


def test_without_a_lab_the_errors_say_what_to_do(state: Path) -> None:
    """status, outage and enter name the directory and the command that starts a lab there."""
    for ask in (
        lambda: lifecycle.status(state),
        lambda: lifecycle.outage(state, 1),
        lambda: lifecycle.enter(state, "upstream", ["true"]),
    ):
        with pytest.raises(LabError, match="lab up --state"):
            ask()


def test_an_outage_needs_a_running_router(state: Path) -> None:
    """Without one there is nothing to interrupt; a wrong direction is named with the right ones."""
    lifecycle.up(state, _OPTIONS, lifeline=True)
    with pytest.raises(LabError, match="no router is running"):
        lifecycle.outage(state, 0.1)
    with pytest.raises(LabError, match="egress, ingress, both"):
        lifecycle.outage(state, 0.1, "sideways")
    order = {"ask": "outage", "direction": "both", "target": "", "seconds": 1}
    for wrong in ({"seconds": "nan"}, {"beats": [1, -1]}, {"delay_s": "nan"}, {"held_s": -1}, {"marking_s": 1e9}):
        with pytest.raises(LabError, match="each of its times is above 0"):
            control.ask(state, {**order, **wrong}, 5)
