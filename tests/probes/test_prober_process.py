"""The harness's prober processes against a router, guests and real daemons."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from tests.probes.box import Box
from tests.probes.rig import AS_USER, ROUTER, Logged, more, read_log, stream, wait_for
from tests.probes.servers import start_speaker, start_sshd, stop_server
from vrbench.core.kinds import SSH_SYN
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.probes.config import ProbeError
from vrbench.probes.prober_process import ProberConfig, ProberProcess, how_probed, start_prober

pytestmark = pytest.mark.lab
GUEST, OTHER = f"{ROUTER}:2201", f"{ROUTER}:2202"  # forwarded to the SSH ports of guest1 and guest2
BARE = f"{ROUTER}:2200"  # to that of guest0, which runs no sshd
Layer = Literal["syn", "banner"]
ROOT = Path(__file__).parents[2]
_PROBE = """
import sys, time
from pathlib import Path
from tests.probes.rig import more, stream, wait_for
from vrbench.probes.prober_process import ProberConfig, start_prober

streams = (stream(sys.argv[2], "syn", float(sys.argv[3]), "ssh"),)
prober = start_prober(ProberConfig("syn", "harness", Path(sys.argv[1]), streams))
"""


@pytest.fixture(scope="module")
def sshd(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Provide a real sshd on guest1 and guest2."""
    home = tmp_path_factory.mktemp("sshd")
    servers = [start_sshd(box, node, home) for node in ("guest1", "guest2")]
    yield
    for node, server in zip(("guest1", "guest2"), servers, strict=True):
        stop_server(box, node, server)


@contextlib.contextmanager
def probing(box: Box, log: Path, kind: Layer, *targets: str, interval_s: float = 0.02) -> Iterator[ProberProcess]:
    streams = tuple(stream(target, kind, interval_s, "ssh") for target in targets or (GUEST,))
    with box.inside("harness"):
        prober = start_prober(ProberConfig(kind, "harness", log, streams))
    try:
        yield prober
    finally:
        prober.stop()


def probed(box: Box, log: Path, kind: Layer, *targets: str, interval_s: float = 0.02) -> Logged:
    """Return the log of a prober that has sent ten probes or more to each target."""
    with probing(box, log, kind, *targets, interval_s=interval_s):
        for index in range(len(targets or (GUEST,))):
            wait_for(more(log, 10, stream=index), "probes")
    return read_log(log)


@pytest.mark.usefixtures("sshd")
def test_syn_probes_of_two_targets_are_answered(box: Box, tmp_path: Path) -> None:
    """Every SYN at 10 ms gets its own answer, and sshd never accepts a connection for it."""
    logged = probed(box, tmp_path / "log", "syn", GUEST, OTHER, interval_s=0.01)
    for index in (0, 1):
        assert len(logged.slots(RecordKind.SENT, index)) >= 10
        assert logged.unanswered(index) == []
    assert logged.records[-1].kind is RecordKind.END


@pytest.mark.usefixtures("sshd")
def test_banner_probes_read_a_real_sshd(box: Box, tmp_path: Path) -> None:
    """Each probe connects first, then has the identification string."""
    logged = probed(box, tmp_path / "log", "banner", interval_s=0.1)
    assert len(logged.slots(RecordKind.SENT)) >= 10
    assert logged.unanswered() == []
    assert logged.slots(RecordKind.CONNECTED) == logged.slots(RecordKind.SENT)
    assert how_probed(tmp_path / "log") == (), "banners are always read over connections"


_COUNT_RESETS = """
table ip seen {
  chain resets { type filter hook prerouting priority -300; tcp dport 2201 tcp flags & (rst | syn) == rst counter; }
}
"""


def test_at_the_finest_interval_no_port_comes_round_within_the_threshold(gate: Box, tmp_path: Path) -> None:
    """5 ms and 0.99 s: no unanswered SYN is reset to make way for another before its time is over."""
    gate.run("router", "nft", "add rule ip gate cut drop")
    gate.run("router", "nft", "-f", "-", stdin=_COUNT_RESETS)
    with gate.inside("harness"):
        streams = (stream(GUEST, "syn", 0.005, "ssh"),)
        prober = start_prober(ProberConfig("syn", "harness", tmp_path / "log", streams, threshold_s=0.99))
    wait_for(lambda: len(read_log(tmp_path / "log").slots(RecordKind.SENT)) > 150, "probes")
    resets = int(re.findall(r"packets (\d+)", gate.run("router", "nft", "list table ip seen"))[0])
    prober.stop()
    gate.run("router", "nft", "delete table ip seen")
    last = max(read_log(tmp_path / "log").slots(RecordKind.SENT))
    assert resets <= max(0, last - 198)


def test_more_ports_than_there_are_is_told(box: Box, tmp_path: Path) -> None:
    """A hundred and forty addresses at 5 ms want more source ports than lie below the ephemeral ones."""
    targets = tuple(stream(GUEST, "syn", 0.005, "ssh") for _ in range(140))
    with box.inside("harness"), pytest.raises(ProbeError, match=r"TCP ports are free|many open files"):
        start_prober(ProberConfig("syn", "harness", tmp_path / "log", targets))


@pytest.mark.parametrize("kind", ["syn", "banner"])
def test_a_closed_port_refuses(box: Box, tmp_path: Path, kind: Layer) -> None:
    """A reset that answers the SYN is a refusal, not silence."""
    logged = probed(box, tmp_path / "log", kind, BARE)
    assert set(logged.refusals().values()) == {Refusal.RST}
    assert sorted(logged.refusals()) == logged.judged()


@pytest.mark.usefixtures("sshd")
@pytest.mark.parametrize("kind", ["syn", "banner"])
def test_a_prohibiting_router_refuses(gate: Box, tmp_path: Path, kind: Layer) -> None:
    """An ICMP error is logged with its type and code, on the slot that it refused."""
    gate.run("router", "nft", "add rule ip gate cut reject with icmp type admin-prohibited")
    logged = probed(gate, tmp_path / "log", kind)
    assert set(logged.refusals().values()) == {3 << 8 | 13}
    assert sorted(logged.refusals()) == logged.judged()


@pytest.mark.parametrize(
    ("words", "refusal"),
    [("", Refusal.CLOSED), ("No room today\\r\\n", Refusal.NOT_SSH), ("x" * 1500, Refusal.NOT_SSH)],
    ids=["closed", "other words", "chatter"],
)
def test_what_is_not_ssh_is_told_apart(box: Box, tmp_path: Path, words: str, refusal: Refusal) -> None:
    """Hanging up, other words and endless chatter are refusals of a path that is up: CONNECTED came first."""
    server = start_speaker(box, "guest0", words)
    logged = probed(box, tmp_path / "log", "banner", BARE, interval_s=0.05)
    stop_server(box, "guest0", server)
    assert set(logged.refusals().values()) == {refusal}
    assert logged.slots(RecordKind.CONNECTED) == logged.slots(RecordKind.SENT)


def test_lines_before_the_identification_are_allowed(box: Box, tmp_path: Path) -> None:
    """RFC 4253 lets a server say other things first."""
    server = start_speaker(box, "guest0", "welcome\\r\\nSSH-2.0-test\\r\\n")
    logged = probed(box, tmp_path / "log", "banner", BARE, interval_s=0.05)
    stop_server(box, "guest0", server)
    assert logged.unanswered() == []


@pytest.mark.usefixtures("sshd")
@pytest.mark.parametrize("kind", ["syn", "banner"])
def test_an_outage_is_silence_and_ends_when_the_path_is_back(gate: Box, tmp_path: Path, kind: Layer) -> None:
    """A dropped second gives one run of losses, closed by the first probe after it, and no late success."""
    log = tmp_path / "log"
    with probing(gate, log, kind, interval_s=0.1):
        wait_for(more(log, 5, RecordKind.REPLY), "answers")
        gate.run("router", "nft", "add rule ip gate cut drop")
        began = time.monotonic_ns()
        wait_for(more(log, 12), "an outage")
        ends = time.monotonic_ns()
        gate.run("router", "nft", "flush chain ip gate cut")
        ended = time.monotonic_ns()
        wait_for(more(log, 5, RecordKind.REPLY), "answers again")
    logged = read_log(log)
    sent, down = logged.sent_ns(), logged.unanswered()
    within = [slot for slot, at in sent.items() if began <= at <= ends]
    assert len(within) >= 11
    assert set(within) & set(logged.judged()) <= set(down)
    assert down == [slot for slot in logged.judged() if down[0] <= slot <= down[-1]]
    assert sent[down[0]] > began - 1e9, "a probe of long before the outage is no loss"
    assert sent[down[-1]] < ended
    assert logged.refusals() == {}


@pytest.mark.usefixtures("sshd")
def test_a_flow_tracked_to_a_dead_address_does_not_outlive_it(box: Box, tmp_path: Path) -> None:
    """SYNs first forwarded to an address where nobody is recover with the rule, not when their tracking expires."""
    box.run("router", "nft", "flush chain ip nat forwards")
    box.run("router", "nft", "add rule ip nat forwards tcp dport 2201 dnat to 10.1.1.99:22")
    box.run("router", "ip", "neigh", "replace", "10.1.1.99", "lladdr", "02:00:00:00:00:99", "dev", "br0")
    with probing(box, tmp_path / "log", "syn", interval_s=0.02):
        wait_for(more(tmp_path / "log", 75), "dead probes")  # longer than one round through the source ports
        box.run("router", "nft", "flush chain ip nat forwards")
        box.run("router", "nft", "add rule ip nat forwards tcp dport 2201 dnat to 10.1.1.11:22")
        recovered = time.monotonic_ns()
        for i in (0, 2):
            box.run("router", "nft", f"add rule ip nat forwards tcp dport {2200 + i} dnat to 10.1.1.{10 + i}:22")
        wait_for(more(tmp_path / "log", 30), "probes")
    logged = read_log(tmp_path / "log")
    after = [slot for slot, at in logged.sent_ns().items() if at > recovered]
    assert len(after) > 20
    assert set(after) <= set(logged.slots(RecordKind.REPLY))


@pytest.mark.usefixtures("sshd")
def test_a_stopped_prober_leaves_gaps(box: Box, tmp_path: Path) -> None:
    """SIGSTOP gives slots without a record, never losses."""
    with probing(box, tmp_path / "log", "syn", interval_s=0.01) as prober:
        wait_for(more(tmp_path / "log", 20), "probes")
        os.kill(prober.pid, signal.SIGSTOP)
        time.sleep(0.5)  # the pause itself, not a wait for a result
        os.kill(prober.pid, signal.SIGCONT)
        wait_for(more(tmp_path / "log", 20), "probes")
    logged = read_log(tmp_path / "log")
    slots = sorted(logged.slots(RecordKind.SENT))
    assert logged.unanswered() == []
    assert max(b - a for a, b in pairwise(slots)) >= 45


@pytest.mark.usefixtures("sshd")
def test_a_prober_ends_in_order_when_its_parent_is_killed(box: Box, tmp_path: Path) -> None:
    """Killing the parent outright leaves a log with END and no process."""
    script = _PROBE + "print(prober.pid, flush=True); time.sleep(60)"
    with box.inside("harness"):
        parent = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "log"), GUEST, "0.02"], stdout=subprocess.PIPE, cwd=ROOT
        )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: read_log(tmp_path / "log").records[-1].kind is RecordKind.END, "END")
    wait_for(lambda: not Path(f"/proc/{child}").exists(), "the prober's exit")


@pytest.mark.usefixtures("sshd")
def test_a_terminals_interrupt_does_not_reach_it(box: Box, tmp_path: Path) -> None:
    """SIGINT is ignored, stop() is honoured, twice if need be, and the log is complete."""
    with probing(box, tmp_path / "log", "syn") as prober:
        os.kill(prober.pid, signal.SIGINT)
        wait_for(more(tmp_path / "log", 10), "probes after the signal")
        assert prober.alive()
        prober.stop()
        assert not prober.alive()
    assert read_log(tmp_path / "log").records[-1].kind is RecordKind.END


def test_a_killed_prober_is_told(box: Box, tmp_path: Path) -> None:
    """A log without END is an error at stop, and what was logged stays readable."""
    with box.inside("harness"):
        prober = start_prober(ProberConfig("syn", "h", tmp_path / "log", (stream(BARE, "syn", 0.02, "ssh"),)))
    wait_for(more(tmp_path / "log", 5), "probes")
    os.kill(prober.pid, signal.SIGKILL)
    wait_for(lambda: not prober.alive(), "its death")
    with pytest.raises(ProbeError, match="without an end"):
        prober.stop()
    assert len(read_log(tmp_path / "log").slots(RecordKind.SENT)) > 2


def test_a_full_disk_is_told_and_what_fits_is_kept(box: Box, tmp_path: Path) -> None:
    """A log that can't grow ends the prober; stop says why, and the records written stay readable."""
    with box.inside("harness"):
        prober = start_prober(ProberConfig("syn", "h", tmp_path / "log", (stream(BARE, "syn", 0.02, "ssh"),)))
    resource.prlimit(prober.pid, resource.RLIMIT_FSIZE, (1000, 1000))
    wait_for(lambda: not prober.alive(), "its end")
    with pytest.raises(ProbeError, match="File too large"):
        prober.stop()
    assert len(read_log(tmp_path / "log").records) > 5


@pytest.mark.usefixtures("sshd")
def test_a_prober_is_small(box: Box, tmp_path: Path) -> None:
    """It stays below 20 MB and loads none of the libraries that the rest of the harness lives on."""
    with probing(box, tmp_path / "log", "syn") as prober:
        status = Path(f"/proc/{prober.pid}/status").read_text()
        mapped = Path(f"/proc/{prober.pid}/maps").read_text()
    assert int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) < 20_000
    assert "site-packages" not in mapped


@pytest.mark.parametrize(
    ("target", "interval_s", "why"),
    [("203.0.113.9:22", 0.1, "no route"), ("www.example.org:22", 0.1, "not an IPv4 address"), (GUEST, 0.1, "exists")],
)
def test_what_can_not_start_says_why(box: Box, tmp_path: Path, target: str, interval_s: float, why: str) -> None:
    """A prober that can't begin is a ProbeError at once, with the cause."""
    log = tmp_path / "log"
    if why == "exists":
        log.touch()
    began = time.monotonic()
    with pytest.raises(ProbeError, match=why), probing(box, log, "syn", target, interval_s=interval_s):
        pass
    assert time.monotonic() - began < SSH_SYN.start_s / 2, "it was waited for in vain"


@pytest.mark.usefixtures("sshd")
def test_without_raw_sockets_syn_falls_back_to_connecting(box: Box, tmp_path: Path) -> None:
    """Without the right to raw sockets the stream stays, its method says "connect", and fine intervals are refused."""
    script = _PROBE + "wait_for(more(prober.log, 4), 'probes'); prober.stop()"

    def run(log: Path, interval: str) -> subprocess.CompletedProcess[str]:
        argv = [*AS_USER, sys.executable, "-c", script, str(log), GUEST, interval]
        return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)

    with box.inside("harness"):
        done, refused = run(tmp_path / "coarse", "0.1"), run(tmp_path / "fine", "0.02")
    assert done.returncode == 0, done.stderr
    logged = read_log(tmp_path / "coarse")
    assert logged.unanswered() == []
    assert len(logged.slots(RecordKind.SENT)) >= 4
    assert b'"method": "connect"' in (tmp_path / "coarse").read_bytes()
    assert how_probed(tmp_path / "coarse") == ("no raw sockets: TCP connects instead of SYN probes",)
    assert "need raw sockets" in refused.stderr
