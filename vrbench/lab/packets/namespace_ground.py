"""The ground of one lab zone: bridges, routers, guests and the outside world, all within the box's namespaces."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from vrbench.lab.ground.port import GroundError, RedundancyMode, RedundancyState
from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec, RuleSet, VmSpec
from vrbench.lab.packets.guest import Guest
from vrbench.lab.packets.guest_etc import make_etc
from vrbench.lab.packets.router import RouterNode
from vrbench.lab.packets.services import ROUTER_DIR, Dnsmasq, outside_configuration
from vrbench.lab.status import Node
from vrbench.lab.system.namespaces import add_bridge, add_netns, attempt, delete_links, inside, ip_batch

UPSTREAM = "upstream"
NEIGHBOUR = "neighbour"
PUBLIC_BRIDGE = "public"
PUBLIC_GATEWAY = "198.51.100.1"  # upstream's side of the public network
PUBLIC_PREFIX = 24
SECOND_PUBLIC_BRIDGE = "public2"
SECOND_PUBLIC_GATEWAY = "192.0.2.1"  # upstream's side of a second public subnet, on a switch of its own
EGRESS_TARGET = "203.0.113.1"  # "an address out on the internet": on upstream's loopback
CONTROL_TARGET = "198.51.100.2"  # the neighbour: on the public bridge, not behind any router

_ANYONE_PINGS = ("ipv4/ping_group_range", "0 0")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class NamespaceGround:
    """The real Ground. One lock guards the tables of what exists; the work on packets is done outside it."""

    def __init__(self, rootless: bool) -> None:
        self._rootless = rootless
        self._lock = threading.Lock()
        self._numbers = count(1)
        # By guest network, or by the gateway of a public subnet.
        self._bridges = {PUBLIC_GATEWAY: PUBLIC_BRIDGE, SECOND_PUBLIC_GATEWAY: SECOND_PUBLIC_BRIDGE}
        self._routers: dict[str, RouterNode] = {}
        self._guests: dict[str, Guest] = {}

    def build(self) -> None:
        """Build the public subnets, the outside world with every name, a neighbour on the first; what guests share."""
        make_etc()
        for bridge in (PUBLIC_BRIDGE, SECOND_PUBLIC_BRIDGE):
            add_bridge(bridge)
        for name in (UPSTREAM, NEIGHBOUR):
            add_netns(name, (_ANYONE_PINGS,))
            ip_batch(["link set lo up"], netns=name)
        _lay_outside_cable(UPSTREAM, "eth0", PUBLIC_BRIDGE, PUBLIC_GATEWAY)
        _lay_outside_cable(UPSTREAM, "eth1", SECOND_PUBLIC_BRIDGE, SECOND_PUBLIC_GATEWAY)
        _lay_outside_cable(NEIGHBOUR, "eth0", PUBLIC_BRIDGE, CONTROL_TARGET)
        ip_batch([f"address add {EGRESS_TARGET}/32 dev lo"], netns=UPSTREAM)
        ip_batch([f"route add default via {PUBLIC_GATEWAY}"], netns=NEIGHBOUR)
        resolver = Dnsmasq(UPSTREAM, ROUTER_DIR / UPSTREAM)
        resolver.configure(outside_configuration((PUBLIC_GATEWAY, SECOND_PUBLIC_GATEWAY, EGRESS_TARGET), EGRESS_TARGET))
        resolver.start()

    def nodes(self) -> tuple[Node, ...]:
        """Return everything that has an address now."""
        with self._lock:
            routers, guests = list(self._routers.values()), list(self._guests.values())
        return (
            Node(UPSTREAM, "upstream", (PUBLIC_GATEWAY, EGRESS_TARGET, SECOND_PUBLIC_GATEWAY)),
            Node(NEIGHBOUR, "neighbour", (CONTROL_TARGET,)),
            *(Node(r.spec.name, "router", (*r.guest_addresses, *r.public_addresses)) for r in routers if r.running),
            *(Node(g.spec.name, "vm", (g.spec.ip,)) for g in guests if g.running),
        )

    def running_routers(self, network: str | None = None) -> tuple[str, ...]:
        """Return the names of the routers on the wire, of one network or of all."""
        with self._lock:
            routers = list(self._routers.values())
        return tuple(r.spec.name for r in routers if r.running and (network is None or r.serves(network)))

    def vm(self, name: str) -> VmSpec:
        """Return what a guest was made from; GroundError when there is none of that name."""
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
            self._claim(router.name)
            for leg in router.legs:
                self._bridge(leg.network)
            placed = RouterNode(router, str(next(self._numbers)), self._bridges)
            self._routers[router.name] = placed
        with _as_ground_error(f"place router {router.name}"):
            placed.place()

    def start_router(self, name: str) -> None:
        with _as_ground_error(f"start router {name}"):
            self._router(name).start()

    def start_router_unplugged(self, name: str) -> None:
        with _as_ground_error(f"start router {name}"):
            self._router(name).start(plug=False)

    def hand_over(self, old: str, new: str) -> None:
        before, after = self._router(old), self._router(new)
        with _as_ground_error(f"hand over from {old} to {new}"):
            ip_batch([*before.unplug_lines(), *after.plug_lines()])
            before.running = False
            after.announce()

    def program_router(self, name: str, rules: RuleSet) -> None:
        with _as_ground_error(f"program router {name}"):
            self._router(name).program(rules)

    def announce_router(self, name: str) -> None:
        with _as_ground_error(f"announce router {name}"):
            self._router(name).announce()

    def restart_services(self, name: str) -> None:
        with _as_ground_error(f"restart the services of router {name}"):
            self._router(name).restart_services()

    def redundancy_state(self, name: str) -> RedundancyState:
        return self._router(name).redundancy_state

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        with _as_ground_error(f"make router {name} {mode}"):
            self._router(name).set_redundancy(mode)

    def synchronise(self, name: str) -> None:
        router = self._router(name)
        with self._lock:
            peers = [r for r in self._routers.values() if r is not router and r.running and r.is_peer_of(router)]
        with _as_ground_error(f"synchronise router {name}"):
            for peer in peers:
                router.pair.synchronise(peer.pair)

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        self._router(name)
        return inside(name, lambda: attempt(argv))

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        with _as_ground_error(f"plug router {name} into {leg.network}"):
            self._router(name).plug_tier(leg)

    def unplug_tier(self, name: str, network: str) -> None:
        with self._lock:
            router = self._routers.get(name)
        if router is not None:
            router.unplug_tier(network)

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        with _as_ground_error(f"plug router {name} into the subnet of {leg.gateway}"):
            self._router(name).plug_public(leg)

    def unplug_public(self, name: str, gateway: str) -> None:
        with _as_ground_error(f"unplug router {name} from the subnet of {gateway}"):
            self._router(name).unplug_public(gateway)

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

    def drop_lease(self, name: str) -> None:
        with _as_ground_error(f"take the lease of VM {name}"):
            self._guest(name).drop_lease()

    def renew_lease(self, name: str) -> None:
        with _as_ground_error(f"renew the lease of VM {name}"):
            self._guest(name).renew_lease()

    def _bridge(self, network: str) -> str:
        if network not in self._bridges:
            raise GroundError(f"there is no network {network}")
        return self._bridges[network]

    def _claim(self, name: str) -> None:
        """Check that a name is free in the box and can be a file name."""
        if not _NODE_NAME.fullmatch(name):
            raise GroundError(f"{name!r} can't be a node's name: letters, digits, '.', '_' and '-' only, at most 63")
        if name in self._routers or name in self._guests or name in (UPSTREAM, NEIGHBOUR):
            raise GroundError(f"a node named {name} exists already")

    def _router(self, name: str) -> RouterNode:
        with self._lock:
            if name not in self._routers:
                raise GroundError(f"there is no router {name}")
            return self._routers[name]

    def _guest(self, name: str) -> Guest:
        with self._lock:
            if name not in self._guests:
                raise GroundError(f"there is no VM {name}")
            return self._guests[name]


def _lay_outside_cable(node: str, interface: str, bridge: str, address: str) -> None:
    cable = f"{node}{interface}"
    ip_batch(
        [
            f"link add {cable} type veth peer name {interface} netns {node}",
            f"link set {cable} master {bridge}",
            f"link set {cable} up",
        ]
    )
    ip_batch([f"address add {address}/{PUBLIC_PREFIX} dev {interface}", f"link set {interface} up"], netns=node)


@contextmanager
def _as_ground_error(doing: str) -> Iterator[None]:
    """Raise what the kernel refuses as the port's one error."""
    try:
        yield
    except OSError as error:
        raise GroundError(f"{doing}: {error}") from error
