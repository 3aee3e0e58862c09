"""Paths with a space in guests: the shell that looks around there takes them for one word, and so does ping's agent."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vrbench.probes import guest_agents, readiness

TOOLS = ("sh", "id", "grep", "sed", "head", "sleep", "cat", "tail", "wc", "rm", "mkfifo", "setsid", "uname", "date")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a directory, with a space in its name, that holds all commands of a guest but ping and Python."""
    place = tmp_path / "my tools"
    place.mkdir()
    for name in TOOLS:
        link(place, name, shutil.which(name))
    return place


def link(place: Path, name: str, target: str | None) -> Path:
    assert target, f"{name} is not on this machine"
    (place / name).symlink_to(target)
    return place / name


def told(tools: Path, script: str) -> str:
    """Return what a shell says that has these commands only (it adds the administrator's itself)."""
    run = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env={"PATH": str(tools)}
    )
    return run.stdout


def test_python_is_found_and_tried_by_its_path(tools: Path) -> None:
    """It says itself which ICMP socket it may have."""
    python = link(tools, "python3", sys.executable)
    said = told(tools, readiness._LOOK.format(wait_s=1))
    assert f"vrbench python {python}" in said
    assert "vrbench icmp" in said


def test_ping_is_found_and_tried_by_its_path(tools: Path) -> None:
    """Where there is no Python."""
    ping = link(tools, "ping", shutil.which("ping"))
    said = told(tools, readiness._LOOK.format(wait_s=1))
    assert f"vrbench ping {ping}" in said
    assert "vrbench icmp" in said


def test_the_agent_runs_a_ping_by_its_path(tools: Path) -> None:
    """It measures its pace, and probes, from a home whose path has a space as well."""
    ping = link(tools, "ping", shutil.which("ping"))
    agent = tools / guest_agents.PingAgent.file
    agent.write_bytes(guest_agents.PingAgent((), "iputils", str(ping)).content())
    (tools / "probe.conf").write_text(f"iputils:{ping}\n30\n0 persistent 0.2 127.0.0.1\n1 fresh 20 127.0.0.1\n")

    def ask(*arguments: str) -> str:
        return subprocess.run(["/bin/sh", agent, *arguments], capture_output=True, text=True, check=True).stdout

    assert ask("survey", str(ping), "0.2 2").startswith("0.2 2 ")
    assert ask("start", str(tools / "probe.conf")) == "started\n"
    deadline = time.monotonic() + 60
    while not both_answered((tools / "probe.log").read_text()):
        assert time.monotonic() < deadline, (tools / "probe.log").read_text()
        time.sleep(0.05)
    ask("stop", str(tools / "probe.conf"))
    assert (tools / "probe.log").read_text().endswith(" end\n")


def both_answered(log: str) -> bool:
    answered = {line.split()[1] for line in log.splitlines() if "icmp_seq=" in line and "time=" in line}
    return answered == {"0", "1"}
