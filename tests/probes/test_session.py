"""Established sessions through a router, against a real sshd: survived, stalled, reset, closed, never opened."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import ROUTER, Logged, more, read_log, stream, wait_for
from tests.probes.servers import start_sshd, stop_server
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.probes.config import Login, ProbeError
from vrbench.probes.prober_process import ProberConfig, ProberProcess, how_probed, start_prober
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab
GUEST, OTHER, BARE = f"{ROUTER}:2201", f"{ROUTER}:2202", f"{ROUTER}:2200"  # nothing listens behind BARE
THRESHOLD_NS = 800_000_000


@pytest.fixture(scope="module")
def login(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """Provide a real sshd on guest1 and guest2 that lets the key in."""
    home = tmp_path_factory.mktemp("sshd")
    public = generate_key(home / "id")
    servers = [start_sshd(box, node, home, public) for node in ("guest1", "guest2")]
    yield Login("root", home / "id", home / "known_hosts")
    for node, server in zip(("guest1", "guest2"), servers, strict=True):
        stop_server(box, node, server)


@contextlib.contextmanager
def probing(box: Box, log: Path, login: Login, *targets: str) -> Iterator[ProberProcess]:
    """Provide sessions with the targets, 50 bytes a second each."""
    streams = tuple(stream(target, "established", 0.02, "tcp-ingress") for target in targets)
    with box.inside("harness"):
        prober = start_prober(ProberConfig("session", "harness", log, streams, login=login))
    try:
        yield prober
    finally:
        prober.stop()


def seen(log: Path, kind: RecordKind, more_than: int = 0) -> Callable[[], bool]:
    """Return a condition: more than so many records of that kind stand in the log."""
    return lambda: len(read_log(log).slots(kind)) > more_than


def in_time(logged: Logged, index: int = 0) -> set[int]:
    """Return the slots that were echoed within the threshold."""
    sent = logged.sent_ns(index)
    replies = [r for r in logged.records if r.kind is RecordKind.REPLY and r.stream == index]
    return {r.slot for r in replies if r.t_ns - sent[r.slot] <= THRESHOLD_NS}


def test_every_byte_is_echoed_over_one_connection_each(box: Box, login: Login, tmp_path: Path) -> None:
    """Two sessions on the opened port and no further connection; nothing is lost, and each echo knows its slot."""
    with probing(box, tmp_path / "log", login, GUEST, OTHER):
        wait_for(seen(tmp_path / "log", RecordKind.REPLY, 40), "echoes")
        peers = box.run("harness", "ss", "-Htn", "state", "established").split("\n")
    assert sorted(line.split()[3] for line in peers if line) == [GUEST, OTHER]
    logged = read_log(tmp_path / "log")
    for index in (0, 1):
        assert logged.unanswered(index) == []
        assert in_time(logged, index)
    assert logged.records[-1].kind is RecordKind.END


def test_a_stalled_session_goes_on_and_late_echoes_are_late(box: Box, gate: Box, login: Login, tmp_path: Path) -> None:
    """A second and a half of silence: its slots are echoed too late at last, and later ones in time again."""
    with probing(box, tmp_path / "log", login, GUEST):
        wait_for(seen(tmp_path / "log", RecordKind.REPLY, 5), "echoes")
        gate.run("router", "nft", "add rule ip gate cut meta l4proto tcp drop")
        begun = time.monotonic_ns()
        wait_for(more(tmp_path / "log", 75), "an outage")
        gate.run("router", "nft", "flush chain ip gate cut")
        ended = time.monotonic_ns()
        wait_for(lambda: bool(in_time_after(tmp_path / "log", ended)), "echoes in time again")
    logged = read_log(tmp_path / "log")
    sent = logged.sent_ns()
    during = [slot for slot, at in sent.items() if begun <= at <= ended - THRESHOLD_NS]
    assert len(during) > 20
    assert not in_time(logged) & set(during)
    assert set(during) <= set(logged.slots(RecordKind.REPLY)), "TCP delivers at last what was lost"
    assert logged.slots(RecordKind.REFUSED) == []


def in_time_after(log: Path, at_ns: int) -> list[int]:
    logged = read_log(log)
    return [slot for slot in in_time(logged) if logged.sent_ns()[slot] > at_ns]


def test_a_reset_session_stays_so(box: Box, gate: Box, login: Login, tmp_path: Path) -> None:
    """A reset is said once, with its time; every later slot is refused although the path is back."""
    with probing(box, tmp_path / "log", login, GUEST):
        wait_for(seen(tmp_path / "log", RecordKind.REPLY, 5), "echoes")
        before = time.monotonic_ns()
        gate.run("router", "nft", "add rule ip gate cut meta l4proto tcp reject with tcp reset")
        wait_for(seen(tmp_path / "log", RecordKind.REFUSED), "refusals")
        ended = time.monotonic_ns()
        gate.run("router", "nft", "flush chain ip gate cut")
        wait_for(seen(tmp_path / "log", RecordKind.REFUSED, 20), "more refusals")
    logged = read_log(tmp_path / "log")
    details = list(logged.refusals().values())
    assert details[0] == Refusal.SESSION_RESET
    assert set(details[1:]) <= {Refusal.SESSION_RESET, Refusal.SESSION_OVER}
    assert details[-1] == Refusal.SESSION_OVER
    first = next(r for r in logged.records if r.kind is RecordKind.REFUSED)
    assert before < first.t_ns < ended
    assert max(in_time(logged)) < min(logged.refusals())


def test_a_closed_session_is_not_called_reset(box: Box, login: Login, tmp_path: Path) -> None:
    """The far end of the echo ends in good order."""
    with probing(box, tmp_path / "log", login, GUEST):
        wait_for(seen(tmp_path / "log", RecordKind.REPLY, 5), "echoes")
        cat = box.sh(None, "for p in $(ip netns pids guest1); do grep -qx cat /proc/$p/comm && echo $p; done; true")
        box.run(None, "kill", *cat.split())
        wait_for(seen(tmp_path / "log", RecordKind.REFUSED, 2), "refusals")
    assert next(iter(read_log(tmp_path / "log").refusals().values())) == Refusal.SESSION_CLOSED


def test_what_cannot_be_opened_is_said_and_leaves_the_others_alone(box: Box, login: Login, tmp_path: Path) -> None:
    """One guest without sshd: its stream has no record, the other's has, and the log says why."""
    with probing(box, tmp_path / "log", login, BARE, GUEST):
        wait_for(lambda: len(read_log(tmp_path / "log").slots(RecordKind.REPLY, 1)) > 5, "echoes")
    assert read_log(tmp_path / "log").slots(RecordKind.SENT, 0) == []
    assert any("no session for tcp-ingress-established" in words for words in how_probed(tmp_path / "log"))


def test_no_session_at_all_is_no_prober(box: Box, login: Login, tmp_path: Path) -> None:
    """Without any session there is nothing to watch."""
    with pytest.raises(ProbeError, match="no session could be opened"), probing(box, tmp_path / "log", login, BARE):
        pass


def test_a_stopped_prober_loses_nothing(box: Box, login: Login, tmp_path: Path) -> None:
    """While this process is stopped nothing is sent, and what came meanwhile came nobody knows when."""
    with probing(box, tmp_path / "log", login, GUEST) as prober:
        wait_for(seen(tmp_path / "log", RecordKind.REPLY, 5), "echoes")
        os.kill(prober.pid, signal.SIGSTOP)
        time.sleep(1.5)  # the stall itself, not a wait for a result
        os.kill(prober.pid, signal.SIGCONT)
        newest = read_log(tmp_path / "log").slots(RecordKind.REPLY)[-1]
        wait_for(lambda: read_log(tmp_path / "log").slots(RecordKind.REPLY)[-1] > newest + 80, "echoes after the stall")
    logged = read_log(tmp_path / "log")
    assert set(logged.slots(RecordKind.SENT)) - in_time(logged) <= set(logged.slots(RecordKind.AMBIGUOUS))
