"""The words of vrbench, as frozen values (the field's own terms: RFC 6201, 6412, 3357, 7680; CloudStack's API).

Times named ``*_s`` are float seconds, ``*_ns`` integer nanoseconds. Within a trial, ``*_s`` times count from the
moment the operation was requested, on the clock of the stream they belong to; a duration never crosses clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from vrbench.core.kinds import Direction as Direction
from vrbench.core.kinds import ProbeKind, kind_of


class Outcome(StrEnum):
    """What became of one slot. Only LOST and REFUSED are down; SKIPPED and UNKNOWN are gaps, neither up nor down."""

    REPLIED = "replied"
    LOST = "lost"
    REFUSED = "refused"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    @property
    def is_down(self) -> bool:
        return self in (Outcome.LOST, Outcome.REFUSED)

    @property
    def is_gap(self) -> bool:
        return self in (Outcome.SKIPPED, Outcome.UNKNOWN)


class Verdict(StrEnum):
    """What a trial's figures are worth."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Why a path was down. What each claims, and on what evidence, stands in ``core.causes.rules``."""

    ROUTER_GONE = "router gone"
    NAT_MISSING = "NAT missing"
    FIREWALL_MISSING = "firewall missing"
    STALE_ARP = "stale ARP"
    OLD_FLOW_CUT = "old flow cut"
    OLD_FLOW_PINNED = "old flow pinned without NAT"
    TCP_BACKOFF = "TCP backoff"
    SERVICE_SLOW = "service slow"
    SERVICE_REFUSES = "service refuses"
    ROUTER_REFUSES = "router refuses"
    UNATTRIBUTED = "unattributed"


HARNESS = "harness"  # the node name of the harness's own probers


@dataclass(frozen=True, slots=True)
class Stream:
    """One probed direction, flow and target; ``probe`` and ``flow`` are the words by which logs spell its kind."""

    name: str
    direction: Direction
    probe: str
    flow: str
    target: str
    interval_s: float

    @property
    def kind(self) -> ProbeKind:
        """Its row in the table of kinds. Raises UnknownKind for words of another version."""
        return kind_of(self.probe, self.flow)

    @property
    def place(self) -> str:
        """The guest or public end that its name gives (``ProbeKind.stream_name``); '' where it gives none."""
        return self.name.partition("/")[2].partition("/")[0]

    def path(self, node: str) -> str:
        """Return what it shares with the other streams of its path: its guest's way out, or its public end."""
        return node if self.direction is Direction.EGRESS else self.target


class Sample(Struct, frozen=True):
    """What became of slot ``slot``; ``sent_s`` is None when it was never sent, ``rtt_s`` None without an answer.

    Where its send took long, the probe left somewhere between ``sent_s`` and ``width_s`` later.
    """

    slot: int
    due_s: float
    sent_s: float | None
    outcome: Outcome
    rtt_s: float | None = None
    width_s: float = 0.0


class CausePhase(Struct, frozen=True):
    """A part of an outage window with one cause, in the window's own time."""

    cause: Cause
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        return self.end_s - self.start_s


class OutageWindow(Struct, frozen=True):
    """A maximal run of down samples of one stream, with bounds on how long the path was really down.

    ``at_least_s`` <= ``estimate_s`` <= ``at_most_s``. ``censored``: still open when observation ended; then, and when
    the stream was never up before, ``at_most_s`` is infinite. A window without any down sample is ``blind``: a stretch
    in which nothing was seen, which bounds what may have happened there. ``last_up_s``: when the last success before it
    was sent (None: never up before), ``first_down_s`` when its first down sample was. ``phases`` fill the estimate, in
    order, and ``cause`` is what they come to in words; both are empty where causes were not looked for.
    """

    start_s: float
    at_least_s: float
    estimate_s: float
    at_most_s: float
    lost: int
    refused: int
    gaps: int
    censored: bool
    last_up_s: float | None = None
    first_down_s: float | None = None
    cause: str = ""
    phases: tuple[CausePhase, ...] = ()

    @property
    def blind(self) -> bool:
        return not (self.lost or self.refused)

    @property
    def failed_s(self) -> float:
        """When its first failure was sent, which may be before it began; its begin where that is not known."""
        return self.start_s if self.first_down_s is None else self.first_down_s


@dataclass(frozen=True, slots=True)
class Guest:
    """One VM of the environment and the public end through which the harness reaches its SSH port."""

    name: str
    vm_id: str
    ip: str
    public_ip: str
    public_port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One public address and port behind which a guest's SSH port answers; an ingress target."""

    public_ip: str
    port: int
    guest: str


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose things are, where they are not the caller's own: a project's, or an account's of a domain."""

    account: str = ""
    domain_id: str = ""
    project_id: str = ""


CALLER = Owner()  # whoever makes the calls; nobody has to be named


@dataclass(frozen=True, slots=True)
class Environment:
    """What exists in the cloud now: the network, its router, guests, public addresses and rules."""

    network_id: str
    network_name: str
    zone: str
    hypervisor: str
    cloud_version: str
    offering: str
    source_nat_ip: str
    guests: tuple[Guest, ...]
    endpoints: tuple[Endpoint, ...]
    routers: tuple[str, ...] = ()  # names; empty where the caller may not list routers
    owner: Owner = CALLER
