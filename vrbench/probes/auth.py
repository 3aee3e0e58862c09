"""Full logins: one TCP connection, key exchange and login with the run's own key per slot, then hung up.

A login takes several round trips and some of the guest's time, and paramiko waits at each of them, so every attempt has
a thread; the streams probe rarely. The SYN leaves before that is started: threads have no priority, and may have to
wait for a processor. What is noted says how far an attempt came: CONNECTED, GREETED, then the login or why not. A
connection that is not there by the threshold is abandoned (the kernel would send a lost SYN again after 1 s, and a late
success must not count); later steps are waited for a while longer, so that late can be told from never.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import gc
import select
import socket
import threading
import time
from typing import Any

from vrbench.probes.banner import MAX_GREETING, is_greeting, reason_of, refusal_of, tcp_socket
from vrbench.probes.engine import (
    AMBIGUOUS,
    CONNECTED,
    GREETED,
    REFUSED,
    REPLY,
    SENT,
    STALLED_NS,
    Log,
    Prober,
    monotonic_ns,
)
from vrbench.probes.syn import split_target
from vrbench.remote.connection import Remote
from vrbench.remote.errors import HostKeyChanged, LoginRefused, NoAnswer, RemoteError
from vrbench.remote.identity import Identity

REFUSED_LOGIN, REFUSED_HOST_KEY, REFUSED_BROKEN_OFF = 4, 5, 6
LATE_S = 5.0  # after the start of an attempt; what has not come by then is taken for never
LOOK_AGAIN_S = 0.01  # at a greeting of which only a part is there
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR
CLEAN_EVERY = 50  # attempts; paramiko's connections are cycles, which only the collector removes


class Unanswered(Exception):
    """An attempt that ends without a record: nothing came."""


class AttemptRefused(Exception):
    """An attempt that someone ended; the arguments are the record's kind and detail."""


class Logins(Prober):
    """Logs in to ``host:port`` targets."""

    method = "ssh"
    held_ns = STALLED_NS  # the time of the SYN is noted; what takes longer is the thread's start

    def __init__(self, streams: list[dict[str, Any]], log: Log, threshold_ns: int, identity: Identity) -> None:
        self.log, self.threshold_s, self.identity = log, threshold_ns / 1e9, identity
        self.targets = [split_target(stream["target"]) for stream in streams]
        self.noted: collections.deque[tuple[int, int, int, int, int]] = collections.deque()
        self.open: set[tuple[int, int]] = set()  # (stream, slot) of every attempt under way
        self.finished = 0
        self.before = self.now = monotonic_ns()  # the last two looks

    def settled(self) -> bool:
        return not self.open and not self.noted

    def send(self, stream: int, slot: int) -> None:
        sock = tcp_socket()
        at = monotonic_ns()
        code = sock.connect_ex(self.targets[stream])
        self.log.record(SENT, stream, 0, slot, at)
        if code not in (0, errno.EINPROGRESS):
            self.log.record(REFUSED, stream, reason_of(sock, code), slot, monotonic_ns())
            sock.close()
            return
        self.open.add((stream, slot))
        threading.Thread(target=self._attempt, args=(sock, stream, slot, at / 1e9), daemon=True).start()

    def drain(self) -> None:
        self.before, self.now = self.now, monotonic_ns()
        if self.now - self.before > STALLED_NS:  # held up: nobody can say what took these attempts their time
            for stream, slot in list(self.open):
                self.log.record(AMBIGUOUS, stream, 0, slot, self.now)
        while self.noted:
            self.log.record(*self.noted.popleft())
        if self.finished >= CLEAN_EVERY:
            self.finished = 0
            gc.collect()

    def _attempt(self, sock: socket.socket, stream: int, slot: int, begun: float) -> None:
        def note(kind: int, detail: int = 0) -> None:
            self.noted.append((kind, stream, detail, slot, monotonic_ns()))

        try:
            with contextlib.closing(sock):
                _await_connection(sock, begun + self.threshold_s)
                note(CONNECTED)
                _await_greeting(sock, begun + LATE_S)
                note(GREETED)
                self._log_in(sock, self.targets[stream], begun + LATE_S)
                note(REPLY)
        except AttemptRefused as refusal:
            note(*refusal.args)
        except Unanswered:
            pass
        finally:
            self.open.discard((stream, slot))
            self.finished += 1

    def _log_in(self, sock: socket.socket, target: tuple[str, int], until: float) -> None:
        sock.settimeout(None)
        try:
            Remote.over(sock, target, self.identity, max(0.1, until - _now_s())).close()
        except LoginRefused:
            raise AttemptRefused(REFUSED, REFUSED_LOGIN) from None
        except HostKeyChanged:
            raise AttemptRefused(REFUSED, REFUSED_HOST_KEY) from None
        except NoAnswer:
            raise Unanswered from None
        except RemoteError:
            raise AttemptRefused(REFUSED, REFUSED_BROKEN_OFF) from None


def _now_s() -> float:
    """Return the time by the clock that attempts are begun by."""
    return monotonic_ns() / 1e9


def _await_connection(sock: socket.socket, until: float) -> None:
    """Return when the connection stands."""
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    if not poller.poll(max(0.0, until - _now_s()) * 1000):
        raise Unanswered
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise AttemptRefused(REFUSED, reason_of(sock, code))


def _await_greeting(sock: socket.socket, until: float) -> None:
    """Return when the SSH identification is there, and leave it there for whoever logs in."""
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLRDHUP)
    while True:
        events = poller.poll(max(0.0, until - _now_s()) * 1000)
        heard = _peek(sock)
        if is_greeting(heard):
            return
        if any(event & _GONE for _, event in events) or len(heard) > MAX_GREETING:
            raise AttemptRefused(*refusal_of(heard))
        if _now_s() >= until:
            raise Unanswered
        time.sleep(LOOK_AGAIN_S)


def _peek(sock: socket.socket) -> bytes:
    """Look at what has come so far; nothing where the connection broke."""
    try:
        return sock.recv(MAX_GREETING + 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""
