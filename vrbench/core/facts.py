"""What a trial notes beside its samples."""

from __future__ import annotations

from dataclasses import dataclass, field

from vrbench.core.caveats import Caveat
from vrbench.core.model import HARNESS, OutageWindow, Stream


@dataclass(frozen=True, slots=True)
class NodeClock:
    """A guest's monotonic clock minus the harness's, with the error of that figure (both ns)."""

    offset_ns: int
    error_ns: int

    def drifting_to(self, later: NodeClock) -> NodeClock:
        """Return one offset for the time between two measurements: their middle, its error holds both."""
        low = min(self.offset_ns - self.error_ns, later.offset_ns - later.error_ns)
        high = max(self.offset_ns + self.error_ns, later.offset_ns + later.error_ns)
        return NodeClock((low + high) // 2, (high - low + 1) // 2)


PRIMARY = ("MASTER", "PRIMARY")  # how a pair's active router is called: up to 4.15, and later


@dataclass(frozen=True, slots=True)
class Router:
    """One virtual router as the API shows it. ``redundant_state`` lags by up to 30 s: never a clock.

    ``software``: the release of what runs in it (servers since 4.17 say so); ``scripts``: the checksum of its scripts.
    """

    id: str
    name: str
    state: str
    redundant: bool = False
    redundant_state: str = ""
    software: str = ""
    scripts: str = ""


@dataclass(frozen=True, slots=True)
class RouterChange:
    """A router that the cloud showed otherwise than at the look before; "gone" where it showed it no more.

    The change came between ``after_ns`` and ``seen_ns`` (CLOCK_MONOTONIC of the harness), as the cloud tells it.
    """

    name: str
    state: str
    redundant_state: str
    after_ns: int
    seen_ns: int


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """All that analysis needs of a trial beside the raw logs. ``clocks`` are keyed by node (the harness has none).

    ``requested_ns`` is CLOCK_MONOTONIC of the harness just before the operation was sent; ``observed_ns`` when the
    probers were told to stop (0: not known). ``job_s``: seconds from the request to the first look that saw the job
    ended. ``expected_streams``: (node, stream) of everything that was to be probed. ``guest_of_endpoint``: the guest
    behind each public end, by what probes call their target. ``pre_trial_caveats``: what was found before the trials.
    ``given_up``: the streams that were no longer waited for when all else had recovered, by their names.
    ``gateways``: the MAC addresses that answered for a guest's gateway when probing was over. ``competing_routers``:
    routers that the cloud then showed side by side although only one of them may serve. ``operation``: its name.
    ``routers_before`` and ``routers_after``: the network's routers just before it was asked for, and when probing was
    over; none where the account may not list them. ``router_changes``: what the cloud showed of them meanwhile.
    ``unfit``: the streams that the baseline found unable to tell an outage, by their names; ``tolerated``: how many
    probes in a row streams like each of the others lost in it. Runs of versions that did not judge the baseline have
    neither.
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
    expected_streams: tuple[tuple[str, Stream], ...] = ()
    guest_of_endpoint: dict[str, str] = field(default_factory=dict)
    pre_trial_caveats: tuple[Caveat, ...] = ()
    gateways: dict[str, tuple[str, ...]] = field(default_factory=dict)
    competing_routers: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    operation: str = ""
    routers_before: tuple[Router, ...] = ()
    routers_after: tuple[Router, ...] = ()
    router_changes: tuple[RouterChange, ...] = ()
    unfit: tuple[str, ...] = ()
    tolerated: dict[str, int] = field(default_factory=dict)

    def like_before(self, stream: str, window: OutageWindow) -> bool:
        """Return whether the baseline had windows as short as this one already, of this stream or of one like it."""
        return 0 < window.lost + window.refused <= self.tolerated.get(stream, 0) and not window.gaps

    def places(self, node: str) -> bool:
        """Return whether it is known when what a node saw was, counted from the request.

        Clocks are noted when a trial is over: of one that was interrupted, guests' are not known.
        """
        return node == HARNESS or node in self.clocks or not self.interrupted


@dataclass(frozen=True, slots=True)
class Context:
    """Where a run was measured: what its figures may be compared with."""

    environment: str  # the profile's name
    cloud_version: str
    hypervisor: str
    operation: str
    lab: bool
