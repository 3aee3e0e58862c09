"""What the lab's API asks of the ground: the port between the zone's state and the packets.

The API (``lab/api``) decides what exists and in which state it is; the ground makes it so. The real ground is
``lab/zone.py`` (network namespaces, nftables, sshd); ``NoGround`` does nothing, for tests of the API alone.
Every method blocks until it is done, may be called from several threads at once, raises GroundError, and does no
waiting of its own for boot or programming times: those belong to ``lab/timing.py`` and are waited for by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

RedundancyState = Literal["PRIMARY", "BACKUP", "FAULT", "UNKNOWN"]
RedundancyMode = Literal["normal", "deaf", "released"]


class GroundError(RuntimeError):
    """A namespace, an address, a rule or a process could not be made as asked; says which command failed and how."""


@dataclass(frozen=True, slots=True)
class GuestLeg:
    """A router's interface in one guest network: of a VPC router one per tier."""

    network: str  # id of the guest network
    gateway: str  # what guests send to
    prefix: int
    mac: str
    own_ip: str = ""  # of a redundant router: its own address, beside the gateway's that floats


@dataclass(frozen=True, slots=True)
class PublicLeg:
    """A router's further public interface, for addresses of another subnet; its MAC is new with every router."""

    ip: str
    prefix: int
    gateway: str
    mac: str


@dataclass(frozen=True, slots=True)
class Vrrp:
    """What makes a router one of two: keepalived moves the gateway addresses, conntrackd shares the connections."""

    priority: int = 100
    commit_first: bool = False  # take over the connections before the public link comes up, not after


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """One virtual router as it will be plugged in. Masks are prefix lengths; MACs are colon-separated.

    A VPC's router has no guest network of its own (``network`` is empty) but ``tiers``. A router with ``vrrp`` has an
    address of its own on every leg, and the gateways' addresses only while it is primary.
    """

    name: str  # r-12-VM: also the name of its node
    network: str  # id of the guest network
    guest_ip: str  # the network's gateway address
    guest_prefix: int
    guest_mac: str
    public_ip: str  # the source-NAT address
    public_prefix: int
    public_gateway: str
    public_mac: str
    own_guest_ip: str = ""
    tiers: tuple[GuestLeg, ...] = ()
    more_public: tuple[PublicLeg, ...] = ()
    vrrp: Vrrp | None = None

    @property
    def legs(self) -> tuple[GuestLeg, ...]:
        """All its guest interfaces as they are plugged in at first."""
        if not self.network:
            return self.tiers
        first = GuestLeg(self.network, self.guest_ip, self.guest_prefix, self.guest_mac, self.own_guest_ip)
        return (first, *self.tiers)


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One guest. ``user_data`` is what the caller sent, decoded from base64 (cloud-config or a script), or empty.

    With ``leased`` it asks for its address by DHCP when it boots, and has none until it is answered.
    """

    name: str  # also its hostname and the name of its node
    network: str
    ip: str
    prefix: int
    gateway: str
    mac: str
    authorized_keys: tuple[str, ...] = ()
    user_data: bytes = b""
    leased: bool = False


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """Opens something: ingress on one public address, or egress of the network when ``public_ip`` is None."""

    public_ip: str | None
    protocol: str  # tcp, udp, icmp, all
    cidrs: tuple[str, ...] = ()  # sources; empty = any
    destinations: tuple[str, ...] = ()  # egress only; empty = any
    ports: tuple[int, int] | None = None  # inclusive; None = all
    icmp_type: int = -1  # -1 = any
    icmp_code: int = -1


@dataclass(frozen=True, slots=True)
class PortForward:
    """Public address and ports to one guest's address and ports (ranges inclusive, of equal length)."""

    public_ip: str
    protocol: str  # tcp, udp
    public_ports: tuple[int, int]
    guest_ip: str
    guest_ports: tuple[int, int]
    cidrs: tuple[str, ...] = ()  # sources; empty = any


@dataclass(frozen=True, slots=True)
class LoadBalance:
    """One public port to the same port of several guests, a new flow to the next or to the one of its source.

    The flow keeps its source address; a real router's haproxy would put its own in its place.
    """

    public_ip: str
    protocol: str  # tcp, udp
    public_port: int
    guest_port: int
    guest_ips: tuple[str, ...]  # at least one
    by_source: bool = False
    cidrs: tuple[str, ...] = ()  # sources; empty = any


@dataclass(frozen=True, slots=True)
class Host:
    """A guest as its router's DHCP and DNS know it."""

    name: str
    ip: str
    mac: str


@dataclass(frozen=True, slots=True)
class AclRule:
    """One line of a tier's access list."""

    direction: Literal["ingress", "egress"]  # as the tier sees it
    allow: bool
    protocol: str  # tcp, udp, icmp, all
    cidrs: tuple[str, ...] = ()  # the other side; empty = any
    ports: tuple[int, int] | None = None
    icmp_type: int = -1
    icmp_code: int = -1


@dataclass(frozen=True, slots=True)
class Acl:
    """A tier's access list, first match wins; what no line names may leave the tier and may not enter it."""

    network: str
    rules: tuple[AclRule, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All that a router is programmed with. Order within each tuple is the order of creation."""

    public_ips: tuple[str, ...] = ()  # every address the router answers for, source NAT first
    source_nat: str | None = None
    static_nat: tuple[tuple[str, str], ...] = ()  # (public address, guest address)
    port_forwards: tuple[PortForward, ...] = ()
    firewall: tuple[FirewallRule, ...] = ()
    egress: tuple[FirewallRule, ...] = ()
    egress_allowed_by_default: bool = False
    hosts: tuple[Host, ...] = ()
    domain: str = ""  # of the network: names of hosts are known with it and without
    acls: tuple[Acl, ...] = ()  # of a VPC's tiers
    balanced: tuple[LoadBalance, ...] = ()

    def __len__(self) -> int:
        """How many rules there are to program: addresses, NAT, firewall, egress and access lists, one each.

        Hosts don't count: they are programmed when a guest starts, and as one file when a router does.
        """
        groups = (self.public_ips, self.static_nat, self.port_forwards, self.balanced, self.firewall, self.egress)
        return sum(len(group) for group in groups) + sum(len(acl.rules) for acl in self.acls)


class Ground(Protocol):
    """Packets, namespaces and daemons of one zone. Removing what isn't there is not an error."""

    def add_network(self, network: str) -> None:
        """A guest bridge; two networks may use the same addresses and never meet."""

    def remove_network(self, network: str) -> None: ...

    def place_router(self, router: RouterSpec) -> None:
        """The router exists and is plugged in, its links down: nothing of it is on the wire yet."""

    def start_router(self, name: str) -> None:
        """Links and addresses up (one gratuitous ARP per address, as CloudStack's VR sends), nothing programmed:
        forwards nothing and answers for its own addresses only."""

    def start_router_unplugged(self, name: str) -> None:
        """As start_router, but unplugged at the switch on both sides: it can be programmed, and nobody hears of it."""

    def hand_over(self, old: str, new: str) -> None:
        """The switch takes the old router's ports down and the new one's up in one step, and the new is announced."""

    def program_router(self, name: str, rules: RuleSet) -> None:
        """Replace all rules by these, atomically; addresses new to the router are added and announced."""

    def announce_router(self, name: str) -> None:
        """One gratuitous ARP for every address the router has, guest side and public side."""

    def restart_services(self, name: str) -> None:
        """What serves DHCP and DNS ends and starts again; forwarding goes on."""

    def redundancy_state(self, name: str) -> RedundancyState:
        """What keepalived has made of a redundant router, its transition done; UNKNOWN of any other."""

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        """Deaf, it hears no peer, so that two become primary; released, it gives up being primary, in good order, and
        stays BACKUP; normal is as programmed."""

    def synchronise(self, name: str) -> None:
        """The router asks its peer for all connections and has them when this returns."""

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        """Run a command on the router; its exit code and what it printed, as output and as errors.

        A command that there isn't, or that doesn't end within a minute, is an error in that sense: no GroundError.
        """

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        """A running VPC router gets an interface in one more tier; its rules come with program_router."""

    def unplug_tier(self, name: str, network: str) -> None: ...

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        """A router gets an interface in one more public subnet; further addresses of it come with program_router."""

    def unplug_public(self, name: str, gateway: str) -> None:
        """The interface in that subnet is gone, and all addresses on it."""

    def stop_router(self, name: str) -> None:
        """Forced power-off: off the wire at once, connection tracking lost with it; can be started again."""

    def remove_router(self, name: str) -> None: ...

    def add_vm(self, vm: VmSpec) -> None:
        """Create and boot: addresses, host key of its own, sshd (keys only) with the user data honoured."""

    def stop_vm(self, name: str) -> None: ...

    def start_vm(self, name: str) -> None: ...

    def remove_vm(self, name: str) -> None: ...

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None: ...

    def drop_lease(self, name: str) -> None:
        """The guest loses its address, as if nobody had renewed its lease in time."""

    def renew_lease(self, name: str) -> None:
        """The guest asks for its address anew by DHCP; GroundError when nobody answers."""


@dataclass
class NoGround:
    """Does nothing but keep a list of what it was asked, as (method, first argument): for tests of the API alone."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def add_network(self, network: str) -> None:
        self.asked.append(("add_network", network))

    def remove_network(self, network: str) -> None:
        self.asked.append(("remove_network", network))

    def place_router(self, router: RouterSpec) -> None:
        self.asked.append(("place_router", router.name))

    def start_router(self, name: str) -> None:
        self.asked.append(("start_router", name))

    def start_router_unplugged(self, name: str) -> None:
        self.asked.append(("start_router_unplugged", name))

    def hand_over(self, old: str, new: str) -> None:
        self.asked.append(("hand_over", f"{old} {new}"))

    def restart_services(self, name: str) -> None:
        self.asked.append(("restart_services", name))

    def redundancy_state(self, name: str) -> RedundancyState:
        self.asked.append(("redundancy_state", name))
        return "PRIMARY"

    def set_redundancy(self, name: str, mode: RedundancyMode) -> None:
        self.asked.append(("set_redundancy", f"{name} {mode}"))

    def synchronise(self, name: str) -> None:
        self.asked.append(("synchronise", name))

    def diagnose(self, name: str, argv: tuple[str, ...]) -> tuple[int, str, str]:
        self.asked.append(("diagnose", f"{name} {' '.join(argv)}"))
        return 0, f"{argv[0].upper()} {argv[1]} executed in {name}", ""

    def plug_tier(self, name: str, leg: GuestLeg) -> None:
        self.asked.append(("plug_tier", f"{name} {leg.network}"))

    def unplug_tier(self, name: str, network: str) -> None:
        self.asked.append(("unplug_tier", f"{name} {network}"))

    def plug_public(self, name: str, leg: PublicLeg) -> None:
        self.asked.append(("plug_public", f"{name} {leg.ip}"))

    def unplug_public(self, name: str, gateway: str) -> None:
        self.asked.append(("unplug_public", f"{name} {gateway}"))

    def program_router(self, name: str, rules: RuleSet) -> None:
        self.asked.append(("program_router", f"{name} {len(rules)}"))

    def announce_router(self, name: str) -> None:
        self.asked.append(("announce_router", name))

    def stop_router(self, name: str) -> None:
        self.asked.append(("stop_router", name))

    def remove_router(self, name: str) -> None:
        self.asked.append(("remove_router", name))

    def add_vm(self, vm: VmSpec) -> None:
        self.asked.append(("add_vm", vm.name))

    def stop_vm(self, name: str) -> None:
        self.asked.append(("stop_vm", name))

    def start_vm(self, name: str) -> None:
        self.asked.append(("start_vm", name))

    def remove_vm(self, name: str) -> None:
        self.asked.append(("remove_vm", name))

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None:
        self.asked.append(("reset_vm_keys", f"{name} {len(authorized_keys)}"))

    def drop_lease(self, name: str) -> None:
        self.asked.append(("drop_lease", name))

    def renew_lease(self, name: str) -> None:
        self.asked.append(("renew_lease", name))
