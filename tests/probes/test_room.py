"""How much a machine has left of what probing takes."""

from __future__ import annotations

import resource
from pathlib import Path
from unittest.mock import patch

import pytest

from vrbench.probes import room
from vrbench.probes.room import UNLIMITED, allow_files, look_around


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a machine whose files can be written: no limits, 8 GB free."""
    for name in ("proc/sys/net/ipv4", "proc/self", "cgroup/a/b", "proc/17/task/17", "proc/17/task/18"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    (tmp_path / "proc/sys/net/ipv4/ip_local_port_range").write_text("32768\t60999\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    monkeypatch.setattr(room, "PROC", tmp_path / "proc")
    monkeypatch.setattr(room, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, resource.RLIM_INFINITY))
    return tmp_path


@pytest.mark.usefixtures("machine")
def test_a_machine_without_limits() -> None:
    """Root may start any number of processes."""
    with patch("os.geteuid", return_value=0):
        assert look_around() == room.Room(UNLIMITED, UNLIMITED, 28232, 8192)


def test_groups_of_a_container_count_from_the_inmost_to_the_outermost(machine: Path) -> None:
    """Whichever leaves least."""
    for name, most, current in (("a/b", "max", "5"), ("a", "40", "10"), (".", "100", "90")):
        (machine / "cgroup" / name / "pids.max").write_text(f"{most}\n")
        (machine / "cgroup" / name / "pids.current").write_text(f"{current}\n")
    (machine / "cgroup/a/memory.max").write_text(f"{300 << 20}\n")
    (machine / "cgroup/a/memory.current").write_text(f"{100 << 20}\n")
    with patch("os.geteuid", return_value=0):
        found = look_around()
    assert (found.processes, found.memory_mb) == (10, 200)


def test_a_users_threads_count_against_his_limit(machine: Path) -> None:
    """Each thread is a process to the kernel."""
    with (
        patch("os.geteuid", return_value=(machine / "proc/17").stat().st_uid or 1),
        patch.object(room, "_threads", lambda _: 2),
    ):
        assert look_around().processes == 1024 - 2


def test_what_can_not_be_read_is_unlimited(machine: Path) -> None:
    """Nothing is claimed of it."""
    for name in ("proc/meminfo", "proc/sys/net/ipv4/ip_local_port_range", "proc/self/cgroup"):
        (machine / name).unlink()
    with patch("os.geteuid", return_value=0):
        found = look_around()
    assert found == room.Room(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED >> 20)


def test_the_soft_limit_is_raised_as_far_as_it_may() -> None:
    """A login's usual 1024 is no obstacle; the hard limit is."""
    set_to: list[tuple[int, int]] = []
    with (
        patch.object(resource, "getrlimit", lambda _: (1024, 4096)),
        patch.object(resource, "setrlimit", lambda _, limits: set_to.append(limits)),
    ):
        for count in (1000, 2000, 5000):
            allow_files(count)
    assert set_to == [(2000, 4096), (4096, 4096)]
