"""What is looked at in a guest before it is probed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.probes.box import Box, routed_box
from tests.probes.rig import HARNESS, ROUTER
from tests.probes.servers import start_sshd
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.model import Environment, Guest
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.probes.config import ProbeError
from vrbench.probes.observation import SshGuests
from vrbench.probes.readiness import Readiness, judge, noted
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import generate_key

GOOD = {"python": "/usr/bin/python3", "icmp": "3", "cloud-init": "0", "maxstartups": "1000:30:2000"}


def test_a_good_guest_leaves_no_doubt() -> None:
    """Neither does one that tells nothing of sshd (no root) and has no cloud-init."""
    assert judge(GOOD) == Readiness()
    assert judge({"python": "p", "icmp": "2"}) == Readiness()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"maxstartups": "10:30:100"}, "MaxStartups 10:30:100"),
        ({"persourcepenalties": "crash:90 authfail:5", "openssh": "10.0"}, "PerSourcePenalties is on"),
        ({"cloud-init": "124"}, "had not finished"),
        ({"cloud-init": "1"}, "reports errors"),
    ],
)
def test_what_may_fake_an_outage_is_said(found: dict[str, str], words: str) -> None:
    """Each setting that lets sshd refuse probes of a network that is up."""
    (doubt,) = judge({**GOOD, **found}).doubts
    assert words in doubt.detail


@pytest.mark.parametrize(("openssh", "doubted"), [("9.7", False), ("9.8", True), ("10.0", True)])
def test_settings_that_can_not_be_read_are_those_of_the_version(openssh: str, doubted: bool) -> None:
    """Without the right to read them, OpenSSH from 9.8 on must be expected to have its penalties on."""
    doubts = judge({"python": "p", "icmp": "3", "openssh": openssh}).doubts
    assert bool(doubts) is doubted
    assert judge({**GOOD, "openssh": openssh, "persourcepenalties": "no"}).doubts == ()


@pytest.mark.parametrize(("lacking", "words"), [("python", "no Python 3.6"), ("icmp", "may not send ICMP")])
def test_what_no_agent_can_do_without_is_told(lacking: str, words: str) -> None:
    """Without an interpreter or any right to ICMP there is nothing to start."""
    assert words in judge({k: v for k, v in GOOD.items() if k != lacking}).unfit


@pytest.mark.parametrize(("sessions", "fit"), [("1", False), ("2", False), ("3", True), ("10", True)])
def test_a_connection_must_carry_all_that_a_run_does_in_a_guest(sessions: str, fit: bool) -> None:
    """The agent answers over the same connection that fetches its log."""
    unfit = judge({**GOOD, "maxsessions": sessions}).unfit
    assert (unfit == "") is fit
    assert fit or f"MaxSessions {sessions}" in unfit


def test_a_doubt_is_said_once_for_all_guests() -> None:
    """Ten guests of one template give one line."""
    same = Readiness(doubts=(Caveat(CaveatKind.SSHD_LIMITS, "it is shy"),))
    assert noted({"vm1": same, "vm2": Readiness(), "vm3": same}) == (
        Caveat(CaveatKind.SSHD_LIMITS, "vm1, vm3: it is shy"),
    )


@dataclass(frozen=True)
class Booting:
    """A box of its own, whose guest has a boot and an sshd that a test can set up, and what waits for it.

    What is mounted in the box after ``start`` is not seen by the guest.
    """

    box: Box
    ssh_guests: SshGuests
    etc_ssh: Path

    def cloud_init(self, script: str) -> None:
        """Let the guest have a cloud-init that does this."""
        self.box.run(None, "sh", "-c", "mkdir -p /run/cloud-init; cat > /usr/local/bin/cloud-init", stdin=script)
        self.box.run(None, "chmod", "755", "/usr/local/bin/cloud-init")

    def start(self) -> SshGuests:
        home = self.etc_ssh.parent
        start_sshd(self.box, "guest0", home, (home / "id.pub").read_text())
        return self.ssh_guests

    def sshd_config(self, *lines: str) -> None:
        (self.etc_ssh / "sshd_config").write_text("\n".join(lines) + "\n")


@pytest.fixture
def booting(_lab_machine: None, tmp_path: Path) -> Iterator[Booting]:
    box, etc_ssh = routed_box(guests=1), tmp_path / "ssh"
    etc_ssh.mkdir()
    box.sh(None, f"mount --bind {shlex.quote(str(etc_ssh))} /etc/ssh; mount -t tmpfs -o mode=755 tmpfs /usr/local/bin")
    (tmp_path / "id.pub").write_text(generate_key(tmp_path / "id"))
    plan = make_plan(load_profile(f'[lab]\n[probes]\negress_target = "{HARNESS}"', "test"), "run")
    guest = Guest("vrb-1-vm1", "id-1", "10.1.1.10", ROUTER, 2200)
    environment = Environment("n", "vrb-1-net", "z", "h", "v", "o", ROUTER, (guest,), ())
    made = Booting(box, SshGuests(plan, environment, tmp_path / "id", HostKeyPins(tmp_path / "known_hosts")), etc_ssh)
    made.sshd_config(f"HostKey {tmp_path / 'guest0_key'}", "MaxStartups 1000:30:2000")
    with box.inside("harness"):
        yield made
    box.close()


@pytest.mark.lab
def test_a_guest_is_ready_when_its_cloud_init_has_ended(booting: Booting) -> None:
    """A login is not enough: waiting ends with cloud-init, and a quiet guest gives no words."""
    booting.cloud_init("#!/bin/sh\nsleep 2; touch /run/cloud-init/ended\n")
    assert booting.start().await_guests(60) == ()
    booting.box.run(None, "test", "-e", "/run/cloud-init/ended")


@pytest.mark.lab
def test_a_cloud_init_that_never_ends_is_not_waited_for_for_ever(booting: Booting) -> None:
    """At the deadline the run goes on, and says so."""
    booting.cloud_init("#!/bin/sh\nexec sleep 150\n")
    began = time.monotonic()
    (note,) = booting.start().await_guests(8)
    assert note == Caveat(CaveatKind.BOOT_DOUBTFUL, "vm1: cloud-init had not finished")
    assert time.monotonic() - began < 60


@pytest.mark.lab
def test_without_a_running_cloud_init_nothing_is_waited_for(booting: Booting) -> None:
    """One that is installed but was never started would keep us waiting for ever."""
    booting.cloud_init("#!/bin/sh\nexec sleep 150\n")
    booting.box.run(None, "rmdir", "/run/cloud-init")
    began = time.monotonic()
    assert booting.start().await_guests(120) == ()
    assert time.monotonic() - began < 100


@pytest.mark.lab
def test_an_sshd_with_its_defaults_is_told(booting: Booting) -> None:
    """The real sshd's own words on how many connections it takes."""
    booting.sshd_config(f"HostKey {booting.etc_ssh.parent / 'guest0_key'}")
    (note,) = booting.start().await_guests(60)
    assert note.kind is CaveatKind.SSHD_LIMITS
    assert note.detail.startswith("vm1: MaxStartups 10:")


@pytest.mark.lab
def test_a_guest_with_neither_python_nor_ping_ends_the_waiting(booting: Booting) -> None:
    """It is said at once, not at the deadline, with the guest's name."""
    hidden = "for p in /usr/bin/python3* /bin/ping /bin/busybox; do mount --bind /bin/false $p; done; "
    booting.box.sh(None, hidden + "p=~/.pyenv; [ ! -d $p ] || mount -t tmpfs tmpfs $p")
    began = time.monotonic()
    with pytest.raises(ProbeError, match=r"vrb-1-vm1 has no Python 3\.6"):
        booting.start().await_guests(120)
    assert time.monotonic() - began < 100


@pytest.mark.lab
def test_a_guest_that_is_not_there_is_named(booting: Booting) -> None:
    """The last reason and what to check."""
    gone = replace(booting.ssh_guests.environment.guests[0], public_port=2299)
    environment = replace(booting.ssh_guests.environment, guests=(gone,))
    with pytest.raises(ProbeError, match=r"1 of 1 VM did not answer on SSH within 1 s; vrb-1-vm1: .*refused"):
        replace(booting.start(), environment=environment).await_guests(1)
