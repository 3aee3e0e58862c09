"""All probers of a trial, and what is left of their samples when the path or the guest fails at the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, ROUTER, read_log, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.log.rawlog import RecordKind
from vrbench.core.model import Endpoint, Environment, Guest
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.probes import observation as observation_module
from vrbench.probes.observation import SshGuests, TrialProbers
from vrbench.remote.host_keys import HostKeyPins
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab
VM = "vrb-1-vm1"
PROFILE = f'[lab]\n[environment]\nvms = 1\npublic_ips = 1\n[probes]\negress_target = "{HARNESS}"\ndns = false'


def small_plan() -> Plan:
    return make_plan(load_profile(PROFILE, "test"), "run")


def one_guest() -> Environment:
    guest, endpoint = Guest(VM, "id-1", "10.1.1.10", ROUTER, 2200), Endpoint(ROUTER, 2200, VM)
    return Environment("n", "vrb-1-net", "z", "h", "v", "o", ROUTER, (guest,), (endpoint,))


@pytest.fixture
def ssh_guests(box: Box, tmp_path: Path) -> Iterator[SshGuests]:
    """Provide what reaches guest0 by SSH; the test's thread stands in the harness's network."""
    server = start_sshd(box, "guest0", tmp_path, generate_key(tmp_path / "id"))
    with box.inside("harness"):
        yield SshGuests(small_plan(), one_guest(), tmp_path / "id", HostKeyPins(tmp_path / "known_hosts"))
    stop_server(box, "guest0", server)


@pytest.fixture
def running(ssh_guests: SshGuests, tmp_path: Path) -> Iterator[TrialProbers]:
    """Provide a trial's observation with samples of its guest."""
    (tmp_path / "trial").mkdir()
    observation = ssh_guests.observation(tmp_path / "trial")
    observation.start()
    wait_for(lambda: guest_log(observation).exists() and guest_log(observation).stat().st_size > 1000, "samples")
    yield observation
    ssh_guests.leave()


def guest_log(observation: TrialProbers) -> Path:
    return observation.folder / "guest-vm1.raw"


def all_up(observation: TrialProbers) -> bool:
    return all(state.up for state in observation.states())


def cut(box: Box) -> None:
    box.run("router", "nft", "add rule ip gate cut meta l4proto tcp reject with tcp reset")


def mend(box: Box) -> None:
    box.run("router", "nft", "flush chain ip gate cut")


def test_all_is_well(running: TrialProbers, ssh_guests: SshGuests) -> None:
    """A quiet trial: whole logs, a clock for the guest, and in the end nothing left in it."""
    home = Path(running._agents[0].place).parent
    collected = running.stop()
    assert (collected.agents_lost, collected.guests_rebooted, collected.probers_failed) == ((), (), ())
    assert abs(collected.clocks[VM].offset_ns) <= collected.clocks[VM].error_ns
    assert read_log(guest_log(running)).records[-1].kind is RecordKind.END
    assert not list(home.glob("probe*"))
    ssh_guests.leave()
    assert not home.exists()


def test_the_next_trial_finds_all_of_it_waiting(ssh_guests: SshGuests, tmp_path: Path) -> None:
    """The agent is where it was, on the same connection, and the harness's probers have started already."""
    ssh_guests.plan = make_plan(load_profile(PROFILE, "test", ("trials.count=2",)), "run")
    seen = []
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        observation = ssh_guests.observation(tmp_path / f"{number}")
        waiting = {prober: process.pid for prober, process in ssh_guests.spares._waiting.items()}
        observation.start()
        wait_for(partial(all_up, observation), "every stream up")
        used = {p.config.prober: p.pid for p in observation._probers}
        remote = ssh_guests.home(ssh_guests.environment.guests[0])._kept._remote
        seen.append((waiting, used, remote))
        assert observation.stop().agents_lost == ()
    (first_waiting, first_used, first_remote), (waiting, used, remote) = seen
    assert (first_waiting, remote) == ({}, first_remote)
    assert waiting == used
    assert used.keys() == first_used.keys()
    assert ssh_guests.spares._waiting == {}, "no trial follows"
    ssh_guests.leave()


def test_a_path_that_is_away_when_a_trial_ends_costs_no_samples(running: TrialProbers, gate: Box) -> None:
    """Every first attempt is reset; two seconds later the path is back, and with it all samples."""
    cut(gate)
    back = threading.Timer(2.0, mend, [gate])
    back.start()
    collected = running.stop()
    back.join()
    assert collected.agents_lost == ()
    assert read_log(guest_log(running)).records[-1].kind is RecordKind.END


def test_what_did_not_arrive_stays_in_the_guest(
    running: TrialProbers, gate: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the end of its log the guest is not cleaned, the words say where the log is, and following has ended."""
    monkeypatch.setattr(observation_module, "COLLECT_S", 3.0)
    (agent,) = running._agents
    place = agent.place
    cut(gate)
    collected = running.stop()
    mend(gate)
    assert place in collected.agents_lost[0]
    assert collected.guests_rebooted == (), "a boot id that can't be read is no reboot"
    assert collected.clocks[VM].error_ns > 0
    assert Path(place).stat().st_size >= guest_log(running).stat().st_size > 1000
    assert agent._follower is not None
    agent._follower.join(60.0)
    assert not agent._follower.is_alive()


def test_the_path_may_fail_between_the_samples_and_the_clock(
    running: TrialProbers, gate: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples that have arrived are whole although neither boot id nor clock can be read: the first clock is kept."""
    monkeypatch.setattr(observation_module, "COLLECT_S", 3.0)
    (agent,) = running._agents
    finish, before = agent.finish, running._clocks[VM]

    def finish_and_cut(_deadline_s: float) -> None:
        finish(60.0)
        cut(gate)

    monkeypatch.setattr(agent, "finish", finish_and_cut)
    collected = running.stop()
    mend(gate)
    assert (collected.agents_lost, collected.guests_rebooted) == ((), ())
    assert collected.clocks[VM] == before


def test_a_reboot_is_told_and_its_samples_are_kept(running: TrialProbers) -> None:
    """Another boot id: the guest is named, its clock is not mixed with the new one, what it wrote is fetched."""
    before = running._clocks[VM]
    running._boots[VM] = "another boot"
    collected = running.stop()
    assert (collected.guests_rebooted, collected.agents_lost) == ((VM,), ())
    assert collected.clocks[VM] == before
    assert read_log(guest_log(running)).records[-1].kind is RecordKind.END
    (agent,) = running._agents
    assert agent._follower is not None
    assert not agent._follower.is_alive()


def test_what_is_out_of_the_ordinary_is_noted_once(running: TrialProbers) -> None:
    """Two logs made without raw sockets give one line of words."""
    syn = (running.folder / "harness-syn.raw").read_bytes().replace(b'"method": "raw"', b'"method": "connect"', 1)
    for name in ("one.raw", "two.raw"):
        (running.folder / name).write_bytes(syn)
        running._logs.append(running._followed(running.folder / name, 0))
    assert running.notes() == ("no raw sockets: TCP connects instead of SYN probes",)
    running.stop()


def test_a_log_that_is_none_ends_no_trial(running: TrialProbers) -> None:
    """Bytes that are no raw log take their streams out of the live view; the others go on."""
    garbled = running.folder / "garbled.raw"
    garbled.write_bytes(b"\xff\x00garbage\n" * 9)
    running._logs.append(running._followed(garbled, 0))
    wait_for(lambda: any(s.up for s in running.states()), "states of the others")
    assert {s.node for s in running.states()} == {"harness", VM}
    assert running.notes() == ()
    running.stop()
