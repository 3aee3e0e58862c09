"""Questions to the router's resolver: a real dnsmasq behind the gateway's address, and answers made by hand."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.probes.box import Box
from tests.probes.rig import HARNESS, Agent, read_log, stream, wait_for
from vrbench.core.log.rawlog import RecordKind, Refusal
from vrbench.core.model import Direction, Stream
from vrbench.probes import dns
from vrbench.probes.config import PhasedStream
from vrbench.probes.prober_process import how_probed

GATEWAY = "10.1.1.1"
ASKED = dns.question(0x1234, "vm1.example")
ANSWER = b"\x12\x34\x81\x80" + ASKED[4:]
NAMES = PhasedStream(Stream("dns/vm1", Direction.EGRESS, "dns", "resolver", dns.RESOLVER, 0.05), 0.01)
PING = stream(HARNESS, "fresh", 0.05)


def test_a_question_is_what_resolvers_read() -> None:
    """One query for an address, recursion desired; empty labels and what is no letter of ASCII are left out."""
    expected = bytes.fromhex("123401000001000000000000") + b"\3vm1\7example\0\0\1\0\1"
    assert dns.question(0x1234, "vm1.example") == expected
    assert dns.question(1, "vm1..é.") == bytes.fromhex("000101000001000000000000") + b"\3vm1\0\0\1\0\1"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ANSWER, 0),
        (b"\x12\x34\x81\x83" + ASKED[4:], 3),
        (b"\x12\x34\x81\x85" + ASKED[4:], 5),
        (b"\x12\x34\x81\x85" + bytes(8), 5),
        (ANSWER.replace(b"vm1", b"VM1"), 0),
        (ANSWER.replace(b"vm1", b"vm2"), None),
        (b"\x12\x35" + ANSWER[2:], None),
        (ASKED, None),
        (ANSWER[:11], None),
        (b"", None),
    ],
)
def test_what_counts_as_an_answer(answer: bytes, code: int | None) -> None:
    """Our id, our question, marked as an answer; the code is the resolver's own."""
    assert dns.code_of(answer, ASKED) == code


def test_name_servers_of_the_guest(tmp_path: Path) -> None:
    """What resolv.conf names, without comments, IPv6 and a resolver on this machine; the first list that has any."""
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\noptions edns0\n")
    real.write_text("# nameserver 192.0.2.9\nnameserver 10.1.1.1\nnameserver 2001:db8::1\nnameserver 192.0.2.53\n")
    assert dns.nameservers((str(tmp_path / "none"), str(stub), str(real))) == ["10.1.1.1", "192.0.2.53"]


@pytest.mark.parametrize(
    ("named", "tried"),
    [
        (["192.0.2.53", GATEWAY], [GATEWAY, "192.0.2.53"]),
        (["192.0.2.53"], ["192.0.2.53", GATEWAY]),
        ([], [GATEWAY]),
    ],
)
def test_the_router_is_asked_first(named: list[str], tried: list[str]) -> None:
    """The gateway before others where it is named, after them where it is not."""
    assert dns.candidates(named, GATEWAY) == tried


def test_without_streams_that_ask_nobody_is_asked() -> None:
    """Other streams pass untouched."""
    streams = [PING.as_json()]
    assert dns.settle(streams, GATEWAY) == (streams, {})


@pytest.fixture
def dnsmasq(box: Box) -> Iterator[subprocess.Popen[bytes]]:
    """Provide the router's own resolver, which knows this machine's name."""
    server = serve(box, f"--host-record={socket.gethostname()},10.1.1.10")
    yield server
    if server.poll() is None:
        box.kill(server)


def serve(box: Box, *records: str) -> subprocess.Popen[bytes]:
    """Run a dnsmasq on the router that knows those records, and refuses everything else: nobody stands behind it."""
    config = ["--no-daemon", "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={GATEWAY}"]
    server = box.spawn("router", "dnsmasq", "--conf-file=/dev/null", "--user=root", "--pid-file=", *config, *records)
    wait_for(lambda: f"{GATEWAY}:53 " in box.run("router", "ss", "-Hlun"), "dnsmasq listening")
    return server


@pytest.mark.lab
@pytest.mark.usefixtures("dnsmasq")
def test_answers_beside_pings(box: Box, tmp_path: Path) -> None:
    """Every question is answered beside every ping, each in the stream that asked; the log names the resolver."""
    agent = asking(box, tmp_path, NAMES, PING)
    wait_for(lambda: len(read_log(agent.log).slots(RecordKind.REPLY, 1)) > 10, "answers")
    logged = agent.stop()
    assert [(h.stream.probe, h.stream.target) for h in logged.header.streams] == [
        ("icmp-egress", HARNESS),
        ("dns", GATEWAY),
    ]
    for index in (0, 1):
        assert logged.unanswered(index) == []
        assert len(logged.slots(RecordKind.SENT, index)) > 10
    assert how_probed(agent.log) == ()


@pytest.mark.lab
def test_a_resolver_that_is_gone_refuses_and_one_cut_off_is_silent(
    box: Box, gate: Box, dnsmasq: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A port that is closed says so; a filter that drops says nothing."""
    agent = asking(box, tmp_path, NAMES, PING)
    gate.run("router", "nft", "add chain ip gate input { type filter hook input priority 0; }")
    gate.run("router", "nft", "add rule ip gate input udp dport 53 drop")
    wait_for(lambda: len(read_log(agent.log).unanswered(1)) > 10, "silence")
    gate.run("router", "nft", "flush chain ip gate input")
    silent = read_log(agent.log).refusals(1)
    box.kill(dnsmasq)
    wait_for(lambda: len(read_log(agent.log).refusals(1)) > 5, "refusals")
    logged = agent.stop()
    assert silent == {}
    assert set(logged.refusals(1).values()) == {0x0303}


@pytest.mark.lab
def test_a_resolver_that_runs_but_cannot_serve_refuses(
    box: Box, dnsmasq: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """A new resolver that knows nothing yet answers REFUSED: guests can't resolve names, and the code is kept."""
    agent = asking(box, tmp_path, NAMES, PING)
    box.kill(dnsmasq)
    other = serve(box)
    wait_for(lambda: list(read_log(agent.log).refusals(1).values()).count(Refusal.DNS | 5) > 5, "refusals")
    box.kill(other)
    agent.stop()


@pytest.mark.lab
def test_a_router_without_a_resolver_is_recognised(box: Box, tmp_path: Path) -> None:
    """The stream is dropped and the log says so, in words; the others begin within a few seconds."""
    agent = asking(box, tmp_path, NAMES, PING)
    wait_for(lambda: len(read_log(agent.log).slots(RecordKind.REPLY)) > 5, "pings")
    logged = agent.stop()
    assert [h.stream.probe for h in logged.header.streams] == ["icmp-egress"]
    (words,) = how_probed(agent.log)
    assert words.startswith("names are not probed where no resolver answers (asked: ")
    assert GATEWAY in words


def asking(box: Box, home: Path, *streams: PhasedStream) -> Agent:
    """Return a running agent in guest0."""
    agent = Agent(box, home)
    agent.configure(*streams)
    agent.start()
    return agent
