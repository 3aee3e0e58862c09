"""When a trial would end that a real zone kept waiting for 45 minutes: its raw logs, played as they grew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.packed import unpack
from tests.replacing import replace
from tests.run.world import SECOND
from tests.test_stored import STORED
from vrbench.core.log.growing_log import GrowingLog, StreamState
from vrbench.core.log.history import Marked, ProbeHistory
from vrbench.core.log.rawlog import RECORD, RecordKind, decode_header
from vrbench.core.model import Direction
from vrbench.core.ports import Collected
from vrbench.run.recovery import Patience, Recovery

PATIENCE = Patience(validation_s=10.0, grace_s=60.0, silence_s=35.0)
STEP_NS = SECOND // 4
WATCHED_S = 2700.0  # for as long as the zone was watched


@dataclass
class Growing:
    """A raw log that is read as far as it had come at a moment of the harness's clock."""

    log: bytes
    read: int
    live: GrowingLog
    ahead_ns: int  # its clock minus the harness's

    @classmethod
    def of(cls, path: Path, clocks: dict[str, dict[str, int]]) -> Growing:
        log = path.read_bytes()
        header, begin = decode_header(log)
        live = GrowingLog(800_000_000)
        live.feed(log[:begin])
        return cls(log, begin, live, clocks.get(header.node, {"offset_ns": 0})["offset_ns"])

    def states(self, now_ns: int) -> Iterator[StreamState]:
        end = self.read
        while end + RECORD.size <= len(self.log):
            kind, _, _, _, t_ns = RECORD.unpack_from(self.log, end)
            if kind != RecordKind.WALL and t_ns - self.ahead_ns > now_ns:
                break
            end += RECORD.size
        self.live.feed(self.log[self.read : end])
        self.read = end
        for s in self.live.states():
            yield replace(s, since_ns=s.since_ns - self.ahead_ns, judged_ns=s.judged_ns - self.ahead_ns)


@dataclass
class Played:
    """What was seen then, as an observation and a clock."""

    logs: list[Growing]
    now_ns: int
    silenced: tuple[str, ...] = ()

    def monotonic_ns(self) -> int:
        return self.now_ns

    def utc(self) -> str:
        return ""

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)

    def states(self) -> Sequence[StreamState]:
        found = [state for log in self.logs for state in log.states(self.now_ns)]
        return [s for s in found if s.stream.direction is not Direction.ROUTER]

    def histories(self) -> Sequence[ProbeHistory]:
        return ()

    def always_up(self) -> frozenset[str]:
        return frozenset()

    def silence(self, streams: Sequence[StreamState], seconds: float) -> frozenset[str]:
        self.silenced = tuple(s.stream.name for s in streams)
        return frozenset(self.silenced)

    def start(self) -> None: ...
    def mark(self, marked: Marked) -> None: ...
    def failed(self) -> Sequence[str]:
        return ()

    def stop(self) -> Collected:
        return Collected({}, (), (), ())


def test_a_dead_ping_and_a_slow_service_hold_a_trial_up_for_two_minutes(tmp_path: Path) -> None:
    """The job took 270 s. The guest's news came late again and again, sshd went up and down, and the ping was dead."""
    trial = unpack(STORED / "real-one-trial" / "run.tar.xz", tmp_path) / "trial-01"
    facts = json.loads((trial / "facts.json").read_text())
    requested_ns, job_s = facts["requested_ns"], facts["job_s"]
    played = Played([Growing.of(path, facts["clocks"]) for path in sorted(trial.glob("*.raw"))], requested_ns)
    answering = {s.stream.name for s in played.states() if s.up and s.stream.kind.awaited}
    recovery = Recovery(played, played, PATIENCE, lambda _: None)
    played.sleep(job_s + PATIENCE.validation_s)
    while not recovery.complete([s for s in played.states() if s.stream.name in answering], played.now_ns):
        played.sleep(STEP_NS / SECOND)
        assert (played.now_ns - requested_ns) / SECOND < WATCHED_S, "it would have waited for as long as it did"
    ended_s = (played.now_ns - requested_ns) / SECOND
    assert recovery.given_up == ("icmp-egress/vm1/persistent", "ssh-ingress/203.0.113.22:22/banner")
    assert played.silenced == ("icmp-egress/vm1/persistent",)
    # The played ping can't be answered after a silence that it never kept, so the news of it are waited for as well.
    assert job_s + 10 + 60 + 35 <= ended_s <= job_s + 10 + 60 + 35 + 20
