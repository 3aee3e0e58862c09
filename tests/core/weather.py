"""Raw logs of whole trials over a path with weather (loss, delay, jitter, flapping) and with causes of a known time.

Every packet passes the router's two sides, each way, and meets what the path does at that moment; TCP repeats what was
lost, as Linux does. The router itself is never at fault but where ``Deed`` says so.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import itemgetter

from vrbench.core.analysis import analyze_trial
from vrbench.core.facts import TrialFacts
from vrbench.core.figures.results import TrialResult
from vrbench.core.kinds import (
    CONTROL,
    DNS,
    GATEWAY,
    ICMP_FRESH,
    ICMP_PERSISTENT,
    SSH_BANNER,
    SSH_SYN,
    TCP_SESSION,
    ProbeKind,
)
from vrbench.core.log.rawlog import RECORD, LogHeader, RecordKind, Refusal, StreamHeader, encode_header
from vrbench.core.model import Stream
from vrbench.core.plan.method import Method

BEFORE_S, ZERO_NS = 10.0, 1_000_000_000_000
USUAL_S, SERVICE_S, THRESHOLD_S, LATE_S = 0.0005, 0.02, 0.8, 2.0
GATEWAY_IP, OLD, NEW, REACHABLE, STALE = "10.1.1.1", 0x020000000101, 0x020000000102, 0x02, 0x04
GUEST_TTL, ROUTER_TTL = 63, 64
RTO_S, SYN_RTO_S = 0.2, 1.0


def calm(_: float) -> float:
    """Return nothing, at any time."""
    return 0.0


@dataclass(frozen=True)
class Weather:
    """What each crossing of a side does to a packet at a moment: the share lost, the delay and how far that varies."""

    out: Callable[[float], float] = calm
    back: Callable[[float], float] = calm
    delay: Callable[[float], float] = calm
    jitter: Callable[[float], float] = calm

    def crossed(self, dice: random.Random, at_s: float, back: bool) -> float | None:
        """Return when a packet that enters then has crossed; None when it is lost."""
        if dice.random() < (self.back if back else self.out)(at_s):
            return None
        return at_s + USUAL_S / 4 + self.delay(at_s) + dice.random() * self.jitter(at_s)


@dataclass(frozen=True)
class Deed:
    """A cause that truly held for some time: which kinds of probe it silences, or how it answers for the guest."""

    start_s: float
    end_s: float
    silent: frozenset[ProbeKind] = frozenset()
    refuses: int = 0  # with this TTL a RST answers what comes from outside
    slow_s: float = 0.0  # the service greets so much later

    def at(self, t_s: float) -> bool:
        return self.start_s <= t_s < self.end_s


@dataclass
class Trial:
    """A trial to be played: its length after the request, the intervals, the weather on each side, and deeds."""

    public: Weather = Weather()
    inner: Weather = Weather()
    interval_s: float = 0.1
    after_s: float = 20.0
    seed: int = 1
    deeds: tuple[Deed, ...] = ()
    moves: tuple[float, ...] = ()  # when another MAC address announces itself
    vms: int = 2
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def analysed(self) -> TrialResult:
        """Return the trial as analysis sees it."""
        names = [f"vm{i}" for i in range(1, self.vms + 1)]
        logs = [self._guest(name) for name in names] + [self._harness(names)]
        facts = TrialFacts(
            1, "2026-11-24T12:00:00.000Z", ZERO_NS, BEFORE_S, job_s=1.0,
            guest_of_endpoint={public_end(name): name for name in names},
        )  # fmt: skip
        method = Method(self.interval_s, max(0.1, self.interval_s), THRESHOLD_S, 1, BEFORE_S, 1.0)
        return analyze_trial(facts, logs, method)

    def _guest(self, name: str) -> bytes:
        kinds = {ICMP_FRESH: "203.0.113.1", ICMP_PERSISTENT: "203.0.113.1", GATEWAY: GATEWAY_IP, CONTROL: "10.1.1.99"}
        kinds[DNS] = GATEWAY_IP
        return self._log(name, [(kind, name, target) for kind, target in kinds.items()], self._entries())

    def _harness(self, names: list[str]) -> bytes:
        listed = [(k, n, public_end(n)) for n in names for k in (SSH_SYN, SSH_BANNER, TCP_SESSION)]
        return self._log("harness", [*listed, (CONTROL, "harness", "198.51.100.2")], b"")

    def _entries(self) -> bytes:
        (address,) = struct.unpack(">I", socket.inet_aton(GATEWAY_IP))
        told = b""
        for at_s, mac, state in ((-BEFORE_S + 0.1, OLD, REACHABLE), *((at, NEW, STALE) for at in self.moves)):
            t_ns = ZERO_NS + round(at_s * 1e9)
            told += RECORD.pack(RecordKind.NEIGHBOUR_MAC, 0, mac >> 32, mac & 0xFFFFFFFF, t_ns)
            told += RECORD.pack(RecordKind.NEIGHBOUR, 0, state, address, t_ns)
        return told

    def _log(self, node: str, listed: list[tuple[ProbeKind, str, str]], entries: bytes) -> bytes:
        headers, records = [], []
        for index, (kind, place, target) in enumerate(listed):
            every_s = self._every_s(kind)
            phase_ns = self.dice.randrange(round(every_s * 1e9))
            stream = Stream(kind.stream_name(place), kind.direction, kind.probe, kind.flow, target, every_s)
            start_ns = ZERO_NS - round(BEFORE_S * 1e9) + phase_ns
            headers.append(StreamHeader(stream, start_ns, round(every_s * 1e9)))
            for record, slot, at_s, detail in self._stream(kind, phase_ns / 1e9 - BEFORE_S, every_s):
                records.append((ZERO_NS + round(at_s * 1e9), record, index, detail, slot))
        body = b"".join(
            RECORD.pack(k, i, detail, slot, t_ns) for t_ns, k, i, detail, slot in sorted(records, key=itemgetter(0))
        )
        end = RECORD.pack(RecordKind.END, 0, 0, 0, ZERO_NS + round((self.after_s + 1.0) * 1e9))
        return encode_header(LogHeader(node, ZERO_NS - round(BEFORE_S * 1e9), tuple(headers))) + entries + body + end

    def _every_s(self, kind: ProbeKind) -> float:
        if kind is DNS:
            return 0.5
        return max(self.interval_s, kind.finest_s, 0.1 if kind is SSH_BANNER else 0.0)

    def _stream(self, kind: ProbeKind, first_s: float, every_s: float) -> Iterator[tuple[int, int, float, int]]:
        """Yield what the log says of a stream's slots: (record, slot, when, detail)."""
        told = {SSH_BANNER: self._banner, TCP_SESSION: self._session, SSH_SYN: self._syn}.get(kind, self._echo)
        self.resumes_s = 0.0
        for slot in range(int((self.after_s - first_s) / every_s)):
            at_s = first_s + slot * every_s
            yield RecordKind.SENT, slot, at_s, 0
            yield from ((record, slot, when_s, detail) for record, when_s, detail in told(kind, at_s))

    # -- packets

    def _trip(self, kind: ProbeKind, at_s: float, *, back: bool = False) -> float | None:
        """Return when one packet has arrived; None when it is lost."""
        if any(kind in deed.silent for deed in self.deeds if deed.at(at_s)):
            return None
        sides = (self.inner,) if kind in (GATEWAY, DNS) else (self.inner, self.public)
        for side in sides if kind is not CONTROL else ():
            crossed = side.crossed(self.dice, at_s, back)
            if crossed is None:
                return None
            at_s = crossed
        return at_s + USUAL_S / 4

    def _round(self, kind: ProbeKind, at_s: float) -> float | None:
        there_s = self._trip(kind, at_s)
        return None if there_s is None else self._trip(kind, there_s, back=True)

    def _echo(self, kind: ProbeKind, at_s: float) -> Iterator[tuple[int, float, int]]:
        answered_s = self._round(kind, at_s)
        if answered_s is not None:
            yield RecordKind.REPLY, answered_s, 0

    def _refusal(self, at_s: float) -> int:
        return next((deed.refuses for deed in self.deeds if deed.refuses and deed.at(at_s)), 0)

    def _syn(self, kind: ProbeKind, at_s: float) -> Iterator[tuple[int, float, int]]:
        there_s = self._trip(kind, at_s)
        for again_s in (0.0, 1.0, 3.0) if there_s is not None else ():  # a guest repeats its SYN-ACK
            answered_s = self._trip(kind, (there_s or 0.0) + again_s, back=True)
            refusal = self._refusal(at_s)
            if answered_s is not None and refusal:
                yield RecordKind.TTL, answered_s, refusal
                yield RecordKind.REFUSED, answered_s, Refusal.RST
                return
            if answered_s is not None:
                yield RecordKind.REPLY, answered_s, GUEST_TTL
                return
            if refusal:
                return

    def _banner(self, kind: ProbeKind, at_s: float) -> Iterator[tuple[int, float, int]]:
        there_s = self._trip(kind, at_s)
        if there_s is None:
            return  # it is given up before its kernel sends again
        refusal = self._refusal(at_s)
        stood_s = self._trip(kind, there_s, back=True)
        if refusal and stood_s is not None:
            yield RecordKind.REFUSED, stood_s, Refusal.RST
        if refusal or stood_s is None or stood_s > at_s + THRESHOLD_S:
            return
        yield RecordKind.CONNECTED, stood_s, 0
        accepted_s = self._trip(kind, stood_s)
        if accepted_s is None:
            accepted_s = self._repeated(kind, there_s, SYN_RTO_S, at_s + LATE_S)  # by the SYN-ACK sent again
        if accepted_s is None:
            return
        slow_s = sum(deed.slow_s for deed in self.deeds if deed.at(at_s))
        said_s = accepted_s + SERVICE_S + slow_s
        greeted_s = self._trip(kind, said_s, back=True) or self._repeated(kind, said_s, RTO_S, at_s + LATE_S)
        if greeted_s is not None and greeted_s <= at_s + LATE_S:
            yield RecordKind.REPLY, greeted_s, 0

    def _repeated(self, kind: ProbeKind, first_s: float, wait_s: float, until_s: float) -> float | None:
        """Return when a packet that was lost arrives at last; its sender waits twice as long each time."""
        at_s = first_s + wait_s
        while at_s < until_s:
            arrived_s = self._trip(kind, at_s, back=True)
            if arrived_s is not None:
                return arrived_s
            wait_s *= 2
            at_s += wait_s
        return None

    def _session(self, kind: ProbeKind, at_s: float) -> Iterator[tuple[int, float, int]]:
        """Echo in order: what was lost holds up all that comes after it."""
        if at_s < self.resumes_s:
            answered_s: float | None = self.resumes_s
        else:
            answered_s, wait_s, again_s = self._round(kind, at_s), RTO_S, at_s
            while answered_s is None and again_s < self.after_s:
                again_s += wait_s
                wait_s *= 2
                answered_s = self._round(kind, again_s)
            self.resumes_s = answered_s or self.after_s
        if answered_s is not None and answered_s < self.after_s:
            yield RecordKind.REPLY, answered_s, 0


def public_end(name: str) -> str:
    """Return the public end of a guest, as a target."""
    return f"198.51.100.{10 + int(name.removeprefix('vm'))}:22"
