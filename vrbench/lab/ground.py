"""What the lab's API asks of the ground: the port between the zone's state and the packets.

The API (``lab/api``) decides what exists and in which state it is; the ground makes it so. The real ground is
``lab/zone.py`` (network namespaces, nftables, sshd); ``NoGround`` does nothing, for tests of the API alone.
Every method blocks until it is done, may be called from several threads at once, raises GroundError, and does no
waiting of its own for boot or programming times: those belong to ``lab/timing.py`` and are waited for by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class GroundError(RuntimeError):
    """A namespace, an address, a rule or a process could not be made as asked; says which command failed and how."""


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """One virtual router as it will be plugged in. Masks are prefix lengths; MACs are colon-separated."""

    name: str  # r-12-VM: also the name of its node
    network: str  # id of the guest network
    guest_ip: str  # the network's gateway address
    guest_prefix: int
    guest_mac: str
    public_ip: str  # the source-NAT address
    public_prefix: int
    public_gateway: str
    public_mac: str


@dataclass(frozen=True, slots=True)
class VmSpec:
    """One guest. ``user_data`` is what the caller sent, decoded from base64 (cloud-config or a script), or empty."""

    name: str  # also its hostname and the name of its node
    network: str
    ip: str
    prefix: int
    gateway: str
    mac: str
    authorized_keys: tuple[str, ...] = ()
    user_data: bytes = b""


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

    def __len__(self) -> int:
        """How many rules there are to program: addresses, NAT, firewall and egress, one each."""
        groups = (self.public_ips, self.static_nat, self.port_forwards, self.firewall, self.egress)
        return sum(len(group) for group in groups)


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

    def program_router(self, name: str, rules: RuleSet) -> None:
        """Replace all rules by these, atomically; addresses new to the router are added and announced."""

    def announce_router(self, name: str) -> None:
        """One gratuitous ARP for every address the router has, guest side and public side."""

    def stop_router(self, name: str) -> None:
        """Forced power-off: off the wire at once, connection tracking lost with it; can be started again."""

    def remove_router(self, name: str) -> None: ...

    def add_vm(self, vm: VmSpec) -> None:
        """Create and boot: addresses, host key of its own, sshd (keys only) with the user data honoured."""

    def stop_vm(self, name: str) -> None: ...

    def start_vm(self, name: str) -> None: ...

    def remove_vm(self, name: str) -> None: ...

    def reset_vm_keys(self, name: str, authorized_keys: tuple[str, ...]) -> None: ...


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
