"""What a lab is asked to be and what it says of itself: plain values, with their JSON at the edge."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from vrbench.lab.limits import Limits
from vrbench.lab.timing import Timing


class LabError(Exception):
    """The lab can't do what was asked: what failed, in which lab, and what to do about it."""


class ImpossibleLab(LabError):
    """No lab can be like that, or do that: says what can be."""


TIME_SCALE = Limits(0.001, 10)
FIRST_SUBNET = Limits(1, 239, whole=True)
RULE_COST_S = Limits(0, 10)
OUTAGE_S = Limits(0.001, 3600)
_READY_S = Limits(0.001, 3600)


@dataclass(frozen=True, slots=True)
class LabOptions:
    """How a lab starts. ``time_scale`` multiplies every time in ``timing``; ``ready_s`` is how long it may take.

    ``build_scale`` takes its place until a router is first restarted, for those who measure nothing before that.
    """

    strategy: str = "parallel"
    server_version: str = "4.20.2"
    time_scale: float = 1.0
    build_scale: float | None = None
    timing: Timing = field(default_factory=Timing)
    ready_s: float = 30.0
    rule_cost_s: float = 0.0  # how long a router takes for a rule, whatever the time scale
    first_subnet: int = 0  # so many public addresses, then a second subnet's; 0: all there are, and no second

    def check(self) -> None:
        """Raise ImpossibleLab where a number makes no sense."""
        limited = {"time_scale": TIME_SCALE, "ready_s": _READY_S, "rule_cost_s": RULE_COST_S}
        limited |= {"build_scale": TIME_SCALE} if self.build_scale is not None else {}
        limited |= {"first_subnet": FIRST_SUBNET} if self.first_subnet else {}
        for name, limits in limited.items():
            if wrong := limits.refuse(getattr(self, name)):
                raise ImpossibleLab(f"the lab's {name} must be {wrong}")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabOptions:
        return cls(**{**data, "timing": Timing(**data["timing"])})


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the lab. ``kind`` is upstream, neighbour, router or vm."""

    name: str
    kind: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keys:
    """What a caller of the API signs with."""

    apikey: str
    secretkey: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A running lab. ``endpoint`` answers on the host's loopback and, at the same address, inside ``upstream``."""

    endpoint: str
    callers: dict[str, Keys]  # root, domadmin, user
    nodes: tuple[Node, ...]
    ssh_user: str
    rootless: bool
    pid: int
    strategy: str
    time_scale: float
    egress_target: str
    control_target: str

    def to_json(self) -> dict[str, Any]:
        """Return it as ``vrbench lab status --json`` prints it; the root caller's keys stand at the top too."""
        root = self.callers["root"]
        return {**asdict(self), "apikey": root.apikey, "secretkey": root.secretkey}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabStatus:
        fields = {key: value for key, value in data.items() if key not in ("apikey", "secretkey")}
        fields["callers"] = {name: Keys(**keys) for name, keys in data["callers"].items()}
        fields["nodes"] = tuple(Node(n["name"], n["kind"], tuple(n["addresses"])) for n in data["nodes"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Moment:
    """When something took effect: the true instant lies within ``uncertainty_ns`` of either clock's figure."""

    monotonic_ns: int
    utc_ns: int
    uncertainty_ns: int

    def to_json(self) -> dict[str, Any]:
        second, rest = divmod(self.utc_ns, 1_000_000_000)
        utc = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return {**asdict(self), "utc": f"{utc}.{rest:09d}Z"}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Moment:
        return cls(data["monotonic_ns"], data["utc_ns"], data["uncertainty_ns"])


@dataclass(frozen=True, slots=True)
class Outage:
    """An injected outage as it truly was. ``target`` is a VM's name, or empty for all traffic.

    ``pieces`` are the times down within it; ``bound`` is how long an old flow was left without translation.
    """

    direction: str
    target: str
    routers: tuple[str, ...]
    start: Moment
    end: Moment
    pieces: tuple[tuple[Moment, Moment], ...] = ()
    bound: tuple[Moment, Moment] | None = None

    @property
    def duration_s(self) -> float:
        """Seconds from start to end; off by at most the two uncertainties together."""
        return (self.end.monotonic_ns - self.start.monotonic_ns) / 1e9

    def to_json(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "target": self.target,
            "routers": list(self.routers),
            "start": self.start.to_json(),
            "end": self.end.to_json(),
            "duration_s": self.duration_s,
            "pieces": [_span_to_json(piece) for piece in self.pieces],
            "bound": self.bound and _span_to_json(self.bound),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outage:
        start, end = Moment.from_json(data["start"]), Moment.from_json(data["end"])
        pieces = tuple(map(_span_from_json, data["pieces"]))
        bound = data["bound"] and _span_from_json(data["bound"])
        return cls(data["direction"], data["target"], tuple(data["routers"]), start, end, pieces, bound)


def _span_to_json(span: tuple[Moment, Moment]) -> dict[str, Any]:
    return {"start": span[0].to_json(), "end": span[1].to_json()}


def _span_from_json(data: dict[str, Any]) -> tuple[Moment, Moment]:
    return Moment.from_json(data["start"]), Moment.from_json(data["end"])
