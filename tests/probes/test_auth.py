"""Full logins through a router: against a real sshd, and against everything that is not one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import ROUTER, Logged, read_log, stream, wait_for
from tests.probes.servers import start_speaker, start_sshd, stop_server
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.probes.config import Login
from vrbench.probes.prober_process import ProberConfig, start_prober
from vrbench.remote.keys import generate_key

pytestmark = pytest.mark.lab
SLOW = {RecordKind.SENT_BY, RecordKind.AMBIGUOUS}  # how a send is told that a busy machine held up
GUEST, BARE = f"{ROUTER}:2201", f"{ROUTER}:2200"
_LISTENER = """
import socket, sys, time
server, kept = socket.create_server(("0.0.0.0", 22), backlog=128), []
while True:
    kept.append(server.accept()[0])
    if len(sys.argv) > 1:
        time.sleep(float(sys.argv[1]))
        kept[-1].sendall(b"SSH-2.0-late\\r\\n")
"""


@pytest.fixture(scope="module")
def login(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """Provide a real sshd on guest1 that lets the key in."""
    home = tmp_path_factory.mktemp("sshd")
    server = start_sshd(box, "guest1", home, generate_key(home / "id"))
    yield Login("root", home / "id", home / "known_hosts")
    stop_server(box, "guest1", server)


def attempted(box: Box, log: Path, login: Login, target: str, until: tuple[RecordKind, int]) -> Logged:
    """Return what is logged of logins every 300 ms until there are so many records of a kind."""
    streams = (stream(target, "auth", 0.3, "ssh-ingress"),)
    with box.inside("harness"):
        prober = start_prober(ProberConfig("auth", "harness", log, streams, login=login))
    try:
        kind, count = until
        wait_for(lambda: len(read_log(log).slots(kind)) >= count, f"{kind!r} records")
    finally:
        prober.stop()
    return read_log(log)


@contextlib.contextmanager
def listener(box: Box, *after_s: str) -> Iterator[None]:
    """Start what accepts on guest0's port 22 and stays silent, or greets after so many seconds and says no more."""
    server = box.spawn("guest0", sys.executable, "-c", _LISTENER, *after_s)
    wait_for(lambda: ":22 " in box.run("guest0", "ss", "-Hltn") + " ", "listening")
    try:
        yield
    finally:
        stop_server(box, "guest0", server)


def test_how_far_a_login_came_is_noted_step_by_step(box: Box, login: Login, tmp_path: Path) -> None:
    """Sent, connected, greeted, let in: in this order, for every slot."""
    logged = attempted(box, tmp_path / "log", login, GUEST, (RecordKind.REPLY, 2))
    first = {r.kind: r.t_ns for r in reversed(logged.records) if r.slot == 0 and r.kind is not RecordKind.WALL}
    assert first[RecordKind.SENT] < first[RecordKind.CONNECTED] < first[RecordKind.GREETED] < first[RecordKind.REPLY]
    assert logged.slots(RecordKind.REFUSED) == []
    assert logged.records[-1].kind is RecordKind.END


@pytest.mark.usefixtures("login")
def test_a_key_that_is_refused(box: Box, tmp_path: Path) -> None:
    """The guest answers, and does not take the key."""
    generate_key(tmp_path / "other")
    other = Login("root", tmp_path / "other", tmp_path / "known_hosts")
    logged = attempted(box, tmp_path / "log", other, GUEST, (RecordKind.REFUSED, 2))
    assert set(logged.refusals().values()) == {Refusal.LOGIN}


def test_another_host_key(box: Box, login: Login, tmp_path: Path) -> None:
    """Another machine answers than the one that let us in before."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    words = (tmp_path / "k.pub").read_text().split()
    (tmp_path / "known_hosts").write_text(f"[{ROUTER}]:2201 {words[0]} {words[1]}\n")
    logged = attempted(
        box, tmp_path / "log", Login("root", login.key, tmp_path / "known_hosts"), GUEST, (RecordKind.REFUSED, 2)
    )
    assert set(logged.refusals().values()) == {Refusal.HOST_KEY}


def test_nobody_listens(box: Box, login: Login, tmp_path: Path) -> None:
    """A reset answers the SYN."""
    logged = attempted(box, tmp_path / "log", login, BARE, (RecordKind.REFUSED, 2))
    assert set(logged.refusals().values()) == {Refusal.RST}
    assert logged.slots(RecordKind.CONNECTED) == []


def test_unreachable_is_told_by_its_code(box: Box, gate: Box, login: Login, tmp_path: Path) -> None:
    """The router's ICMP error is the reason."""
    gate.run("router", "nft", "add rule ip gate cut meta l4proto tcp reject with icmp type admin-prohibited")
    logged = attempted(box, tmp_path / "log", login, GUEST, (RecordKind.REFUSED, 2))
    assert set(logged.refusals().values()) == {0x030D}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("220 mail\\n", Refusal.NOT_SSH),
        ("", Refusal.CLOSED),
        ("x" * 1100, Refusal.NOT_SSH),
        ("SSH-2.0-x\\n", Refusal.BROKEN_OFF),
    ],
)
def test_what_is_not_sshd(box: Box, login: Login, tmp_path: Path, words: str, reason: Refusal) -> None:
    """Something that hangs up before, instead of or after a greeting."""
    server = start_speaker(box, "guest0", words)
    try:
        logged = attempted(box, tmp_path / "log", login, BARE, (RecordKind.REFUSED, 2))
    finally:
        stop_server(box, "guest0", server)
    assert set(logged.refusals().values()) == {reason}
    assert bool(logged.slots(RecordKind.GREETED)) is (reason is Refusal.BROKEN_OFF)


@pytest.mark.parametrize(
    ("words", "reason"),
    [("Exceeded MaxStartups\\r\\n", Refusal.STARTUPS), ("Not allowed at this time\\r\\n", Refusal.PENALTY)],
)
def test_what_sshd_turns_away_by_its_own_limits(
    box: Box, login: Login, tmp_path: Path, words: str, reason: Refusal
) -> None:
    """Neither up nor down, and with the limit's name: its port answers."""
    server = start_speaker(box, "guest0", words)
    try:
        logged = attempted(box, tmp_path / "log", login, BARE, (RecordKind.TURNED_AWAY, 2))
    finally:
        stop_server(box, "guest0", server)
    assert {r.detail for r in logged.records if r.kind is RecordKind.TURNED_AWAY} == {reason}
    assert logged.slots(RecordKind.REFUSED) == []


def test_silence_is_no_refusal(box: Box, gate: Box, login: Login, tmp_path: Path) -> None:
    """Nothing comes back: sent, and no more."""
    gate.run("router", "nft", "add rule ip gate cut meta l4proto tcp drop")
    logged = attempted(box, tmp_path / "log", login, GUEST, (RecordKind.SENT, 6))
    assert {r.kind for r in logged.records} - SLOW == {RecordKind.SENT, RecordKind.WALL, RecordKind.END}


def test_a_greeting_that_never_comes(box: Box, login: Login, tmp_path: Path) -> None:
    """Connected, and no more."""
    with listener(box):
        logged = attempted(box, tmp_path / "log", login, BARE, (RecordKind.CONNECTED, 4))
    told = {RecordKind.SENT, RecordKind.CONNECTED, RecordKind.WALL, RecordKind.END}
    assert {r.kind for r in logged.records} - SLOW == told


def test_a_greeting_that_comes_late(box: Box, login: Login, tmp_path: Path) -> None:
    """Later than the threshold, and noted all the same: late is not never."""
    with listener(box, "1.2"):
        logged = attempted(box, tmp_path / "log", login, BARE, (RecordKind.GREETED, 1))
    sent = logged.sent_ns()
    greeted = [r.t_ns - sent[r.slot] for r in logged.records if r.kind is RecordKind.GREETED]
    assert greeted
    assert min(greeted) > 1_100_000_000


def test_a_banner_that_comes_late(box: Box, tmp_path: Path) -> None:
    """A banner probe waits beyond the threshold as well: its reply is logged, and judged late."""
    streams = (stream(BARE, "banner", 0.3, "ssh-ingress"),)
    with listener(box, "1.2"):
        with box.inside("harness"):
            prober = start_prober(ProberConfig("banner", "harness", tmp_path / "log", streams))
        wait_for(lambda: bool(read_log(tmp_path / "log").slots(RecordKind.REPLY)), "a late banner")
        prober.stop()
    logged = read_log(tmp_path / "log")
    sent = logged.sent_ns()
    assert min(r.t_ns - sent[r.slot] for r in logged.records if r.kind is RecordKind.REPLY) > 1_100_000_000
