"""The agent inside guests: real interpreters, real namespaces, real packets."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.cuts import cut_off
from tests.probes.rig import AS_USER, HARNESS, Agent, more, read_log, stream, wait_for
from vrbench.core.log import rawlog
from vrbench.core.log.rawlog import LogHeader, RecordKind, StreamHeader
from vrbench.core.model import Direction, Stream
from vrbench.core.plan import streams
from vrbench.probes import agent as agent_module
from vrbench.probes import auth, banner, dns, engine, session, syn
from vrbench.probes.config import PhasedStream
from vrbench.probes.echo import FRESH_CYCLE_S, FRESH_IDS, fresh_cycle_s
from vrbench.probes.prober_process import how_probed

OTHERS = {
    next(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")), shutil.which(f"python{version}") or "")
    for version in ("3.6", "3.13")
}
INTERPRETERS = [sys.executable, *sorted(OTHERS - {""})]


def test_the_format_is_the_one_that_analysis_reads() -> None:
    """The engine's copy of the log's numbers equals the contract."""
    assert engine.FORMAT == rawlog.FORMAT
    assert engine.RECORD.format == rawlog.RECORD.format
    assert {kind.name: getattr(engine, kind.name) for kind in RecordKind} == {
        kind.name: kind.value for kind in RecordKind
    }
    refusals = {
        "RST": syn.REFUSED_RST,
        "CLOSED": banner.REFUSED_CLOSED,
        "NOT_SSH": banner.REFUSED_NOT_SSH,
        "STARTUPS": banner.REFUSED_STARTUPS,
        "PENALTY": banner.REFUSED_PENALTY,
        "CUT": banner.REFUSED_CUT,
        "LOGIN": auth.REFUSED_LOGIN,
        "HOST_KEY": auth.REFUSED_HOST_KEY,
        "BROKEN_OFF": auth.REFUSED_BROKEN_OFF,
        "SESSION_RESET": session.SESSION_RESET,
        "SESSION_CLOSED": session.SESSION_CLOSED,
        "SESSION_GIVEN_UP": session.SESSION_GIVEN_UP,
        "SESSION_OVER": session.SESSION_OVER,
        "DNS": dns.REFUSED_DNS,
    }
    assert refusals == {refusal.name: refusal.value for refusal in rawlog.Refusal}
    assert dns.RESOLVER == streams.RESOLVER


def test_the_header_is_the_one_that_core_writes(tmp_path: Path) -> None:
    """The engine names what ``encode_header`` names, of the log and of each stream, with the same values."""
    asked = PhasedStream(Stream("s", Direction.EGRESS, "icmp-egress", "fresh", "203.0.113.1", 0.1), 0.02)
    log = engine.Log(str(tmp_path / "log.raw"))
    log.create("vm1", 7, [asked.as_json()], {"method": "raw"})
    os.close(log.fd)
    written = (tmp_path / "log.raw").read_bytes()
    described = StreamHeader(asked.stream, 7 + 20_000_000, 100_000_000)
    expected = rawlog.encode_header(LogHeader("vm1", 7, (described,), "raw", send_widths=True))
    assert json.loads(written) == json.loads(expected)
    assert rawlog.decode_header(written)[0] == rawlog.decode_header(expected)[0]


@pytest.mark.lab
@pytest.mark.parametrize("python", INTERPRETERS)
@pytest.mark.parametrize("as_user", [False, True], ids=["raw", "datagram"])
def test_every_probe_is_answered(box: Box, tmp_path: Path, python: str, as_user: bool) -> None:
    """On a clean path both flows get one reply per slot, whatever the interpreter and the rights."""
    box.sh("guest0", "sysctl -qw net.ipv4.ping_group_range='0 2147483647'")
    agent = Agent(box, tmp_path, run_by=(*(AS_USER if as_user else ()), python))
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(more(agent.log, 62, stream=0), "samples")
    wait_for(more(agent.log, 1, stream=1), "samples")
    logged = agent.stop()
    assert [h.stream.flow for h in logged.header.streams] == ["persistent", "fresh"]
    for index in (0, 1):
        assert logged.slots(RecordKind.SENT, index)
        assert logged.unanswered(index) == []
    assert logged.records[-1].kind is RecordKind.END
    assert b'"datagram"' in agent.log.read_bytes() if as_user else b'"raw"' in agent.log.read_bytes()


@pytest.mark.lab
def test_fresh_flows_are_fresh_to_the_router(box: Box, tmp_path: Path) -> None:
    """A fresh stream makes a tracked flow per probe, a persistent one a single flow; so did each one's rehearsal."""
    box.run("router", "conntrack", "-F")
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.3), "samples")
    sent = len(agent.stop().slots(RecordKind.SENT, 1))
    flows = box.run("router", "conntrack", "-L", "-p", "icmp").count("src=10.1.1.10")
    assert flows == sent + 1 + 2


@pytest.mark.lab
def test_guests_behind_one_router_share_no_id(box: Box, tmp_path: Path) -> None:
    """Each lane has its own ids, more than a router's tracking remembers, so NAT never has to choose others."""
    box.run("router", "conntrack", "-F")
    agents = [Agent(box, tmp_path, guest=f"guest{lane}", lane=(lane, 2)) for lane in (0, 1)]
    for agent in agents:
        agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh", 0.002))
        agent.start()
    for agent in agents:
        wait_for(more(agent.log, 110, stream=1), "samples")
    for agent in agents:
        agent.stop()
    flows = box.run("router", "conntrack", "-L", "-p", "icmp").splitlines()
    ids = [{int(re.findall(r" id=(\d+)", f)[0]) for f in flows if f"src=10.1.1.{10 + n} " in f} for n in (0, 1)]
    assert min(map(len, ids)) > 100
    assert not ids[0] & ids[1]
    assert all(len(set(re.findall(r" id=(\d+)", flow))) == 1 for flow in flows)


@pytest.mark.parametrize(
    ("lanes", "interval_s", "rare"), [(11, 0.01, True), (17, 0.01, True), (18, 0.01, False), (9, 0.005, False)]
)
def test_fresh_ids_rest_longer_than_a_router_remembers(lanes: int, interval_s: float, rare: bool) -> None:
    """Egress and control take ids apart, so neither is slowed by the other; where the cycle is short it is known."""
    streams = [stream(target, "fresh", interval_s).as_json() for target in ("192.0.2.1", "192.0.2.2")]
    assert (fresh_cycle_s(streams, lanes) >= FRESH_CYCLE_S) is rare
    assert fresh_cycle_s([*streams, streams[0]], lanes) == pytest.approx(fresh_cycle_s(streams, lanes) / 2)


@pytest.mark.lab
def test_each_target_has_all_fresh_ids_of_its_own(box: Box, tmp_path: Path) -> None:
    """With 60 ids in a lane two targets get 60 flows each, and the log's header says how soon they come round."""
    box.run("router", "conntrack", "-F")
    box.run("harness", "ip", "addr", "replace", "198.51.100.4/24", "dev", "h0")
    agent = Agent(box, tmp_path, lane=(1, 1024))
    agent.configure(stream(HARNESS, "fresh", 0.005), stream("198.51.100.4", "fresh", 0.005))
    agent.start()

    def all_around() -> bool:
        """Return whether every id was taken, however many slots a busy machine leaves out."""
        return all(
            {slot % 60 for slot in read_log(agent.log).slots(RecordKind.SENT, n)} == set(range(60)) for n in (0, 1)
        )

    wait_for(all_around, "one round through the ids")
    logged = agent.stop()
    flows = box.run("router", "conntrack", "-L", "-p", "icmp").splitlines()
    for index, target in enumerate((HARNESS, "198.51.100.4")):
        assert logged.unanswered(index) == []
        ids = [int(re.findall(r" id=(\d+)", f)[0]) for f in flows if f"src=10.1.1.10 dst={target} " in f]
        assert sorted(i for i in ids if i < FRESH_IDS) == list(range(60, 120))
    assert how_probed(agent.log)[0].startswith("fresh ICMP ids come round after 0.3 s")


@pytest.mark.lab
@pytest.mark.parametrize("as_user", [False, True], ids=["raw", "datagram"])
def test_a_refusal_is_told_from_silence(gate: Box, tmp_path: Path, as_user: bool) -> None:
    """A router that answers "prohibited" is logged with the ICMP type and code, on the slot that it refused."""
    gate.sh("guest0", "sysctl -qw net.ipv4.ping_group_range='0 2147483647'")
    agent = Agent(gate, tmp_path, run_by=(*(AS_USER if as_user else ()), sys.executable))
    agent.configure(stream(HARNESS, "persistent", 0.05), stream(HARNESS, "fresh", 0.05))
    agent.start()
    gate.run("router", "nft", "add rule ip gate cut reject with icmp type admin-prohibited")
    for index in (0, 1):
        wait_for(more(agent.log, 6, RecordKind.REFUSED, index), "refusals")
    logged = agent.stop()
    for index in (0, 1):
        refusals = logged.refusals(index)
        assert set(refusals.values()) == {3 << 8 | 13}
        assert sorted(refusals) == logged.unanswered(index)
        assert len(refusals) >= 5


@pytest.mark.lab
def test_a_stopped_agent_leaves_gaps(box: Box, tmp_path: Path) -> None:
    """SIGSTOP for a second gives slots without a record: no loss, and no burst on waking."""
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.3), "samples")
    pid = agent.pid()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)  # the very thing under test, not a wait for a result
    os.kill(pid, signal.SIGCONT)
    wait_for(agent.seconds(0.3), "samples")
    logged = agent.stop()
    for index in (0, 1):
        sent = logged.sent_ns(index)
        slots = sorted(sent)
        assert logged.unanswered(index) == []
        assert max(b - a for a, b in pairwise(slots)) >= 95
        schedule = logged.header.streams[index]
        assert [slot for slot, at in sent.items() if at < schedule.start_ns + slot * schedule.interval_ns] == []
        replied = {r.slot: r.t_ns for r in logged.records if r.kind is RecordKind.REPLY and r.stream == index}
        assert max(replied[slot] - sent[slot] for slot in slots) < 900_000_000, "arrival times come from the kernel"


@pytest.mark.lab
def test_an_outage_lies_within_its_bounds(gate: Box, tmp_path: Path) -> None:
    """A packet filter that drops for a second gives one run of losses whose bounds hold the truth."""
    agent = Agent(gate, tmp_path)
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.3), "samples")
    with cut_off(gate) as outage:
        time.sleep(1.0)  # the outage itself
    wait_for(agent.seconds(0.3), "samples")
    logged = agent.stop()
    for index in (0, 1):
        sent, down = logged.sent_ns(index), logged.unanswered(index)
        up = logged.slots(RecordKind.REPLY, index)
        before, after = max(slot for slot in up if slot < down[0]), min(slot for slot in up if slot > down[0])
        assert down[-1] < after, "one run of losses"
        at_least, at_most = sent[down[-1]] - sent[down[0]], sent[after] - sent[before]
        assert at_least / 1e9 <= outage.at_most_s
        assert at_most / 1e9 >= outage.at_least_s
        unsent = after - before - 1 - len(down)  # a busy machine may keep some from being sent
        assert unsent < (after - before) / 2, "most are sent"
        assert at_most - at_least < 40_000_000 + unsent * 10_000_000


@pytest.mark.lab
def test_starting_twice_says_why_not(box: Box, tmp_path: Path) -> None:
    """A running agent is not disturbed by a second one, and a log that is there is never written over."""
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS))
    agent.start()
    second = agent.call("start", str(agent.config))
    assert second.returncode == 1
    assert b"runs already" in second.stdout
    size = len(agent.stop().records)
    third = agent.call("start", str(agent.config))
    assert third.returncode == 1
    assert b"File exists" in third.stdout
    assert read_log(agent.log).records[-1].kind is RecordKind.END
    assert len(read_log(agent.log).records) == size


@pytest.mark.lab
def test_without_any_right_to_icmp_it_says_what_to_do(box: Box, tmp_path: Path) -> None:
    """Neither raw nor datagram sockets: the answer names the sysctl, and no log is left."""
    box.sh("guest1", "sysctl -qw net.ipv4.ping_group_range='1 0'")
    agent = Agent(box, tmp_path, run_by=(*AS_USER, sys.executable), guest="guest1")
    agent.configure(stream(HARNESS))
    done = agent.call("start", str(agent.config))
    assert done.returncode == 1
    assert b"ping_group_range" in done.stdout
    assert not agent.log.exists()


@pytest.mark.lab
def test_it_ends_by_itself(box: Box, tmp_path: Path) -> None:
    """After its lifetime an agent that nobody stops ends its log and is gone."""
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS), max_s=0.3)
    agent.start()
    wait_for(lambda: read_log(agent.log).records[-1].kind is RecordKind.END, "END")
    assert agent.call("stop", str(agent.config)).returncode == 0


@pytest.mark.lab
def test_following_copies_the_log_to_its_end(box: Box, tmp_path: Path) -> None:
    """follow gives the very bytes of the log from any offset, and ends with it."""
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS), max_s=0.5)
    agent.start()
    followed = agent.call("follow", str(agent.log), "100")
    assert followed.returncode == 0, followed.stderr
    assert followed.stdout == agent.log.read_bytes()[100:]
    again = agent.call("follow", str(agent.log), str(agent.log.stat().st_size))
    assert (again.returncode, again.stdout) == (0, b"")


@pytest.mark.lab
def test_following_a_killed_agent_ends_too(box: Box, tmp_path: Path) -> None:
    """Without END and without its prober, follow gives what there is and says so by its exit code."""
    agent = Agent(box, tmp_path)
    agent.configure(stream(HARNESS))
    agent.start()
    wait_for(agent.seconds(0.2), "samples")
    os.kill(agent.pid(), signal.SIGKILL)
    followed = agent.call("follow", str(agent.log), "0")
    assert (followed.returncode, followed.stdout) == (3, agent.log.read_bytes())


@pytest.mark.lab
def test_removing_leaves_nothing(box: Box, tmp_path: Path) -> None:
    """remove stops the prober and deletes the agent's directory, and refuses any other directory."""
    home = tmp_path / "home"
    home.mkdir()
    agent = Agent(box, home)
    agent.configure(stream(HARNESS))
    agent.start()
    pid = agent.pid()
    assert agent.call("remove", str(tmp_path)).returncode == 1
    assert agent.call("remove", str(home)).returncode == 0
    assert not home.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_facts_say_where_the_gateway_is(capsys: pytest.CaptureFixture[str]) -> None:
    """facts prints one JSON line with this machine's boot id."""
    assert agent_module.main(["facts"]) == 0
    assert Path("/proc/sys/kernel/random/boot_id").read_text().strip() in capsys.readouterr().out


@pytest.mark.lab
@pytest.mark.parametrize("as_user", [False, True], ids=["raw", "datagram"])
def test_an_error_about_a_probe_that_never_left_ends_nothing(gate: Box, tmp_path: Path, as_user: bool) -> None:
    """A rule of the guest's own answers with an ICMP error: the probes have failed, and probing goes on."""
    gate.sh("guest0", "sysctl -qw net.ipv4.ping_group_range='0 2147483647'")
    agent = Agent(gate, tmp_path, run_by=(*(AS_USER if as_user else ()), sys.executable))
    agent.configure(stream(HARNESS, "persistent"), stream(HARNESS, "fresh"))
    agent.start()
    wait_for(agent.seconds(0.3), "samples")
    gate.sh("guest0", "nft add table ip own; nft 'add chain ip own leaving { type filter hook output priority 0; }'")
    gate.run("guest0", "nft", "add rule ip own leaving icmp type echo-request reject")
    for index in (0, 1):
        wait_for(more(agent.log, 22, RecordKind.FAILED, index), "failures")
    gate.run("guest0", "nft", "delete table ip own")
    wait_for(agent.seconds(0.3), "samples")
    logged = agent.stop()
    for index in (0, 1):
        assert len(logged.slots(RecordKind.FAILED, index)) > 20
        assert logged.unanswered(index) == []
        assert max(logged.slots(RecordKind.REPLY, index)) > max(logged.slots(RecordKind.FAILED, index))
