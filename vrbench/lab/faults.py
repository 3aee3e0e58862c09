"""Faults on demand: what can go wrong in the lab, by name, and what of it is going wrong now.

A fault is switched on and off by ``vrbench lab fault`` or, as on CloudStack's own simulator, by the API's
configureSimulator (``name`` the fault's, ``value`` its parameters as "key=value;key=value"). Those of the API and of
jobs are acted out by ``lab/api/faults/api_faults.py``, those of packets by ``lab/packets/faulty_ground.py``.
"""

from __future__ import annotations

import difflib
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vrbench.lab.limits import Limits


class FaultError(ValueError):
    """There is no such fault, or it has no such parameter; says which there are."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that can be switched on: what it does, its parameters with their defaults, and those with few values."""

    help: str
    defaults: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NUMBERS: Mapping[str, Limits] = {  # of parameters, by their names; ``times=0`` is until it is switched off
    "times": Limits(0, 1_000_000, whole=True),
    "every": Limits(1, 1_000_000, whole=True),
    "seconds": Limits(0, 86_400),
    "status": Limits(200, 599, whole=True),
    "percent": Limits(0, 100),
    "rate": Limits(1, 1_000_000, whole=True),
}
_WHICH = {"command": "", "times": "0"}  # every command; until it is switched off
KINDS: Mapping[str, FaultKind] = {
    "api-delay": FaultKind("API answers come late", {**_WHICH, "seconds": "2"}),
    "api-error": FaultKind(
        "API calls are refused with an HTTP status (401, 429, 503, 530 …), or each fifth of a command with every=5; "
        "retry-after is sent as the header of that name",
        {**_WHICH, "status": "503", "every": "1", "retry-after": ""},
    ),
    "api-html": FaultKind("a proxy's HTML page comes instead of an API answer", {**_WHICH, "status": "502"}),
    "api-reset": FaultKind(
        "API connections are reset; with done=yes after the call was carried out",
        {**_WHICH, "done": "no"},
        {"done": ("no", "yes")},
    ),
    "job-fails": FaultKind("jobs do their work, but report failure", {**_WHICH, "text": "Failed to restart network"}),
    "job-hangs": FaultKind("jobs take so many seconds longer", {**_WHICH, "seconds": "3600"}),
    "router-not-placed": FaultKind("no host takes a new router: its start fails"),
    "router-not-stopped": FaultKind("an old router can't be stopped"),
    "router-stuck-starting": FaultKind(
        "a new router stays in state Starting so many seconds longer", {"seconds": "3600"}
    ),
    "two-routers": FaultKind("an old router stays on the network although the server has destroyed it"),
    "rules-missing": FaultKind(
        "routers are programmed without some rules: all, source-nat, egress, firewall or port-forwards",
        {"what": "all"},
        {"what": ("all", "source-nat", "egress", "firewall", "port-forwards")},
    ),
    "rules-late": FaultKind(
        "a new router forwards so many seconds before its NAT rules come: what=both, egress or ingress",
        {"seconds": "3", "what": "both"},
        {"what": ("both", "egress", "ingress")},
    ),
    "wrong-interface": FaultKind("a router puts its public addresses on the guest side, but for the source-NAT one"),
    "stale-arp": FaultKind("nobody hears a new router's gratuitous ARP"),
    "split-brain": FaultKind("redundant routers don't hear each other, so both become primary"),
    "both-backup": FaultKind("redundant routers both give up being primary"),
    "packet-loss": FaultKind("routers drop so many percent of the packets they forward", {"percent": "5"}),
    "icmp-limit": FaultKind("routers forward at most so many ICMP packets a second", {"rate": "5"}),
    "lease-lost": FaultKind("a VM loses its DHCP lease, and so its address", {"vm": ""}),
    "guest-reboot": FaultKind("a VM reboots, once", {"vm": ""}),
    "guests-are": FaultKind("VMs deployed from now on are like a template that is not as usual", {"like": "rsa-only"}),
    "sshd-gone": FaultKind("a VM refuses SSH connections", {"vm": ""}),
    "sshd-slow": FaultKind("a VM accepts SSH connections, but sends no banner", {"vm": ""}),
}


@dataclass(frozen=True, slots=True)
class LabFault:
    """A fault that was asked for, with all its parameters."""

    name: str
    params: Mapping[str, str]

    def number(self, name: str) -> float:
        """Return a parameter as a number."""
        return float(self.params[name])


def make(name: str, given: Mapping[str, str]) -> LabFault:
    """Return the fault of that name with its defaults; raises FaultError with the nearest names or values."""
    if name not in KINDS:
        raise FaultError(f"there is no fault {name!r}; {_nearest(name, KINDS)}")
    defaults = KINDS[name].defaults
    for key in given:
        if key not in defaults:
            has = _nearest(key, defaults) if defaults else "it has none"
            raise FaultError(f"{name} has no parameter {key!r}; {has}")
    for key, value in given.items():
        wrong = NUMBERS[key].refuse(value) if key in NUMBERS else _not_among(value, KINDS[name].choices.get(key))
        if wrong:
            raise FaultError(f"{name}: {key} must be {wrong}")
    return LabFault(name, {**defaults, **given})


def parse(text: str) -> dict[str, str]:
    """Read ``key=value;key=value`` as parameters; leave out what has no "="."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _not_among(value: str, choices: Sequence[str] | None) -> str:
    return f"one of: {', '.join(choices)}" if choices and value not in choices else ""


def _nearest(name: str, known: Mapping[str, object]) -> str:
    few = len(known) < 6
    near = [] if few else difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"there are: {', '.join(near or sorted(known))}"


Act = Callable[[LabFault, bool], None]


class Faults:
    """What is going wrong now. ``act`` is told of each fault that goes on (True) or off, and may refuse by raising."""

    def __init__(self) -> None:
        self.act: Act = lambda _fault, _on: None
        self._active: dict[str, LabFault] = {}
        self._used: dict[str, int] = {}
        self._asked: Counter[tuple[str, str]] = Counter()  # by fault and command
        self._lock = threading.RLock()

    def start(self, fault: LabFault) -> None:
        """Switch it on, in place of one of the same name."""
        self.stop(fault.name)
        self.act(fault, True)
        with self._lock:
            self._active[fault.name], self._used[fault.name] = fault, 0
            self._asked = Counter({key: n for key, n in self._asked.items() if key[0] != fault.name})

    def stop(self, name: str) -> None:
        """Switch it off, if it is on."""
        with self._lock:
            fault = self._active.pop(name, None)
        if fault is not None:
            self.act(fault, False)

    def now(self) -> tuple[LabFault, ...]:
        """Return all that are on."""
        with self._lock:
            return tuple(self._active.values())

    def get(self, name: str) -> LabFault | None:
        """Return the fault of that name, if it is on."""
        with self._lock:
            return self._active.get(name)

    def take(self, name: str, command: str) -> LabFault | None:
        """Return the fault, if it is on for this API command, and use up one of its ``times``.

        With ``every``, that is each so manieth call of a command.
        """
        with self._lock:
            fault = self._active.get(name)
            if fault is None or fault.params["command"].lower() not in ("", command.lower()):
                return None
            self._asked[name, command] += 1
            if self._asked[name, command] % int(fault.params.get("every", 1)):
                return None
            self._used[name] += 1
            if self._used[name] == int(fault.number("times")):
                del self._active[name]
            return fault
