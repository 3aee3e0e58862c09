"""What every prober is made of: one raw log, arrivals on the monotonic clock. Standard library, Python >= 3.6.

Slot k of a stream is due at ``start_ns + k * interval_ns`` on CLOCK_MONOTONIC and sending never waits for answers
(``pacing``). A slot is sent within half an interval after it was due or not at all: a prober that was stopped or
starved leaves slots without a record (gaps), never a burst of stale probes and never losses. The log is vrbench-raw/1,
whose contract is ``vrbench.core.log.rawlog``; its numbers are repeated here because this file also travels into guests.

Answers are not waited for: now and then the sockets are emptied and the log is written. The kernel has stamped each
arrival, so the late look costs no precision and saves wake-ups. The stamps are wall clock: ``Arrivals`` turns them into
monotonic time and believes none from outside the time between two looks.

A send that took long is known to have left by its end (SENT_BY): a slow machine is less exact, and no blinder. Where
nobody can say when something happened, because the prober stood still meanwhile, the slot is AMBIGUOUS.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035, UP045

import abc
import array
import json
import os
import signal
import socket
import struct
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

FORMAT = "vrbench-raw/1"
RECORD = struct.Struct("<BBHIq")
pack_record = RECORD.pack
SENT, REPLY, REFUSED, FAILED, CONNECTED, WALL, END, AMBIGUOUS, GREETED, TURNED_AWAY = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
SENT_BY, PAUSED, RESUMED, TTL, NEIGHBOUR_MAC, NEIGHBOUR = 11, 12, 13, 14, 16, 17

TICK_NS = 50_000_000  # look at the sockets and write the log this often
STALLED_NS = 2 * TICK_NS  # after this long without a look, what came meanwhile without a stamp came nobody knows when
EITHER_NS = 10_000_000  # if the times that a stamp may mean are further apart, it means none
HELD_NS = 1_000_000  # a send that takes longer was interrupted: the log says by when the probe had left
MAX_UNREAD = 64  # probes after which the sockets are looked at before the tick: their buffers hold a few hundred
SO_TIMESTAMPNS = 35  # Linux; neither this nor the next two are named by the socket module
SO_ATTACH_FILTER = 26
SOL_SOCKET = socket.SOL_SOCKET
STAMP_SIZE, unpack_stamp = struct.calcsize("@ll"), struct.Struct("@ll").unpack
IP_RECVERR = 11
PRIORITY = 1  # real-time round robin: above everything that computes, equal to the other probers

if hasattr(time, "monotonic_ns"):
    monotonic_ns, wall_ns = time.monotonic_ns, time.time_ns
else:  # 3.6: the float is exact to a microsecond for 270 years of uptime

    def monotonic_ns() -> int:
        return int(time.monotonic() * 1e9)

    def wall_ns() -> int:
        return int(time.time() * 1e9)


class CannotProbe(Exception):
    """The prober can't start; the text says why and what to do."""


class Log:
    """An append-only raw log: records gather in memory until ``flush``."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1
        self.started_ns = 0
        self.buffer = bytearray()
        self.sources = []  # type: List[Callable[[Log], None]]  # what is asked for its records before each write

    def create(self, node: str, started_ns: int, streams: List[Dict[str, Any]], extra: Dict[str, Any]) -> None:
        """Make the file and write its header; ``extra`` says how the probing is done."""
        self.started_ns = started_ns
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        names = ("name", "direction", "probe", "flow", "target", "interval_ns")
        described = [dict({n: s[n] for n in names}, start_ns=started_ns + s["phase_ns"]) for s in streams]
        line = dict(extra, format=FORMAT, node=node, started_ns=started_ns, streams=described, send_widths=True)
        self.buffer += json.dumps(line).encode() + b"\n"
        self.flush()

    def record(self, kind: int, stream: int, detail: int, slot: int, t_ns: int) -> None:
        self.buffer += pack_record(kind, stream, detail, slot, t_ns)

    def flush(self) -> None:
        while self.buffer:
            del self.buffer[: os.write(self.fd, self.buffer)]


class Arrivals:
    """When packets arrived, on the monotonic clock, from the kernel's wall-clock stamps.

    Wall minus monotonic is constant but for steps of the wall clock (slewing moves both), so it is measured at each
    look and a new value taken only when it differs by more than the measuring could err. A packet found at a look came
    after the look before: a stamp that fits that under neither the new nor the old difference is not believed, and one
    that fits it under both may mean either.
    """

    SLACK_NS = 1_000_000

    def __init__(self) -> None:
        self.now = monotonic_ns()
        self.before = self.now
        self.offset = self.old_offset = self.measure()[0]
        self.steady = True

    @staticmethod
    def measure() -> Tuple[int, int]:
        first = monotonic_ns()
        wall = wall_ns()
        last = monotonic_ns()
        return wall - (first + last) // 2, last - first

    def look(self) -> None:
        self.before, self.now = self.now, monotonic_ns()
        self.old_offset = self.offset
        offset, error = self.measure()
        if abs(offset - self.offset) > error + 10_000:
            self.offset = offset
        self.steady = self.offset == self.old_offset

    def time(self, ancillary: List[Tuple[int, int, bytes]]) -> Optional[int]:
        """Return when the packet arrived; None where nobody can say."""
        for level, kind, content in ancillary:
            if kind == SO_TIMESTAMPNS and level == SOL_SOCKET and len(content) == STAMP_SIZE:
                seconds, nanoseconds = unpack_stamp(content)
                stamp = seconds * 1_000_000_000 + nanoseconds
                t_ns = stamp - self.offset  # type: int
                # As nearly always: between the looks, and no step of the wall clock that could make it doubtful.
                if self.before <= t_ns <= self.now and self.steady:
                    return t_ns
                return self._believe(stamp)
        return self._found()

    def _believe(self, stamp: int) -> Optional[int]:
        now = monotonic_ns()
        low, high = self.before - self.SLACK_NS, now + self.SLACK_NS
        newer, older = stamp - self.offset, stamp - self.old_offset
        if low <= newer <= high:
            either = low <= older <= high and abs(newer - older) > EITHER_NS
            return None if either else min(newer, now)
        return min(older, now) if low <= older <= high else self._found()

    def _found(self) -> Optional[int]:
        """Return the time of a packet just found that has no stamp to believe: it came since the look before."""
        now = monotonic_ns()
        return now if now - self.before <= STALLED_NS else None


def attach_filter(sock: socket.socket, program: List[Tuple[int, int, int, int]]) -> None:
    """Let the kernel drop what the classic BPF ``program`` (code, jt, jf, k) does not accept."""
    code = array.array("B", b"".join(struct.pack("=HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), code.buffer_info()[0]))


Packet = Tuple[bytes, Tuple[str, int]]  # what ``sendto`` takes


class Prober(abc.ABC):
    """What ``pacing`` drives: sends slots of streams and logs what comes back."""

    log: Log
    method = ""
    stamped = True  # the kernel notes when answers arrive, so reading them may wait
    held_ns = HELD_NS
    tick_ns = TICK_NS
    most_unread = MAX_UNREAD
    fire = None  # type: Any  # the call that sends what ``made`` returned

    def made(self, stream: int, slot: int) -> Optional[Packet]:
        """Return a slot's packet ahead of its time; None: there is none, ``send`` does it all."""
        return None

    def send(self, stream: int, slot: int) -> None:
        """Send a slot's probe that was not made ahead, and log it."""
        raise NotImplementedError

    def log_sent(self, stream: int, slot: int, at: int, code: int) -> None:
        """Log a probe that was made ahead: it left at ``at``, or could not for the reason ``code`` (errno)."""
        self.log.record(FAILED if code else SENT, stream, code, slot, at)

    def left_out(self, stream: int, slot: int, due_ns: int) -> bool:
        """Return whether a slot is left out on request."""
        return False

    @abc.abstractmethod
    def drain(self) -> None:
        """Log every answer that is there, without waiting."""

    def remarks(self) -> Dict[str, Any]:
        """Return what the header of the log is to say beside the method."""
        return {}

    @abc.abstractmethod
    def settled(self) -> bool:
        """Return whether the last probe of every stream has been answered."""

    def wait(self, until_ns: int) -> None:
        """Sleep until ``until_ns``; may return early."""
        pause = until_ns - monotonic_ns()
        if pause > 0:
            time.sleep(pause / 1e9)


def receive(sock: socket.socket, flags: int) -> Iterator[Tuple[bytes, List[Tuple[int, int, bytes]]]]:
    """Read what lies in the socket (or, by ``flags``, in its error queue): data and ancillary data."""
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(256, 256, flags)
        except (
            OSError
        ):  # nothing left, or a probe's error, now cleared: the error queue tells it, and we look again soon
            return
        yield data, ancillary


def icmp_error(ancillary: List[Tuple[int, int, bytes]]) -> int:
    """ICMP type << 8 | code from an error queue's ancillary data; 0 when it holds none."""
    for level, kind, content in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_RECVERR:
            _, origin, icmp_type, code = struct.unpack_from("@IBBB", content)
            return icmp_type << 8 | code if origin == 2 else 0
    return 0


def take_priority() -> str:
    """Ask for punctual wake-ups; returns what was granted: round-robin, nice or none."""
    try:
        with open("/proc/self/timerslack_ns", "w") as slack:
            slack.write("1")
    except OSError:
        pass  # an older kernel: 50 us of slack, which the priority below may lift as well
    try:
        # Threads that a prober starts from now on compute, and have no right to keep other probers waiting.
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
        return "round-robin"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
        return "nice"
    except OSError:
        return "none"


def on_signal(*numbers: int) -> Callable[[], bool]:
    """Let the signals only set a flag from now on; return its reader."""
    seen = []  # type: List[int]
    for number in numbers:
        signal.signal(number, lambda got, _: seen.append(got))
    return lambda: bool(seen)
