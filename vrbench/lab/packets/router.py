"""One virtual router: a network namespace between switches, with nftables, connection tracking and its daemons."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from vrbench.lab.ground.port import GroundError, RedundancyMode, RedundancyState
from vrbench.lab.ground.specs import GuestLeg, PublicLeg, RouterSpec, RuleSet
from vrbench.lab.packets import arp, redundancy, services
from vrbench.lab.packets.nftables import (
    FIRST_MORE_PUBLIC,
    FIRST_TIER,
    GUEST_GROUP,
    PUBLIC_GROUP,
    Interfaces,
    interfaces,
    render,
    route_mark,
)
from vrbench.lab.system.namespaces import add_netns, delete_links, inside, ip_batch, remove_netns, run, wait_running

_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/arp_ignore", "1"),  # an address is answered for on its own side only
)


@dataclass(slots=True, frozen=True)
class Port:
    """One interface of a router, the cable it hangs on, and the switch that cable is for."""

    interface: str
    mac: str
    cable: str
    bridge: str
    group: int


@dataclass
class RouterNode:
    """A router between bridges. ``tag`` is unique in the box and begins the names of its cables.

    ``bridges`` says which switch a leg is for, by guest network or by public gateway. Placed, the interfaces are up
    but unplugged from the switches: plugging a cable whose carrier is already there takes effect at once, while
    raising a link may let the kernel take up to a second over it. Only a redundant router's public links are down
    until it is primary.
    """

    spec: RouterSpec
    tag: str
    bridges: Mapping[str, str]
    running: bool = False
    exists: bool = False
    addresses: list[str] = field(default_factory=list)  # beyond the router's own public address
    plugged: Interfaces = field(init=False)

    def __post_init__(self) -> None:
        self.plugged = interfaces(self.spec)

    @property
    def directory(self) -> Path:
        return services.ROUTER_DIR / self.spec.name

    @cached_property
    def dns(self) -> services.Dnsmasq:
        return services.Dnsmasq(self.spec.name, self.directory)

    @cached_property
    def pair(self) -> redundancy.Redundancy:
        return redundancy.Redundancy(self.spec.name, self.directory)

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """The addresses it answers for on the public side now."""
        return (self.spec.public_ip, *self.addresses)

    @property
    def guest_addresses(self) -> tuple[str, ...]:
        """Its addresses on the guest side; a redundant router's own come before the gateway's."""
        return tuple(leg.own_ip or leg.gateway for _, leg in self.plugged.guests)

    @property
    def redundancy_state(self) -> RedundancyState:
        return self.pair.state() if self.spec.vrrp is not None and self.running else "UNKNOWN"

    @property
    def forwards(self) -> bool:
        """Whether it is on the wire on both sides: any that runs, of two the primary."""
        return self.running and (self.spec.vrrp is None or self.redundancy_state == "PRIMARY")

    def serves(self, network: str) -> bool:
        """Return whether it has a leg in that guest network."""
        return any(leg.network == network for _, leg in self.plugged.guests)

    def is_peer_of(self, other: RouterNode) -> bool:
        """Return whether both are redundant routers of the same network or VPC."""
        mine, theirs = ({leg.network for _, leg in router.plugged.guests} for router in (self, other))
        return self.spec.vrrp is not None and other.spec.vrrp is not None and bool(mine & theirs)

    def place(self) -> None:
        """Make the namespace and the cables; nothing of it is on the wire."""
        add_netns(self.spec.name, _SYSCTLS)
        self.exists = True
        self._lay_cables(tuple(self._ports()))
        ip_batch(["link set lo up"], netns=self.spec.name)

    def start(self, plug: bool = True) -> None:
        """Close the firewall and set the addresses; with ``plug`` plug in both sides and tell the neighbours."""
        if not self.exists:
            self.place()
        self._load(RuleSet())
        ip_batch([*self._guest_addresses(self.plugged.guests), *self._public_addresses()], netns=self.spec.name)
        for port in self._ports():
            if not self._held_down(port):
                wait_running(port.cable)
        if plug:
            ip_batch(self.plug_lines())
        self.running = True
        if plug:
            self.announce()

    def plug_lines(self) -> list[str]:
        """Return the ``ip`` commands that plug all its cables in."""
        return [f"link set {port.cable} master {port.bridge}" for port in self._ports()]

    def unplug_lines(self) -> list[str]:
        """Return the ``ip`` commands that take all its cables out of their switches; they stay up."""
        return [f"link set {port.cable} nomaster" for port in self._ports()]

    def program(self, rules: RuleSet) -> None:
        """Set addresses first, then all rules in one commit; announce new addresses; then see to the daemons."""
        if not self.running:
            raise GroundError(f"router {self.spec.name} is not running: it can't be programmed")
        wanted = [ip for ip in dict.fromkeys(rules.public_ips) if ip != self.spec.public_ip]
        new = [ip for ip in wanted if ip not in self.addresses]
        stale = [ip for ip in self.addresses if ip not in wanted]
        changes = [f"address add {ip}/32 dev {self.plugged.public_of(ip)}" for ip in new]
        changes += [f"address delete {ip}/32 dev {self.plugged.public_of(ip)}" for ip in stale]
        if changes:
            ip_batch(changes, netns=self.spec.name)
        self.addresses = wanted
        self._load(rules)
        if self.forwards:
            self._tell_neighbours([self._public_announcement(ip) for ip in new])
        self._program_services(rules)

    def announce(self) -> None:
        """Send one gratuitous ARP for every address, where it is the one to be sent to."""
        if self.forwards:
            self._tell_neighbours(
                [*self._guest_announcements(), *map(self._public_announcement, self.public_addresses)]
            )

    def restart_services(self) -> None:
        """End dnsmasq and start it again, where it runs."""
        if self.dns.running():
            self.dns.stop()
            self.dns.start()

    def set_redundancy(self, mode: RedundancyMode) -> None:
        """Do as Ground.set_redundancy says."""
        if self.spec.vrrp is None or not self.running:
            raise GroundError(f"router {self.spec.name} is not running as one of two, so it has no peer")
        self.pair.deafen(mode == "deaf")
        if mode == "released":
            self.pair.release()
        elif not self.pair.running():
            self.pair.start()

    def plug_tier(self, leg: GuestLeg) -> None:
        """Add one more guest interface, on the wire."""
        taken = {name for name, _ in self.plugged.guests}
        name = next(name for n in range(FIRST_TIER, 100) if (name := f"eth{n}") not in taken)
        self.plugged = replace(self.plugged, guests=(*self.plugged.guests, (name, leg)))
        if not self.running:
            return
        port = self._guest_port(name, leg)
        self._lay_cables((port,))
        ip_batch(self._guest_addresses(((name, leg),)), netns=self.spec.name)
        wait_running(port.cable)
        ip_batch([f"link set {port.cable} master {port.bridge}"])
        if self.spec.vrrp is None:
            self._tell_neighbours([(name, leg.mac, leg.gateway)])

    def unplug_tier(self, network: str) -> None:
        """Remove the interface of that tier, if there is one."""
        gone = [self._guest_port(name, leg).cable for name, leg in self.plugged.guests if leg.network == network]
        self.plugged = replace(
            self.plugged, guests=tuple(pair for pair in self.plugged.guests if pair[1].network != network)
        )
        delete_links(gone)

    def plug_public(self, leg: PublicLeg) -> None:
        """Add one more public interface; of a redundant router it is up while that is primary."""
        taken = {name for name, _ in self.plugged.publics}
        name = next(name for n in range(FIRST_MORE_PUBLIC, 200) if (name := f"eth{n}") not in taken)
        first = self.plugged.publics[0][0]
        self.plugged = replace(self.plugged, publics=(*self.plugged.publics, (name, leg)))
        if not self.running:
            return
        # Addresses that came before their interface were given to the first one.
        astray = [ip for ip in self.addresses if self.plugged.public_of(ip) == name]
        self.addresses = [ip for ip in self.addresses if ip not in astray]
        ip_batch([f"address delete {ip}/32 dev {first}" for ip in astray], netns=self.spec.name)
        port = self._public_port(name, leg)
        self._lay_cables((port,))
        ip_batch([f"address add {leg.ip}/{leg.prefix} dev {name}", *self._policy(name, leg)], netns=self.spec.name)
        ip_batch([f"link set {port.cable} master {port.bridge}"])
        if self.forwards:
            ip_batch([f"link set {name} up"], netns=self.spec.name)
            wait_running(port.cable)
            ip_batch(self._routes(), netns=self.spec.name)
            self._tell_neighbours([self._public_announcement(leg.ip)])

    def unplug_public(self, gateway: str) -> None:
        """Remove the interface of that further public subnet with its addresses, if there is one."""
        for name, leg in [pair for pair in self.plugged.publics[1:] if pair[1].gateway == gateway]:
            self.addresses = [ip for ip in self.addresses if self.plugged.public_of(ip) != name]
            left = tuple(pair for pair in self.plugged.publics if pair[0] != name)
            self.plugged = replace(self.plugged, publics=left)
            if self.running:
                undone = [line.replace("rule add", "rule delete") for line in self._policy(name, leg)]
                ip_batch(undone, netns=self.spec.name)
            delete_links([self._public_port(name, leg).cable])

    def stop(self) -> None:
        """Power off: the cables go first, so that it is off the wire at once; the namespace takes its state along."""
        self.running = False
        self.addresses = []
        delete_links([port.cable for port in self._ports()])
        remove_netns(self.spec.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.exists = False

    def _ports(self) -> Iterator[Port]:
        for name, leg in self.plugged.guests:
            yield self._guest_port(name, leg)
        for name, public in self.plugged.publics:
            yield self._public_port(name, public)

    def _public_port(self, name: str, leg: PublicLeg) -> Port:
        return Port(name, leg.mac, f"p{self.tag}{name}", self.bridges[leg.gateway], PUBLIC_GROUP)

    def _guest_port(self, name: str, leg: GuestLeg) -> Port:
        return Port(name, leg.mac, f"g{self.tag}{name}", self.bridges[leg.network], GUEST_GROUP)

    def _held_down(self, port: Port) -> bool:
        return self.spec.vrrp is not None and port.group == PUBLIC_GROUP

    def _lay_cables(self, ports: tuple[Port, ...]) -> None:
        node = self.spec.name
        ip_batch(
            f"link add {port.cable} type veth peer name {port.interface} address {port.mac} netns {node}"
            for port in ports
        )
        ip_batch(f"link set {port.cable} up" for port in ports)
        state = {port: "down" if self._held_down(port) else "up" for port in ports}
        ip_batch([f"link set {port.interface} group {port.group} {state[port]}" for port in ports], netns=node)

    def _guest_addresses(self, guests: tuple[tuple[str, GuestLeg], ...]) -> Iterator[str]:
        for name, leg in guests:
            ip = leg.gateway if self.spec.vrrp is None else leg.own_ip
            yield f"address add {ip}/{leg.prefix} dev {name}"

    def _public_addresses(self) -> Iterator[str]:
        for name, leg in self.plugged.publics:
            yield f"address add {leg.ip}/{leg.prefix} dev {name}"
        for name, leg in self.plugged.publics[1:]:
            yield from self._policy(name, leg)
        if self.spec.vrrp is None:
            yield from self._routes()

    @staticmethod
    def _policy(name: str, leg: PublicLeg) -> Iterator[str]:
        """Yield what routes a further public subnet by a table of its own."""
        table = route_mark(name)
        yield f"rule add fwmark {table} table {table}"
        yield f"rule add iif lo from {leg.ip}/{leg.prefix} table {table}"  # what the router itself answers

    def _routes(self) -> Iterator[str]:
        (first, public), *more = self.plugged.publics
        yield f"route replace default via {public.gateway} dev {first}"
        for name, leg in more:
            yield f"route replace default via {leg.gateway} dev {name} table {route_mark(name)}"

    def _load(self, rules: RuleSet) -> None:
        run(["nsenter", f"--net=/run/netns/{self.spec.name}", "nft", "-f", "-"], render(self.plugged, rules))

    def _program_services(self, rules: RuleSet) -> None:
        names = [name for name, _ in self.plugged.guests]
        legs = [leg for _, leg in self.plugged.guests]
        other_hosts = self.dns.write_hosts(rules.hosts)
        other_server = self.dns.configure(
            services.configuration(self.directory, legs, names, rules.domain, self.spec.public_gateway)
        )
        if self.spec.vrrp is not None and names:
            self._program_pair(names, legs)
        elif not self.dns.running() and self.spec.vrrp is None:
            self.dns.start()
            return
        if other_server:
            self.restart_services()
        elif other_hosts:
            self.dns.reload()

    def _program_pair(self, names: list[str], legs: list[GuestLeg]) -> None:
        vrrp, directory, publics = self.spec.vrrp, self.directory, [name for name, _ in self.plugged.publics]
        assert vrrp is not None
        up = [*(f"link set {name} up" for name in publics), *self._routes()]
        announced = [*map(self._public_announcement, self.public_addresses)]
        changed = self.pair.write(
            {
                "keepalived.conf": redundancy.keepalived_conf(self.spec.name, directory, vrrp, legs, names),
                "conntrackd.conf": redundancy.conntrackd_conf(directory, legs, names),
                "notify.sh": redundancy.notify_script(directory, vrrp, self.dns.start_line, self.dns.stop_line),
                "primary.ip": "".join(line + "\n" for line in up),
                "backup.ip": "".join(f"link set {name} down\n" for name in publics),
                "announce": arp.text(announced),
            }
        )
        if not (directory / "vrrp.started").exists():
            (directory / "vrrp.started").touch()
            self.pair.start()
        elif changed:
            self.pair.reload()

    def _guest_announcements(self) -> list[arp.Announcement]:
        return [(name, leg.mac, leg.gateway) for name, leg in self.plugged.guests]

    def _public_announcement(self, ip: str) -> arp.Announcement:
        name = self.plugged.public_of(ip)
        legs: dict[str, PublicLeg] = dict(self.plugged.publics)
        return name, legs[name].mac, ip

    def _tell_neighbours(self, announcements: list[arp.Announcement]) -> None:
        if announcements:
            inside(self.spec.name, lambda: arp.send(announcements))
