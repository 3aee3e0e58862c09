"""What the lab really did to its routers, and when: the truth that causes of downtime are held against.

``RouterHistory`` is filled by ``packets/recording_ground.py`` with every call that changes what a router does on the
wire, and by ``packets/faulty_ground.py`` with the faults of guests. ``true_phases`` turns both into times in which a
direction could not work, and why:

- *router gone*: no router is plugged in.
- *NAT missing* (egress): the router that guests are sent to has no source NAT or no egress rule yet.
- *firewall missing* (ingress, one public end): it does not yet let in and translate what is sent to that address and
  port.
- *service slow*, *service refuses* (ingress, the public ends that lead to one guest): its SSH server does not get round
  to its banner, or its port is closed. Of this the end that leads to it may be down for another cause as well.

Guests are sent to the router that was plugged in last (its announcement wins), or to whom the switch was turned. Which
of two redundant routers is in charge is keepalived's decision, and no action of the ground's: of those only the actions
are told. A phase runs from before the action that begins it until after the one that ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from vrbench.lab.ground.specs import FirewallRule, PortForward, RuleSet

PLUGS_IN = ("start_router", "hand_over")
GONE, NO_NAT, NO_FIREWALL = "router gone", "NAT missing", "firewall missing"
SERVICE_FAULTS = {"sshd-slow": "service slow", "sshd-gone": "service refuses"}


@dataclass(frozen=True, slots=True)
class RouterAction:
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
class RouterHistory:
    """The actions so far, in the order in which they were done."""

    _deeds: list[RouterAction] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, action: RouterAction) -> None:
        with self._lock:
            self._deeds.append(action)

    @contextmanager
    def recording(self, describe: Callable[[int, int], RouterAction]) -> Iterator[None]:
        """Add the action that the block is; a block that raises did nothing, and is not added."""
        before_ns = time.monotonic_ns()
        yield
        self.add(describe(before_ns, time.monotonic_ns()))

    def actions(self) -> tuple[RouterAction, ...]:
        with self._lock:
            return tuple(self._deeds)

    def to_json(self) -> dict[str, Any]:
        """Return what ``vrbench lab phases --json`` prints."""
        actions = self.actions()
        # Scripts read the first word: it stays as it was printed first.
        return {"deeds": [asdict(a) for a in actions], "phases": [asdict(p) for p in true_phases(actions)]}


def lets_out(rules: RuleSet) -> bool:
    """Return whether a guest's ping gets out, and translated."""
    allowed = rules.egress_allowed_by_default or any(r.protocol in ("all", "icmp") for r in rules.egress)
    return rules.source_nat is not None and allowed


def lets_in(rules: RuleSet) -> dict[str, str]:
    """Return the public TCP ends that lead to a guest, with its address."""
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


def true_phases(actions: Sequence[RouterAction]) -> tuple[TruePhase, ...]:
    """Return when each direction could not work, and why; see the module.

    Counted from when a direction has first worked; a phase that has not ended is left out.
    """
    network_of = {action.router: action.network for action in actions if action.router and action.network}
    found: list[TruePhase] = []
    for network in dict.fromkeys(network_of.values()):
        here = [action for action in actions if network_of.get(action.router) == network]
        found += _phases(here, network, "egress", "")
        for target in dict.fromkeys(end for action in here for end in action.ingress):
            found += _phases(here, network, "ingress", target)
        found += _service_phases(actions, network, {end: vm for action in here for end, vm in action.ingress.items()})
    return tuple(found)


def _service_phases(actions: Sequence[RouterAction], network: str, behind: Mapping[str, str]) -> Iterator[TruePhase]:
    """Yield when a guest's service was at fault, for every end of ``behind`` that leads to that guest."""
    since: dict[tuple[str, str], int] = {}
    for action in actions:
        if action.fault not in SERVICE_FAULTS or action.network != network:
            continue
        if action.what == "on":
            since[action.fault, action.guest] = action.before_ns
            continue
        start_ns, cause = since.pop((action.fault, action.guest)), SERVICE_FAULTS[action.fault]
        for end in (end for end, vm in behind.items() if vm == action.guest):
            yield TruePhase(network, "ingress", end, cause, start_ns, action.after_ns)


def _phases(actions: Sequence[RouterAction], network: str, direction: str, target: str) -> Iterator[TruePhase]:
    began, since_ns, worked = "", 0, False
    for action, cause in _causes(actions, target):
        worked = worked or not cause
        if cause == began or not worked:
            continue
        if began:
            yield TruePhase(network, direction, target, began, since_ns, action.after_ns)
        began, since_ns = cause, action.before_ns


def _causes(actions: Sequence[RouterAction], target: str) -> Iterator[tuple[RouterAction, str]]:
    """Yield after each action what is wrong with the way to ``target`` (empty: the way out); empty when nothing is."""
    plugged: list[str] = []  # the last one gets the traffic
    open_in: dict[str, bool] = {}
    for action in actions:
        if action.what == "hand_over":
            plugged.clear()
        if action.what in PLUGS_IN:
            plugged = [*(r for r in plugged if r != action.router), action.router]
        elif action.what == "program_router":
            open_in[action.router] = target in action.ingress if target else action.egress
        elif action.what in ("stop_router", "remove_router"):
            plugged = [router for router in plugged if router != action.router]
            open_in.pop(action.router, None)
        missing = NO_FIREWALL if target else NO_NAT
        yield action, GONE if not plugged else "" if open_in.get(plugged[-1]) else missing
