"""The ground of one lab zone: bridges, routers, guests and the outside world, all within the box's namespaces."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from vrbench.lab.ground import GroundError, RouterSpec, RuleSet, VmSpec
from vrbench.lab.guest import Guest
from vrbench.lab.namespaces import add_bridge, add_netns, delete_links, ip_batch
from vrbench.lab.router import Router
from vrbench.lab.status import Node

UPSTREAM = "upstream"
NEIGHBOUR = "neighbour"
PUBLIC_BRIDGE = "public"
PUBLIC_GATEWAY = "198.51.100.1"  # upstream's side of the public network
PUBLIC_PREFIX = 24
EGRESS_TARGET = "203.0.113.1"  # "an address out on the internet": on upstream's loopback
CONTROL_TARGET = "198.51.100.2"  # the neighbour: on the public bridge, not behind any router

_ANYONE_PINGS = ("ipv4/ping_group_range", "0 0")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Zone:
    """The real Ground. One lock guards the tables of what exists; the work on packets is done outside it."""

    def __init__(self, rootless: bool) -> None:
        self._rootless = rootless
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._bridges: dict[str, str] = {}
        self._routers: dict[str, Router] = {}
        self._guests: dict[str, Guest] = {}

    def build(self) -> None:
        """The public bridge with the outside world and a neighbour on it."""
        add_bridge(PUBLIC_BRIDGE)
        for name in (UPSTREAM, NEIGHBOUR):
            add_netns(name, (_ANYONE_PINGS,))
        nodes = ((UPSTREAM, PUBLIC_GATEWAY), (NEIGHBOUR, CONTROL_TARGET))
        ip_batch(line for name, _ in nodes for line in _outside_cable(name))
        for name, address in nodes:
            ip_batch(
                ["link set lo up", f"address add {address}/{PUBLIC_PREFIX} dev eth0", "link set eth0 up"], netns=name
            )
        ip_batch([f"address add {EGRESS_TARGET}/32 dev lo"], netns=UPSTREAM)
        ip_batch([f"route add default via {PUBLIC_GATEWAY}"], netns=NEIGHBOUR)

    def nodes(self) -> tuple[Node, ...]:
        """Everything that has an address now."""
        with self._lock:
            routers, guests = list(self._routers.values()), list(self._guests.values())
        return (
            Node(UPSTREAM, "upstream", (PUBLIC_GATEWAY, EGRESS_TARGET)),
            Node(NEIGHBOUR, "neighbour", (CONTROL_TARGET,)),
            *(Node(r.spec.name, "router", (r.spec.guest_ip, *r.public_addresses)) for r in routers if r.running),
            *(Node(g.spec.name, "vm", (g.spec.ip,)) for g in guests if g.running),
        )

    def running_routers(self, network: str | None = None) -> tuple[str, ...]:
        """Names of the routers on the wire, of one network or of all."""
        with self._lock:
            routers = list(self._routers.values())
        return tuple(r.spec.name for r in routers if r.running and network in (None, r.spec.network))

    def vm(self, name: str) -> VmSpec:
        """What a guest was made from; GroundError when there is none of that name."""
        return self._guest(name).spec

    def add_network(self, network: str) -> None:
        with self._lock:
            if network in self._bridges:
                raise GroundError(f"network {network} exists already")
            bridge = self._bridges[network] = f"guest{next(self._numbers)}"
        with _as_ground_error(f"add network {network}"):
            add_bridge(bridge)

    def remove_network(self, network: str) -> None:
        with self._lock:
            bridge = self._bridges.pop(network, None)
        if bridge is not None:
            delete_links([bridge])

    def place_router(self, router: RouterSpec) -> None:
        with self._lock:
            bridge = self._bridge(router.network)
            self._claim(router.name)
            placed = Router(router, str(next(self._numbers)), bridge, PUBLIC_BRIDGE)
            self._routers[router.name] = placed
        with _as_ground_error(f"place router {router.name}"):
            placed.place()

    def start_router(self, name: str) -> None:
        with _as_ground_error(f"start router {name}"):
            self._router(name).start()

    def program_router(self, name: str, rules: RuleSet) -> None:
        with _as_ground_error(f"program router {name}"):
            self._router(name).program(rules)

    def announce_router(self, name: str) -> None:
        with _as_ground_error(f"announce router {name}"):
            self._router(name).announce()

    def stop_router(self, name: str) -> None:
        with self._lock:
            router = self._routers.get(name)
        if router is not None:
            with _as_ground_error(f"stop router {name}"):
                router.stop()

    def remove_router(self, name: str) -> None:
        self.stop_router(name)
        with self._lock:
            self._routers.pop(name, None)

    def add_vm(self, vm: VmSpec) -> None:
        with self._lock:
            bridge = self._bridge(vm.network)
            self._claim(vm.name)
            guest = Guest(vm, f"v{next(self._numbers)}", bridge, self._rootless)
            self._guests[vm.name] = guest
        with _as_ground_error(f"add VM {vm.name}"):
            guest.create()
            guest.boot()

    def stop_vm(self, name: str) -> None:
        with self._lock:
            guest = self._guests.get(name)
        if guest is not None:
            with _as_ground_error(f"stop VM {name}"):
                guest.power_off()

    def start_vm(self, name: str) -> None:
        with _as_ground_error(f"start VM {name}"):
            self._guest(name).boot()

    def remove_vm(self, name: str) -> None:
        with self._lock:
            guest = self._guests.pop(name, None)
        if guest is not None:
            with _as_ground_error(f"remove VM {name}"):
                guest.destroy()

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None:
        with _as_ground_error(f"reset the keys of VM {name}"):
            self._guest(name).set_keys(authorized_keys)

    def _bridge(self, network: str) -> str:
        if network not in self._bridges:
            raise GroundError(f"there is no network {network}")
        return self._bridges[network]

    def _claim(self, name: str) -> None:
        """A node's name is a file name and unique in the box."""
        if not _NODE_NAME.fullmatch(name):
            raise GroundError(f"{name!r} can't be a node's name: letters, digits, '.', '_' and '-' only, at most 63")
        if name in self._routers or name in self._guests or name in (UPSTREAM, NEIGHBOUR):
            raise GroundError(f"a node named {name} exists already")

    def _router(self, name: str) -> Router:
        with self._lock:
            if name not in self._routers:
                raise GroundError(f"there is no router {name}")
            return self._routers[name]

    def _guest(self, name: str) -> Guest:
        with self._lock:
            if name not in self._guests:
                raise GroundError(f"there is no VM {name}")
            return self._guests[name]


def _outside_cable(node: str) -> Iterator[str]:
    yield f"link add {node} type veth peer name eth0 netns {node}"
    yield f"link set {node} master {PUBLIC_BRIDGE}"
    yield f"link set {node} up"


@contextmanager
def _as_ground_error(doing: str) -> Iterator[None]:
    """The port's one error for what the kernel refuses."""
    try:
        yield
    except OSError as error:
        raise GroundError(f"{doing}: {error}") from error
