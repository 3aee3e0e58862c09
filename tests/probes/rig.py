"""Running probers in the box and reading what they logged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.probes.box import Box
from vrbench.core.kinds import kind_of
from vrbench.core.log.rawlog import LogHeader, Record, RecordKind, decode_header, decode_records
from vrbench.core.model import Stream
from vrbench.probes.bundle import agent_bundle
from vrbench.probes.config import PhasedStream

HARNESS, ROUTER = "198.51.100.2", "198.51.100.1"
AS_USER = ("setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw")  # root, but for raw sockets


@dataclass(frozen=True)
class Logged:
    """A raw log, with the questions tests ask of it."""

    header: LogHeader
    records: tuple[Record, ...]

    def slots(self, kind: RecordKind, stream: int = 0) -> list[int]:
        return [r.slot for r in self.records if r.kind is kind and r.stream == stream]

    def sent_ns(self, stream: int = 0) -> dict[int, int]:
        return {r.slot: r.t_ns for r in self.records if r.kind is RecordKind.SENT and r.stream == stream}

    def judged(self, stream: int = 0) -> list[int]:
        """Return the slots that were sent, but for those of which a prober that stood still knows nothing."""
        return sorted(set(self.slots(RecordKind.SENT, stream)) - set(self.slots(RecordKind.AMBIGUOUS, stream)))

    def unanswered(self, stream: int = 0) -> list[int]:
        return sorted(set(self.judged(stream)) - set(self.slots(RecordKind.REPLY, stream)))

    def refusals(self, stream: int = 0) -> dict[int, int]:
        return {r.slot: r.detail for r in self.records if r.kind is RecordKind.REFUSED and r.stream == stream}


def read_log(path: Path) -> Logged:
    content = path.read_bytes()
    header, offset = decode_header(content)
    return Logged(header, tuple(decode_records(content, offset)))


def wait_for(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    """Return as soon as ``condition`` holds; fail after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {deadline_s} s"
        time.sleep(0.02)


def more(log: Path, count: int, kind: RecordKind = RecordKind.SENT, stream: int = 0) -> Callable[[], bool]:
    """Return a condition: ``count`` more records of that kind have been logged since now."""

    def logged() -> int:
        return len(read_log(log).slots(kind, stream))

    wanted = logged() + count
    return lambda: logged() >= wanted


def _sent(log: Path) -> list[Record]:
    """Return the records of probes that left: those of clocks carry times of another clock."""
    return [record for record in read_log(log).records if record.kind is RecordKind.SENT]


def logged_for(log: Path, duration_s: float) -> Callable[[], bool]:
    """Return a condition: ``duration_s`` seconds of new probes, by their own times, have been logged since now."""
    had = len(_sent(log))

    def holds() -> bool:
        new = _sent(log)[had:]
        return bool(new) and new[-1].t_ns - new[0].t_ns >= duration_s * 1e9

    return holds


def stream(target: str, flow: str = "persistent", interval_s: float = 0.01, probe: str = "icmp") -> PhasedStream:
    spelled = {"icmp": "icmp-egress", "ssh": "ssh-ingress"}.get(probe, probe)
    direction = kind_of(spelled, flow).direction
    return PhasedStream(Stream(f"{probe}-{flow}", direction, spelled, flow, target, interval_s), interval_s / 3)


class Agent:
    """An agent in a guest of the box, run by hand as the harness would over SSH."""

    def __init__(
        self,
        box: Box,
        home: Path,
        *,
        run_by: tuple[str, ...] = (sys.executable,),
        guest: str = "guest0",
        lane: tuple[int, int] = (0, 1),
    ) -> None:
        self.box, self.guest, self.lane = box, guest, lane
        self.prefix = (*run_by, str(home / "agent.pyz"))
        self.log, self.config = home / f"{guest}.log", home / f"{guest}.json"
        (home / "agent.pyz").write_bytes(agent_bundle())

    def configure(self, *streams: PhasedStream, max_s: float = 30.0) -> None:
        line = {"log": str(self.log), "node": self.guest, "max_s": max_s, "lane": self.lane}
        self.config.write_text(json.dumps({**line, "streams": [s.as_json() for s in streams]}))

    def call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        argv = self.box.argv(self.guest, *self.prefix, *arguments)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def start(self) -> None:
        done = self.call("start", str(self.config))
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> Logged:
        done = self.call("stop", str(self.config))
        assert done.returncode == 0, done.stderr
        return read_log(self.log)

    def pid(self) -> int:
        """Return the prober's process id as the host sees it."""
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = status.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"start" in words and str(self.config).encode() in words and b"nsenter" not in words:
                return int(status.parent.name)
        raise AssertionError("no agent runs")

    def seconds(self, duration: float) -> Callable[[], bool]:
        """Return a condition: the agent has logged ``duration`` seconds since now."""
        return logged_for(self.log, duration)
