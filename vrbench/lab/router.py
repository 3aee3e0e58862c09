"""One virtual router: a network namespace with a guest and a public interface, nftables and connection tracking."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vrbench.lab.ground import GroundError, RouterSpec, RuleSet
from vrbench.lab.namespaces import add_netns, delete_links, inside, ip_batch, remove_netns, run, wait_running
from vrbench.lab.nftables import GUEST_IF, PUBLIC_IF, render

_SYSCTLS = (
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/arp_ignore", "1"),  # an address is answered for on its own side only
)
_ETH_P_ARP = 0x0806
_ARP_REQUEST = 1
_BROADCAST = b"\xff" * 6


@dataclass(slots=True)
class Router:
    """A router between two bridges. ``tag`` names its cables, ``g<tag>`` and ``p<tag>``, unique in the box.

    Placed, its interfaces are up but unplugged from the bridges: plugging a cable whose carrier is already there
    takes effect at once, while raising a link lets the kernel take up to a second over it.
    """

    spec: RouterSpec
    tag: str
    guest_bridge: str
    public_bridge: str
    running: bool = False
    exists: bool = False
    addresses: list[str] = field(default_factory=list)  # beyond the router's own public address

    @property
    def cables(self) -> tuple[str, str]:
        return f"g{self.tag}", f"p{self.tag}"

    @property
    def public_addresses(self) -> tuple[str, ...]:
        """The addresses it answers for on the public side now."""
        return (self.spec.public_ip, *self.addresses)

    def place(self) -> None:
        """Make the namespace and the cables; nothing of it is on the wire."""
        spec, (guest, public) = self.spec, self.cables
        add_netns(spec.name, _SYSCTLS)
        self.exists = True
        ip_batch(
            [
                f"link add {guest} type veth peer name {GUEST_IF} address {spec.guest_mac} netns {spec.name}",
                f"link add {public} type veth peer name {PUBLIC_IF} address {spec.public_mac} netns {spec.name}",
                f"link set {guest} up",
                f"link set {public} up",
            ]
        )
        ip_batch(["link set lo up", f"link set {GUEST_IF} up", f"link set {PUBLIC_IF} up"], netns=spec.name)

    def start(self) -> None:
        """Addresses, a closed firewall, both cables plugged in, neighbours told."""
        if not self.exists:
            self.place()
        spec, (guest, public) = self.spec, self.cables
        self._load(RuleSet())
        ip_batch(
            [
                f"address add {spec.guest_ip}/{spec.guest_prefix} dev {GUEST_IF}",
                f"address add {spec.public_ip}/{spec.public_prefix} dev {PUBLIC_IF}",
                f"route add default via {spec.public_gateway}",
            ],
            netns=spec.name,
        )
        wait_running(guest)
        wait_running(public)
        ip_batch([f"link set {guest} master {self.guest_bridge}", f"link set {public} master {self.public_bridge}"])
        self.running = True
        self.announce()

    def program(self, rules: RuleSet) -> None:
        """Addresses first, then all rules in one commit, then the new addresses announced."""
        if not self.running:
            raise GroundError(f"router {self.spec.name} is not running: it can't be programmed")
        wanted = [ip for ip in dict.fromkeys(rules.public_ips) if ip != self.spec.public_ip]
        new = [ip for ip in wanted if ip not in self.addresses]
        stale = [ip for ip in self.addresses if ip not in wanted]
        changes = [f"address add {ip}/32 dev {PUBLIC_IF}" for ip in new]
        changes += [f"address delete {ip}/32 dev {PUBLIC_IF}" for ip in stale]
        if changes:
            ip_batch(changes, netns=self.spec.name)
        self.addresses = wanted
        self._load(rules)
        self._tell_neighbours([(PUBLIC_IF, ip) for ip in new])

    def announce(self) -> None:
        """One gratuitous ARP for every address."""
        public = [(PUBLIC_IF, ip) for ip in self.public_addresses]
        self._tell_neighbours([(GUEST_IF, self.spec.guest_ip), *public])

    def stop(self) -> None:
        """Power off: the cables go first, so that it is off the wire at once; the namespace takes its state along."""
        self.running = False
        self.addresses = []
        delete_links(self.cables)
        remove_netns(self.spec.name)
        self.exists = False

    def _load(self, rules: RuleSet) -> None:
        run(["nsenter", f"--net=/run/netns/{self.spec.name}", "nft", "-f", "-"], render(self.spec, rules))

    def _tell_neighbours(self, addresses: Sequence[tuple[str, str]]) -> None:
        if not addresses:
            return
        macs = {GUEST_IF: self.spec.guest_mac, PUBLIC_IF: self.spec.public_mac}
        frames = [(interface, gratuitous_arp(macs[interface], ip)) for interface, ip in addresses]
        inside(self.spec.name, lambda: _send_frames(frames))


def gratuitous_arp(mac: str, ip: str) -> bytes:
    """The Ethernet frame that tells every neighbour that ``ip`` is at ``mac`` (an ARP request for itself)."""
    sender = bytes.fromhex(mac.replace(":", ""))
    address = socket.inet_aton(ip)
    header = struct.pack("!6s6sHHHBBH", _BROADCAST, sender, _ETH_P_ARP, 1, 0x0800, 6, 4, _ARP_REQUEST)
    return header + sender + address + _BROADCAST + address


def _send_frames(frames: Iterable[tuple[str, bytes]]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        for interface, frame in frames:
            wire.sendto(frame, (interface, _ETH_P_ARP))
