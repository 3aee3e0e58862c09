"""What a trial notes beside its samples, and the caveats that its figures carry."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vrbench.core.model import Stream


class CaveatKind(StrEnum):
    """Every doubt a figure can carry; one wording each, in ``WORDING``."""

    BASELINE_SHORT = "baseline-short"
    BASELINE_LOSSY = "baseline-lossy"
    SLOTS_SKIPPED = "slots-skipped"
    NO_SAMPLES = "no-samples"
    DOWN_AT_REQUEST = "down-at-request"
    NO_RECOVERY_SEEN = "no-recovery-seen"
    JOB_FAILED = "job-failed"
    JOB_UNFINISHED = "job-unfinished"
    AGENT_LOST = "agent-lost"
    GUEST_REBOOTED = "guest-rebooted"
    CONTROL_DOWN = "control-down"
    CONTROL_LOSSY = "control-lossy"
    NO_CONTROL = "no-control"
    CLOCK_STEPPED = "clock-stepped"
    CLOCKS_UNALIGNED = "clocks-unaligned"
    RELAPSED = "relapsed"
    FLOWS_DIFFER = "flows-differ"
    PATH_ASYMMETRIC = "path-asymmetric"
    PROBER_FAILED = "prober-failed"
    PROBER_STALLED = "prober-stalled"
    UNSEEN = "unseen"
    LOG_CUT = "log-cut"
    INTERRUPTED = "interrupted"
    WITHOUT_PYTHON = "without-python"
    SSHD_LIMITS = "sshd-limits"
    TURNED_AWAY = "turned-away"
    BOOT_DOUBTFUL = "boot-doubtful"
    SERVICE_DOWN = "service-down"
    TWO_ROUTERS = "two-routers"
    FLAPPING = "flapping"
    LAB = "lab"


WORDING = {
    CaveatKind.BASELINE_SHORT: "the baseline was shorter than the 15 s that RFC 6201 asks for",
    CaveatKind.BASELINE_LOSSY: "probes were already lost before the operation",
    CaveatKind.SLOTS_SKIPPED: "some probes were never sent; they widen the bounds and count as neither up nor down",
    CaveatKind.NO_SAMPLES: "a stream has no samples, or was never up before the operation: nothing can be said of it",
    CaveatKind.DOWN_AT_REQUEST: "a stream was down already when the operation was requested; the window counts whole",
    CaveatKind.NO_RECOVERY_SEEN: "a stream was not seen to recover when observation ended: its figure is a lower bound",
    CaveatKind.JOB_FAILED: "the cloud reported that the operation failed",
    CaveatKind.JOB_UNFINISHED: "the operation's job had not ended in its time",
    CaveatKind.AGENT_LOST: "a guest's prober did not deliver its whole log",
    CaveatKind.GUEST_REBOOTED: "a guest rebooted during the trial",
    CaveatKind.CONTROL_DOWN: "a path that does not cross the router was down at the same time",
    CaveatKind.CONTROL_LOSSY: "a path that does not cross the router lost probes at another time",
    CaveatKind.NO_CONTROL: "the harness probed no control target, so faults of its own path can't be told apart",
    CaveatKind.CLOCK_STEPPED: "a wall clock was stepped; no duration depends on it, the time of day may be off",
    CaveatKind.CLOCKS_UNALIGNED: "a guest's clock could not be aligned with the harness's to better than 50 ms",
    CaveatKind.RELAPSED: "some streams went down again after they had recovered; all windows are counted",
    CaveatKind.FLOWS_DIFFER: "old and new flows recovered at different times; see them apart",
    CaveatKind.PATH_ASYMMETRIC: "one direction worked again before the other: see egress and ingress apart",
    CaveatKind.PROBER_FAILED: "one of the harness's own probers ended early",
    CaveatKind.PROBER_STALLED: "a prober sent nothing for a second or more of an outage: its machine may be at fault",
    CaveatKind.UNSEEN: "nobody looked while an outage was there, or may have been: its figures are in no average",
    CaveatKind.LOG_CUT: "a raw log was cut short after it was recorded, or is damaged: what it lacks was not seen",
    CaveatKind.INTERRUPTED: "the trial was interrupted",
    CaveatKind.WITHOUT_PYTHON: "guests without Python were probed with ping, whose send times are known less exactly",
    CaveatKind.SSHD_LIMITS: "a guest's sshd may turn banner probes away although the network is up",
    CaveatKind.TURNED_AWAY: "sshd turned probes away for its own limits; they count as neither up nor down",
    CaveatKind.BOOT_DOUBTFUL: "a guest may not have booted to its end: what it still changes may look like an outage",
    CaveatKind.SERVICE_DOWN: "a guest's sshd was slow or refused on a network that was up: see SYN and banners apart",
    CaveatKind.TWO_ROUTERS: "two routers answer for one address since the operation: which one is reached is chance",
    CaveatKind.FLAPPING: "a stream went down and up faster than its interval can tell; its total has bounds",
    CaveatKind.LAB: "measured on the embedded lab: it shows mechanisms, not the speed of CloudStack",
}


@dataclass(frozen=True, slots=True)
class Caveat:
    """One doubt and whom it concerns."""

    kind: CaveatKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{WORDING[self.kind]}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class NodeClock:
    """A guest's monotonic clock minus the harness's, with the error of that figure (both ns)."""

    offset_ns: int
    error_ns: int

    def drifting_to(self, later: NodeClock) -> NodeClock:
        """One offset for the time between two measurements: their middle, its error holds both."""
        low = min(self.offset_ns - self.error_ns, later.offset_ns - later.error_ns)
        high = max(self.offset_ns + self.error_ns, later.offset_ns + later.error_ns)
        return NodeClock((low + high) // 2, (high - low + 1) // 2)


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """All that analysis needs of a trial beside the raw logs. ``clocks`` are keyed by node (the harness has none).

    ``requested_ns`` is CLOCK_MONOTONIC of the harness just before the operation was sent, ``observed_ns`` when the
    probers were told to stop (0: not known); ``job_s`` seconds from the request to the first look that saw the job
    ended. ``expected``: (node, stream) of everything that was to be probed. ``behind``: the
    guest behind each public end. ``doubts``: what was found before the trials. ``gateways``: the MAC addresses that
    answered for a guest's gateway when probing was over. ``rivals``: routers that the cloud then showed side by side
    although only one of them may serve.
    """

    number: int
    requested_utc: str
    requested_ns: int
    baseline_s: float
    job_s: float | None = None
    job_error: str = ""
    job_finished: bool = True
    recovered: bool = True
    interrupted: bool = False
    lab: bool = False
    clocks: dict[str, NodeClock] = field(default_factory=dict)
    agents_lost: tuple[str, ...] = ()
    guests_rebooted: tuple[str, ...] = ()
    probers_failed: tuple[str, ...] = ()
    observed_ns: int = 0
    expected: tuple[tuple[str, Stream], ...] = ()
    behind: dict[str, str] = field(default_factory=dict)
    doubts: tuple[Caveat, ...] = ()
    gateways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """Where a run was measured: what its figures may be compared with."""

    environment: str  # the profile's name
    cloud_version: str
    hypervisor: str
    operation: str
    lab: bool
