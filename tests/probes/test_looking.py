"""What a look finds in a guest, by the very script that looks: interpreters under odd names, and what sudo says."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from vrbench.probes.readiness import Readiness, judge, look
from vrbench.remote.connection import Completed, Remote
from vrbench.remote.shell import after_mark, for_any_shell


@dataclass
class Here:
    """This machine in place of a guest, with no commands but BusyBox's and those that a test makes."""

    tools: Path
    said: list[str] = field(default_factory=list)

    def make(self, name: str, *lines: str) -> None:
        """Make a command that is a script; what was there of that name goes."""
        (self.tools / name).unlink(missing_ok=True)
        (self.tools / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
        (self.tools / name).chmod(0o755)

    def run(self, command: str, timeout_s: float) -> Completed:
        done = subprocess.run(
            ["/bin/sh", "-c", for_any_shell(command)],
            env={"PATH": str(self.tools), "HOME": "/nonexistent"},
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        out = after_mark(done.stdout)
        assert out is not None
        self.said += out.decode().splitlines()
        return Completed(done.returncode, out, done.stderr)

    def look(self) -> Readiness:
        return look(cast(Remote, self), 1.0)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    tools = tmp_path / "bin"
    tools.mkdir()
    subprocess.run(["busybox", "--install", "-s", str(tools)], check=True)
    return Here(tools)


@pytest.mark.parametrize("name", ["python3", "python3.9", "python3.14", "python"])
def test_an_interpreter_is_found_under_its_name(here: Here, name: str) -> None:
    """Some templates have no plain python3."""
    here.make(name, "echo /opt/found")
    here.look()
    assert "vrbench python /opt/found" in here.said


def test_an_interpreter_that_is_too_old_or_lacks_modules_is_none(here: Here) -> None:
    """A minimal one ends with an error of its own; then ping stands in, and what is there is named."""
    here.make("python3", "echo ModuleNotFoundError >&2", "exit 1")
    here.make("python", "echo old 2.7")
    ready = here.look()
    assert "vrbench old 2.7" in here.said
    assert "vrbench ping busybox ping" in here.said or any(line.startswith("vrbench ping /") for line in here.said)
    assert ready.unfit == ""
    assert "(only 2.7)" in judge({"old": "2.7"}).unfit


@pytest.mark.parametrize(
    "words",
    ["sudo: a password is required", "sudo: sorry, you must have a tty to run sudo", "sh: 1: sudo: not found"],
)
def test_what_sudo_says_is_told_where_it_is_needed(here: Here, words: str) -> None:
    """Who may ping without it needs no sudo."""
    here.make("id", "echo 1000")
    here.make("sudo", f"echo '{words}' >&2", "exit 1")
    here.look()
    assert f"vrbench sudo {words}" in here.said
    unfit = judge({"python": "/p", "sudo": words}).unfit
    assert f"may not send ICMP (sudo says: {words})" in unfit
    assert "allow sudo without a password" in unfit
    assert judge({"python": "/p", "sudo": words, "icmp": "2"}) == Readiness()


def test_sudo_without_a_password_is_used(here: Here) -> None:
    """And nothing is said of it."""
    here.make("id", "echo 1000")
    here.make("sudo", f'shift; echo "$1" >>{here.tools}/asked; exec "$@"')
    here.look()
    assert "sshd" in (here.tools / "asked").read_text().split()
    assert not [line for line in here.said if line.startswith("vrbench sudo")]


def test_a_guest_names_its_host_keys(here: Here, tmp_path: Path) -> None:
    """Those that sshd says it uses, wherever they are."""
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAAmixedCASE root@guest\n")
    here.make("sshd", f"echo hostkey {tmp_path}/key")
    assert "ssh-ed25519 AAAAmixedCASE" in here.look().host_keys
