"""What every test of probes needs: a machine that can make namespaces, a small routed network, and a trial on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.trials import Trial, reachable, trial
from vrbench.probes.observation import SshGuests

TOOLS = ("arping", "unshare", "nsenter", "ip", "nft", "sshd", "ssh-keygen", "conntrack", "setpriv", "sysctl")


@pytest.fixture(scope="session")
def _lab_machine() -> None:
    """Root and the tools, or a loud skip; in CI a failure."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    lacking = "root" if os.geteuid() != 0 else ", ".join(missing)
    if lacking:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"this machine lacks {lacking}")


@pytest.fixture(scope="module")
def box(_lab_machine: None) -> Iterator[Box]:
    """Provide a harness, a router and three guests, shared by the tests of a module."""
    made = routed_box(guests=3)
    yield made
    made.close()


@pytest.fixture
def gate(box: Box) -> Iterator[Box]:
    """Provide the box, whose router forwards everything again after the test."""
    yield box
    box.run("router", "nft", "flush chain ip gate cut")


@pytest.fixture(scope="module")
def ssh_guests(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGuests]:
    """Provide the box's guests as SSH reaches them, shared by the tests of a module."""
    with reachable(box, tmp_path_factory.mktemp("guests")) as made:
        yield made


@pytest.fixture
def under_way(ssh_guests: SshGuests, box: Box, tmp_path: Path) -> Iterator[Trial]:
    """Provide a trial that has been requested after its baseline."""
    with trial(ssh_guests, box, tmp_path / "trial") as begun:
        yield begun
