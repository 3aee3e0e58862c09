"""Full TCP connections: one connect per slot, and the SSH identification line where it is asked for.

Attempts of several slots run side by side, since sending never waits. Each is closed with a reset when it has its
answer, and abandoned at the threshold if it does not stand by then: the kernel would send a lost SYN again after 1 s,
and a late success must not count. One that stands is kept until LATE_NS, so that a banner that comes late can be told
from none. So there are never more than LATE_NS / interval + 1 open per target. The kernel notes no time for us: what is
found after a long time without a look (this process was stopped, or starved) came nobody knows when, and is AMBIGUOUS.
"""

from __future__ import annotations

import collections
import errno
import select
import socket
import struct
from typing import Any

from vrbench.probes.engine import (
    AMBIGUOUS,
    CONNECTED,
    FAILED,
    IP_RECVERR,
    REFUSED,
    REPLY,
    SENT,
    STALLED_NS,
    TURNED_AWAY,
    Log,
    Prober,
    icmp_error,
    monotonic_ns,
    receive,
)
from vrbench.probes.syn import REFUSED_RST, split_target

REFUSED_CLOSED = 2
REFUSED_NOT_SSH = 3
REFUSED_STARTUPS = 11
REFUSED_PENALTY = 12
REFUSED_CUT = 13
# What sshd says before it hangs up on us for its own reasons: its port answers, and the network is up.
_TURNED_AWAY = {b"Exceeded MaxStartups": REFUSED_STARTUPS, b"Not allowed at this time": REFUSED_PENALTY}
LATE_NS = 2_000_000_000  # after its start, how long a connection is kept for its banner
MAX_GREETING = 1024  # bytes of other lines that may precede the identification (RFC 4253 section 4.2)
_ERRNO_AS_ICMP = {errno.ENETUNREACH: 0x0300, errno.EHOSTUNREACH: 0x0301}


class Attempt:
    """One connection of one slot."""

    __slots__ = ("deadline_ns", "greeting", "slot", "sock", "stream")

    def __init__(self, sock: socket.socket, stream: int, slot: int, deadline_ns: int) -> None:
        self.sock, self.stream, self.slot, self.deadline_ns = sock, stream, slot, deadline_ns
        self.greeting: bytes | None = None  # None: not connected yet


class TcpConnectProber(Prober):
    """Connects to ``host:port`` targets; with ``greeted`` an answer is the SSH identification, else the connection."""

    method = "connect"
    stamped = False  # that a connection stands is seen only when looking

    def __init__(self, streams: list[dict[str, Any]], log: Log, threshold_ns: int, greeted: bool) -> None:
        self.log, self.threshold_ns, self.greeted = log, threshold_ns, greeted
        self.targets = [split_target(stream["target"]) for stream in streams]
        self.poller = select.epoll()
        self.open: dict[int, Attempt] = {}
        self.oldest: collections.deque[Attempt] = collections.deque()
        self.silent: collections.deque[Attempt] = collections.deque()  # connected, and nothing heard
        self.before = self.now = monotonic_ns()  # the last two looks

    def settled(self) -> bool:
        return not self.open

    def wait(self, until_ns: int) -> None:
        if self.oldest:
            until_ns = min(until_ns, self.oldest[0].deadline_ns)
        pause = until_ns - monotonic_ns()
        if pause > 0:  # select counts in microseconds, epoll itself only in milliseconds
            select.select([self.poller], [], [], pause / 1e9)

    def send(self, stream: int, slot: int) -> None:
        sock = tcp_socket()
        at = monotonic_ns()
        code = sock.connect_ex(self.targets[stream])
        if code not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
            self.log.record(FAILED, stream, code, slot, at)
            sock.close()
            return
        self.log.record(SENT, stream, 0, slot, at)
        if code == errno.ECONNREFUSED:
            self.log.record(REFUSED, stream, REFUSED_RST, slot, monotonic_ns())
            sock.close()
            return
        attempt = Attempt(sock, stream, slot, at + self.threshold_ns)
        self.open[sock.fileno()] = attempt
        self.oldest.append(attempt)
        self.poller.register(sock.fileno(), select.EPOLLOUT)

    def drain(self) -> None:
        self.before, self.now = self.now, monotonic_ns()
        for fd, _ in self.poller.poll(0):
            attempt = self.open[fd]
            if attempt.greeting is None:
                self._connected(attempt)
            else:
                self._read(attempt)
        while self.oldest and (self.oldest[0].greeting is not None or self._past(self.oldest[0])):
            attempt = self.oldest.popleft()
            if attempt.greeting is None:
                self._close(attempt)
        while self.silent and self._past(self.silent[0]):
            self._close(self.silent.popleft())

    def _past(self, attempt: Attempt) -> bool:
        return attempt.deadline_ns <= self.now or attempt.sock.fileno() < 0

    def _connected(self, attempt: Attempt) -> None:
        now = monotonic_ns()
        code = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._finish(attempt, REFUSED, reason_of(attempt.sock, code))
            return
        self.log.record(CONNECTED, attempt.stream, 0, attempt.slot, now)
        if self.greeted:
            attempt.greeting = b""
            attempt.deadline_ns += LATE_NS - self.threshold_ns
            self.silent.append(attempt)
            self.poller.modify(attempt.sock.fileno(), select.EPOLLIN)
            self._read(attempt)  # after a stall it may be the last look at it
        else:
            self._finish(attempt, REPLY, 0)

    def _read(self, attempt: Attempt) -> None:
        at_the_end = REFUSED_CLOSED
        try:
            heard = attempt.sock.recv(MAX_GREETING)
        except BlockingIOError:
            return
        except OSError:
            heard, at_the_end = b"", REFUSED_CUT
        attempt.greeting = (attempt.greeting or b"") + heard
        if is_greeting(attempt.greeting):
            self._finish(attempt, REPLY, 0)
        elif not heard or len(attempt.greeting) > MAX_GREETING:
            self._finish(attempt, *refusal_of(attempt.greeting, at_the_end))

    def _finish(self, attempt: Attempt, kind: int, detail: int) -> None:
        now = monotonic_ns()
        stalled = attempt.deadline_ns < now or now - self.before > STALLED_NS
        self.log.record(AMBIGUOUS if stalled else kind, attempt.stream, detail, attempt.slot, now)
        self._close(attempt)

    def _close(self, attempt: Attempt) -> None:
        self.open.pop(attempt.sock.fileno(), None)
        attempt.sock.close()


def is_greeting(heard: bytes) -> bool:
    """Return whether that holds a whole SSH identification line."""
    return any(line.startswith(b"SSH-") for line in heard.split(b"\n")[:-1])


def refusal_of(heard: bytes, at_the_end: int = REFUSED_CLOSED) -> tuple[int, int]:
    """Kind and reason of a connection that ended with these words instead of a greeting, or without a word."""
    for words, reason in _TURNED_AWAY.items():
        if heard.startswith(words):
            return TURNED_AWAY, reason
    return REFUSED, REFUSED_NOT_SSH if heard else at_the_end


def tcp_socket() -> socket.socket:
    """Return a socket that waits for nothing, is closed with a reset, and tells which ICMP error refused it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    return sock


def reason_of(sock: socket.socket, code: int) -> int:
    """Return why a connect failed with errno ``code``: the ICMP error where the kernel kept it, else what it means."""
    for _, ancillary in receive(sock, socket.MSG_ERRQUEUE):
        if icmp_error(ancillary):
            return icmp_error(ancillary)
    return _ERRNO_AS_ICMP.get(code, REFUSED_RST)
