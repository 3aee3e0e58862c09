"""What the machine lacks: found, named in one message with its cure, installed without opening an SSH server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vrbench.lab import requirements
from vrbench.lab.requirements import PACKAGES, Missing, check_machine, find_missing, install, shell_line

_SSHD = Missing(("nft", "sshd"), ("nftables", "openssh-server"))


def test_everything_missing_is_named_once(tmp_path: Path) -> None:
    """On an empty search path all commands are missing; a package that brings two of them is named once."""
    missing = find_missing(str(tmp_path))
    assert missing.commands == tuple(PACKAGES)
    assert missing.packages.count("util-linux") == 1
    assert all(name in missing.message() for name in (*missing.commands, *missing.packages))
    assert shell_line(missing) in missing.message()


def test_what_is_there_is_not_missing(tmp_path: Path) -> None:
    """A command counts when it can be executed."""
    for command in PACKAGES:
        (tmp_path / command).touch(mode=0o755)
    (tmp_path / "nft").chmod(0o644)
    assert find_missing(str(tmp_path)) == Missing(("nft",), ("nftables",))
    (tmp_path / "nft").chmod(0o755)
    assert not find_missing(str(tmp_path))


def test_the_line_masks_sshd_where_systemd_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact line, for root and for a user, with and without systemd; no mask where sshd isn't installed."""
    apt = "{0}apt-get update && {0}apt-get install -y --no-install-recommends nftables"
    for uid, sudo in ((0, ""), (1000, "sudo ")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        monkeypatch.setattr(requirements, "_has_systemd", lambda: True)
        mask = f"{sudo}systemctl mask ssh.service ssh.socket && "
        assert shell_line(_SSHD) == mask + apt.format(sudo) + " openssh-server"
        assert shell_line(Missing(("nft",), ("nftables",))) == apt.format(sudo)
        assert "unmask" in _SSHD.message()
        monkeypatch.setattr(requirements, "_has_systemd", lambda: False)
        assert shell_line(_SSHD) == apt.format(sudo) + " openssh-server"


@pytest.fixture
def fake_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """apt-get, systemctl and sudo that only write down how they were called; the log's path."""
    log = tmp_path / "log"
    (tmp_path / "bin").mkdir()
    for name, ending in (("apt-get", ""), ("systemctl", ""), ("sudo", 'exec "$@"')):
        script = tmp_path / "bin" / name
        look = f"if test -e {tmp_path}/policy; then echo guarded >>{log}; fi"
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\n{look}\n{ending}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return log


@pytest.mark.parametrize("systemd", [True, False])
def test_installing_never_opens_an_ssh_server(
    fake_commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, systemd: bool
) -> None:
    """The units are masked before the package comes, and service starts are denied while it does."""
    monkeypatch.setattr(requirements, "_has_systemd", lambda: systemd)
    monkeypatch.setattr(requirements, "_POLICY", tmp_path / "policy")
    done = install(_SSHD)
    log = fake_commands.read_text().splitlines()
    assert [line for line in log if line.startswith("systemctl")] == ["systemctl mask ssh.service ssh.socket"] * systemd
    at = log.index("apt-get install -y --no-install-recommends nftables openssh-server")
    assert log[at + 1] == "guarded"
    assert not (tmp_path / "policy").exists()
    assert any("apt-get install" in command for command in done)


def test_a_failed_installation_is_an_error_and_lifts_the_guard(
    fake_commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that failed is named with its exit code."""
    monkeypatch.setattr(requirements, "_has_systemd", lambda: False)
    monkeypatch.setattr(requirements, "_POLICY", tmp_path / "policy")
    (fake_commands.parent / "bin" / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    with pytest.raises(RuntimeError, match="apt-get update failed with exit code 100"):
        install(_SSHD)
    assert not (tmp_path / "policy").exists()


def test_nothing_missing_installs_nothing(fake_commands: Path) -> None:
    """No command is run."""
    assert install(Missing((), ())) == []
    assert not fake_commands.exists()


def test_it_runs_before_anything_is_installed() -> None:
    """Imported by a Python without site packages, it brings in nothing but the standard library and our own."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import vrbench.lab.requirements\n"
        "print([name for name in sys.modules if name.startswith('vrbench')])"
    )
    root = str(Path(requirements.__file__).parents[2])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['vrbench', 'vrbench.lab', 'vrbench.private', 'vrbench.lab.requirements']"


@pytest.mark.lab
def test_a_machine_that_can_is_told_so() -> None:
    """Where the lab's tests run, the check has nothing to say."""
    assert check_machine() == []


def test_a_kernel_that_refuses_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason in the kernel's words, and what to do: as root a privileged container, as a user sudo."""
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\necho 'unshare: unshare failed: Operation not permitted' >&2; exit 1\n")
    unshare.chmod(0o755)
    monkeypatch.setattr(requirements, "SEARCH_PATH", f"{tmp_path}:/usr/bin:/bin")
    for uid, cure in ((0, "--privileged"), (1000, "sudo")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        (problem,) = check_machine()
        assert "Operation not permitted" in problem
        assert cure in problem
