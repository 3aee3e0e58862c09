"""What the lab really did to its routers, and when: the truth that causes of downtime are held against.

``noted`` stands between the API and the ground. It passes every call on and writes down those that change what a router
does on the wire, with the clock before and after; faults of guests are written down as they go on and off.
``true_phases`` turns both into times in which a direction could not work, and why:

- *router gone*: no router is plugged in.
- *NAT missing* (egress): the router that guests are sent to has no source NAT or no egress rule yet.
- *firewall missing* (ingress, one public end): it does not yet let in and translate what is sent to that address and
  port.
- *service slow*, *service refuses* (ingress, the public ends that lead to one guest): its SSH server does not get round
  to its banner, or its port is closed. Of this the end that leads to it may be down for another cause as well.

Guests are sent to the router that was plugged in last (its announcement wins), or to whom the switch was turned. Which
of two redundant routers is in charge is keepalived's decision, and no deed of the ground's: for those only the deeds
are the truth. A phase runs from before the deed that begins it until after the one that ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

from vrbench.lab.ground.specs import FirewallRule, PortForward, RouterSpec, RuleSet, VmSpec

NOTED = frozenset(
    "place_router start_router start_router_unplugged hand_over program_router announce_router stop_router "
    "remove_router restart_services set_redundancy synchronise".split()
)
PLUGS_IN = ("start_router", "hand_over")
GONE, NO_NAT, NO_FIREWALL = "router gone", "NAT missing", "firewall missing"
SERVICE_FAULTS = {"sshd-slow": "service slow", "sshd-gone": "service refuses"}
AnyGround = TypeVar("AnyGround")


@dataclass(frozen=True, slots=True)
class Deed:
    """One call to the ground: on which router, and CLOCK_MONOTONIC before and after.

    ``egress`` and ``ingress`` are what the router lets through once it is programmed so; ``ingress`` are public ends,
    "address:port", with the addresses of the guests that they lead to. Of a fault that went on or off (then ``what``
    is "on" or "off", and ``fault`` its name) there is the guest's address and network instead of a router.
    """

    what: str
    router: str
    before_ns: int
    after_ns: int
    network: str = ""  # of place_router
    egress: bool = False
    ingress: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    guest: str = ""


@dataclass(frozen=True, slots=True)
class TruePhase:
    """A time in which a direction (to the public end ``target``, for ingress) could not work, and why."""

    network: str
    direction: str
    target: str
    cause: str
    start_ns: int
    end_ns: int


@dataclass
class Notes:
    """The deeds so far, in the order in which they were done."""

    _deeds: list[Deed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, deed: Deed) -> None:
        with self._lock:
            self._deeds.append(deed)

    def switched(self, fault: str, on: bool, vm: VmSpec, act: Callable[[], None]) -> None:
        """Switch a guest's fault by ``act``, and note it; an ``act`` that raises was not done."""
        before = time.monotonic_ns()
        act()
        times = (before, time.monotonic_ns())
        self.add(Deed("on" if on else "off", "", *times, vm.network, fault=fault, guest=vm.ip))

    def deeds(self) -> tuple[Deed, ...]:
        with self._lock:
            return tuple(self._deeds)

    def to_json(self) -> dict[str, Any]:
        """What ``vrbench lab phases --json`` prints."""
        deeds = self.deeds()
        return {"deeds": [asdict(d) for d in deeds], "phases": [asdict(p) for p in true_phases(deeds)]}


def noted(ground: AnyGround, notes: Notes) -> AnyGround:
    """The same ground, with what is done to its routers written down in ``notes``."""
    return cast(AnyGround, _Noting(ground, notes))


class _Noting:
    def __init__(self, ground: object, notes: Notes) -> None:
        self._ground, self._notes = ground, notes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ground, name)
        return self._noting(name, method) if name in NOTED else method

    def _noting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            before = time.monotonic_ns()
            result = method(*arguments)  # what fails was not done
            self._notes.add(_deed(name, arguments, before, time.monotonic_ns()))
            return result

        return call


def _deed(what: str, arguments: Sequence[Any], before_ns: int, after_ns: int) -> Deed:
    subject = arguments[1] if what == "hand_over" else arguments[0]
    name, network = (subject.name, subject.network) if isinstance(subject, RouterSpec) else (str(subject), "")
    rules = next((a for a in arguments if isinstance(a, RuleSet)), RuleSet())
    return Deed(what, name, before_ns, after_ns, network, lets_out(rules), lets_in(rules))


def lets_out(rules: RuleSet) -> bool:
    """Whether a guest's ping gets out, and translated."""
    allowed = rules.egress_allowed_by_default or any(r.protocol in ("all", "icmp") for r in rules.egress)
    return rules.source_nat is not None and allowed


def lets_in(rules: RuleSet) -> dict[str, str]:
    """The public TCP ends that lead to a guest, with its address."""
    forwarded = [
        (f.public_ip, f.public_ports[0], f.guest_ip) for f in rules.port_forwards if _opened(rules.firewall, f)
    ]
    static = [
        (ip, rule.ports[0], vm_ip)
        for ip, vm_ip in rules.static_nat
        for rule in rules.firewall
        if rule.public_ip == ip and rule.protocol == "tcp" and rule.ports
    ]
    return {f"{ip}:{port}": vm_ip for ip, port, vm_ip in (*forwarded, *static) if ip in rules.public_ips}


def _opened(firewall: Sequence[FirewallRule], forward: PortForward) -> bool:
    return any(
        rule.public_ip == forward.public_ip
        and rule.protocol in ("all", forward.protocol)
        and (rule.ports is None or rule.ports[0] <= forward.public_ports[0] <= rule.ports[1])
        for rule in firewall
    )


def true_phases(deeds: Sequence[Deed]) -> tuple[TruePhase, ...]:
    """When each direction could not work, and why; see the module.

    Counted from when a direction has first worked; a phase that has not ended is left out.
    """
    network_of = {deed.router: deed.network for deed in deeds if deed.router and deed.network}
    found: list[TruePhase] = []
    for network in dict.fromkeys(network_of.values()):
        here = [deed for deed in deeds if network_of.get(deed.router) == network]
        found += _phases(here, network, "egress", "")
        for target in dict.fromkeys(end for deed in here for end in deed.ingress):
            found += _phases(here, network, "ingress", target)
        found += _service_phases(deeds, network, {end: vm for deed in here for end, vm in deed.ingress.items()})
    return tuple(found)


def _service_phases(deeds: Sequence[Deed], network: str, behind: Mapping[str, str]) -> Iterator[TruePhase]:
    """When a guest's service was at fault, for every end of ``behind`` that leads to that guest."""
    since: dict[tuple[str, str], int] = {}
    for deed in deeds:
        if deed.fault not in SERVICE_FAULTS or deed.network != network:
            continue
        if deed.what == "on":
            since[deed.fault, deed.guest] = deed.before_ns
            continue
        start_ns, cause = since.pop((deed.fault, deed.guest)), SERVICE_FAULTS[deed.fault]
        for end in (end for end, vm in behind.items() if vm == deed.guest):
            yield TruePhase(network, "ingress", end, cause, start_ns, deed.after_ns)


def _phases(deeds: Sequence[Deed], network: str, direction: str, target: str) -> Iterator[TruePhase]:
    began, since_ns, worked = "", 0, False
    for deed, cause in _causes(deeds, target):
        worked = worked or not cause
        if cause == began or not worked:
            continue
        if began:
            yield TruePhase(network, direction, target, began, since_ns, deed.after_ns)
        began, since_ns = cause, deed.before_ns


def _causes(deeds: Sequence[Deed], target: str) -> Iterator[tuple[Deed, str]]:
    """What is wrong after each deed with the way to ``target`` (empty: with the way out); empty when nothing is."""
    plugged: list[str] = []  # the last one gets the traffic
    open_in: dict[str, bool] = {}
    for deed in deeds:
        if deed.what == "hand_over":
            plugged.clear()
        if deed.what in PLUGS_IN:
            plugged = [*(r for r in plugged if r != deed.router), deed.router]
        elif deed.what == "program_router":
            open_in[deed.router] = target in deed.ingress if target else deed.egress
        elif deed.what in ("stop_router", "remove_router"):
            plugged = [router for router in plugged if router != deed.router]
            open_in.pop(deed.router, None)
        missing = NO_FIREWALL if target else NO_NAT
        yield deed, GONE if not plugged else "" if open_in.get(plugged[-1]) else missing
