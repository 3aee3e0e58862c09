"""A trial's evidence written as strings, one character per 100 ms, from 1 s before the request to 5 s after it.

Every log has been up for 10 s before that: what is usual must be known. What ends up or down goes on so for 2 s more.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.core.logs import END_MS, MS, START, header, line, record
from vrbench.core.analysis import analyze_trial
from vrbench.core.facts import NodeClock, TrialFacts
from vrbench.core.figures.results import StreamResult, TrialResult
from vrbench.core.log.rawlog import RECORD, RecordKind
from vrbench.core.model import CausePhase, Direction, OutageWindow, Stream
from vrbench.core.plan.method import Method

BEFORE, AFTER = 100, 20  # slots that are added on either side
REQUESTED = START + (10 + BEFORE) * 100 * MS
GUEST_TTL, ROUTER_TTL = 63, 64
GATEWAY, OLD, NEW = "10.1.1.1", 0x020000000101, 0x020000000102
REACHABLE, STALE, FAILED = 0x02, 0x04, 0x20
UP = "R" * END_MS
METHOD = Method(0.1, 0.25, 0.8, 1, 1.0, 1.0)


def down(start_s: float, end_s: float, how: str = "L") -> str:
    """Up, but for the slots from one time to another (seconds after the request)."""
    first, last = round(start_s * 10) + 10, round(end_s * 10) + 10
    return UP[:first] + how * (last - first) + UP[last:]


@dataclass
class Log:
    """One node's log: streams with what became of their slots, and neighbour entries (at_s, MAC or 0, state)."""

    node: str
    streams: list[tuple[Stream, str]] = field(default_factory=list)
    entries: list[tuple[float, int, int]] = field(default_factory=list)
    address: str = GATEWAY
    clock_s: float = 0.0  # its clock minus the harness's
    details: dict[str, int] = field(default_factory=dict)  # stream -> why it is refused
    after: int = AFTER
    ttls: dict[str, int] = field(default_factory=dict)  # stream -> with which TTL; its answers have GUEST_TTL then

    def add(self, direction: Direction, probe: str, flow: str, target: str, outcomes: str) -> Log:
        """One more stream, by its outcomes."""
        name = f"{probe}/{self.node}/{target}/{flow}"
        self.streams.append((Stream(name, direction, probe, flow, target, 0.1), outcomes))
        return self

    def encoded(self) -> bytes:
        """Return the raw log. Slots lie on the node's own clock as they do on the harness's."""
        shift = round(self.clock_s * 1e9)
        body = header(*(s for s, _ in self.streams), node=self.node)
        if shift:
            body = body.replace(f'"start_ns": {START}'.encode(), f'"start_ns": {START + shift}'.encode())
        for index, (stream, outcomes) in enumerate(self.streams):
            whole = "R" * BEFORE + outcomes + outcomes[-1:] * self.after
            refusal = self.details.get(stream.flow, 0x0301), self.ttls.get(stream.flow, 0)
            body += b"".join(_line(whole, index, shift, refusal))
        for at_s, mac, state in self.entries:
            t_ns = REQUESTED + shift + round(at_s * 1e9)
            if mac:
                body += record(RecordKind.NEIGHBOUR_MAC, mac & 0xFFFFFFFF, t_ns, 0, mac >> 32)
            (address,) = struct.unpack(">I", socket.inet_aton(self.address))
            body += record(RecordKind.NEIGHBOUR, address, t_ns, 0, state)
        slots = BEFORE + END_MS + self.after
        return body + record(RecordKind.END, 0, START + shift + slots * 100 * MS + 1000 * MS)


def _line(outcomes: str, index: int, shift: int, refusal: tuple[int, int]) -> Iterator[bytes]:
    """Yield the records of a stream; "B" is a connection that stood, and nothing came of it."""
    detail, ttl = refusal
    for kind, _, _, slot, t_ns in RECORD.iter_unpack(line(outcomes.replace("B", "L"), index)):
        if kind == RecordKind.REFUSED and ttl:
            yield record(RecordKind.TTL, slot, t_ns + shift, index, ttl)
        told = {RecordKind.REFUSED: detail, RecordKind.REPLY: GUEST_TTL if ttl else 0}.get(kind, 0)
        yield record(kind, slot, t_ns + shift, index, told)
        if outcomes[slot] == "B":
            yield record(RecordKind.CONNECTED, slot, t_ns + shift + MS, index)


def guest(
    name: str, fresh: str, *, persistent: str = "", gateway: str = "", control: str = UP, clock_s: float = 0.0
) -> Log:
    """Return a guest's log; a stream without outcomes is not probed."""
    log = Log(name, clock_s=clock_s).add(Direction.EGRESS, "icmp-egress", "fresh", "203.0.113.1", fresh)
    if persistent:
        log.add(Direction.EGRESS, "icmp-egress", "persistent", "203.0.113.1", persistent)
    if gateway:
        log.add(Direction.ROUTER, "gateway", "persistent", GATEWAY, gateway)
    return log.add(Direction.CONTROL, "control", "fresh", "10.1.1.99", control)


def harness(syn: str, *, banner: str = "", other: str = "", control: str = UP) -> Log:
    """Return the harness's log: layers of a first public end, the SYN of another one."""
    log = Log("harness").add(Direction.INGRESS, "ssh-ingress", "syn", "198.51.100.11:22", syn)
    if banner:
        log.add(Direction.INGRESS, "ssh-ingress", "banner", "198.51.100.11:22", banner)
    if other:
        log.add(Direction.INGRESS, "ssh-ingress", "syn", "198.51.100.12:22", other)
    return log.add(Direction.CONTROL, "control", "fresh", "198.51.100.2", control)


def analysed(*logs: Log, behind: dict[str, str] | None = None) -> TrialResult:
    """Return the trial of those logs."""
    clocks = {log.node: NodeClock(round(log.clock_s * 1e9), 1000) for log in logs if log.node != "harness"}
    facts = TrialFacts(1, "2026-11-24T12:00:00.000Z", REQUESTED, 1.0, clocks=clocks, guest_of_endpoint=behind or {})
    return analyze_trial(facts, [log.encoded() for log in logs], METHOD)


def one(trial: TrialResult, node: str, flow: str, target: str = "") -> OutageWindow:
    """Return the only window of the stream of that node and flow."""
    found: list[StreamResult] = [s for s in trial.streams if (s.node, s.stream.flow) == (node, flow)]
    (stream,) = [s for s in found if s.stream.target.startswith(target) and s.stream.direction in Direction][:1]
    (window,) = stream.windows
    return window


def told(window: OutageWindow) -> list[tuple[str, float, float]]:
    """Return a window's phases as (cause, from, until), to 10 ms."""
    return [(str(p.cause), round(p.start_s, 2), round(p.end_s, 2)) for p in window.phases]


def causes(window: OutageWindow) -> list[str]:
    return [str(p.cause) for p in window.phases]


def fills(window: OutageWindow, phases: tuple[CausePhase, ...]) -> bool:
    """Whether phases lie end to end from the window's first failure to its estimated end."""
    times = [window.start_s, *(p.end_s for p in phases)]
    joined = all(p.start_s == before for p, before in zip(phases, times, strict=False))
    return joined and abs(times[-1] - window.start_s - window.estimate_s) < 1e-9
