"""Established sessions: one SSH session per target, opened before probing begins, and a ``cat`` that echoes.

Slot k is four bytes that come back. TCP sends again what was lost, so after an outage everything is echoed at last: in
time is what came within the threshold, as for every other probe. A session that ended is not opened again. Its slots
go on and are refused: new connections have probes of their own, and what is asked here is whether the old one lives.

While TCP waits for the far end, more bytes would only join its queue. So behind MAX_UNANSWERED slots without an echo
nothing is added to it: such a slot counts as sent, since no session would deliver it, and gets no echo.
"""

from __future__ import annotations

import collections
import secrets
import select
import struct
import sys
import time
from typing import Any

from vrbench.parallel import CancelToken, parallel
from vrbench.probes.engine import (
    AMBIGUOUS,
    REFUSED,
    REPLY,
    SENT,
    STALLED_NS,
    CannotProbe,
    Log,
    Prober,
    monotonic_ns,
)
from vrbench.probes.syn import split_target
from vrbench.remote.connection import Attached, End, Remote
from vrbench.remote.errors import RemoteError
from vrbench.remote.identity import Address, Identity

SESSION_RESET, SESSION_CLOSED, SESSION_GIVEN_UP, SESSION_OVER = 7, 8, 9, 10
REASONS = {End.RESET: SESSION_RESET, End.CLOSED: SESSION_CLOSED, End.GIVEN_UP: SESSION_GIVEN_UP}
MAX_UNANSWERED = 256  # more than a threshold's worth at the finest interval, and small enough for any socket's buffer
TURN_S = 0.001  # how long one of the connections' threads may keep the others and the echo's time waiting
OPEN_S = 10.0
OPEN_TRIES = 3
_SLOT = struct.Struct(">I")


class EchoedSession:
    """One session: what was sent and not echoed yet, and the detail that says why it ended (0: it goes on)."""

    def __init__(self, remote: Remote, attached: Attached) -> None:
        self.remote, self.attached = remote, attached
        self.unanswered: collections.deque[int] = collections.deque()
        self.rest = b""
        self.over = 0

    def send(self, slot: int) -> None:
        if len(self.unanswered) < MAX_UNANSWERED:
            self.unanswered.append(slot)
            self.attached.send(_SLOT.pack(slot))

    def echoes(self) -> list[int]:
        """Return the slots whose echo is there."""
        self.rest += self.attached.receive()
        whole = len(self.rest) // _SLOT.size * _SLOT.size
        slots = [slot for (slot,) in _SLOT.iter_unpack(self.rest[:whole])]
        self.rest = self.rest[whole:]
        while slots and self.unanswered and self.unanswered[0] <= slots[-1]:
            self.unanswered.popleft()
        return slots


class EchoedSessions(Prober):
    """Sessions with ``host:port`` targets; one that can't be opened leaves no record."""

    method = "ssh"
    stamped = False
    held_ns = STALLED_NS  # several threads take turns here, and a byte that left late is still in its order

    def __init__(self, streams: list[dict[str, Any]], log: Log, identity: Identity) -> None:
        sys.setswitchinterval(TURN_S)
        self.log = log
        targets = [split_target(stream["target"]) for stream in streams]
        opened = parallel(targets, lambda target, stop: open_session(target, identity, stop))
        self.sessions = [session if isinstance(session, EchoedSession) else None for session in opened]
        self.failures = {s["name"]: o for s, o in zip(streams, opened, strict=True) if isinstance(o, str)}
        if not any(self.sessions):
            raise CannotProbe(f"no session could be opened: {next(iter(self.failures.values()))}")
        self.by_fd = {s.attached.fileno(): i for i, s in enumerate(self.sessions) if s}
        self.poller = select.epoll()
        for fd in self.by_fd:
            self.poller.register(fd, select.EPOLLIN)
        self.before = self.now = monotonic_ns()  # the last two looks

    def remarks(self) -> dict[str, Any]:
        return {"not_opened": self.failures} if self.failures else {}

    def settled(self) -> bool:
        return not any(s.unanswered for s in self.sessions if s and not s.over)

    def wait(self, until_ns: int) -> None:
        pause = until_ns - monotonic_ns()
        if pause > 0:  # select counts in microseconds, epoll itself only in milliseconds
            select.select([self.poller], [], [], pause / 1e9)

    def send(self, stream: int, slot: int) -> None:
        session = self.sessions[stream]
        if session is None:
            return
        at = monotonic_ns()
        self.log.record(SENT, stream, 0, slot, at)
        if session.over:
            self.log.record(REFUSED, stream, session.over, slot, at)
            session.over = SESSION_OVER
        else:
            session.send(slot)

    def drain(self) -> None:
        self.before, self.now = self.now, monotonic_ns()
        for fd, _ in self.poller.poll(0):
            stream = self.by_fd[fd]
            session = self.sessions[stream]
            assert session is not None
            kind = AMBIGUOUS if self.now - self.before > STALLED_NS else REPLY
            for slot in session.echoes():
                self.log.record(kind, stream, 0, slot, monotonic_ns())
            end = session.attached.end()
            if end:
                self.poller.unregister(fd)
                self._ended(stream, session, REASONS[end])

    def _ended(self, stream: int, session: EchoedSession, reason: int) -> None:
        """Refuse what was still under way; with nothing under way the next slot says why it ended."""
        now = monotonic_ns()
        kind = AMBIGUOUS if self.now - self.before > STALLED_NS else REFUSED
        for slot in session.unanswered:
            self.log.record(kind, stream, reason, slot, now)
        session.over = SESSION_OVER if session.unanswered and kind == REFUSED else reason


def open_session(target: Address, identity: Identity, stop: CancelToken) -> EchoedSession | str:
    """Open a session that echoes; return it, or why there is none."""
    reason = ""
    for _ in range(OPEN_TRIES):
        stop.check()
        try:
            remote = Remote.connect(target, identity, OPEN_S)
        except RemoteError as error:
            reason = str(error)
            continue
        try:
            attached = remote.attach("exec cat", OPEN_S)
            _await_echo(attached)
        except RemoteError as error:
            remote.close()
            reason = str(error)
        else:
            return EchoedSession(remote, attached)
    return reason


def _await_echo(attached: Attached) -> None:
    """Return when what is sent comes back; whatever a login script says before that is dropped."""
    token, heard = secrets.token_bytes(16), b""
    end = time.monotonic() + OPEN_S
    attached.send(token)
    while token not in heard:
        if attached.end() or not select.select([attached], [], [], max(0.0, end - time.monotonic()))[0]:
            raise RemoteError("no echo: is there a `cat`, and may this user run commands?")
        heard += attached.receive()
