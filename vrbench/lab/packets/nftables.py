"""What a router is programmed with, as one nftables script. Pure: text from values.

The layout is CloudStack's virtual router's: the ingress firewall judges a packet in prerouting, before address
translation, by the public address and port it was sent to; forwarding then lets through what was translated; egress is
judged when forwarded. A packet that no rule opens is dropped in silence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vrbench.lab.ground.specs import (
    Acl,
    AclLine,
    FirewallRule,
    GuestLeg,
    LoadBalance,
    PortForward,
    PublicLeg,
    RouterSpec,
    RuleSet,
)

GUEST_IF = "eth0"
PUBLIC_IF = "eth2"
FIRST_TIER, FIRST_MORE_PUBLIC = 3, 101  # eth3, eth4 … and eth101, eth102 …
GUEST_GROUP, PUBLIC_GROUP = 1, 2  # of interfaces, as iproute2 has them: what side of the router one is on
TABLE = "ip vrouter"

_TEMPLATE = """\
table {table}
delete table {table}
table {table} {{
  chain marks {{
    type filter hook prerouting priority -180; policy accept;
{marks}
  }}
  chain ingress {{
    type filter hook prerouting priority mangle; policy accept;
    iifgroup != {public} accept
    ct state established,related accept
{ingress}
  }}
  chain translate_in {{
    type nat hook prerouting priority dstnat; policy accept;
{translate_in}
  }}
  chain translate_out {{
    type nat hook postrouting priority srcnat; policy accept;
{translate_out}
  }}
  chain local {{
    type filter hook input priority filter; policy drop;
    iif lo accept
    iifgroup {guest} accept
    ct state established,related accept
    icmp type echo-request accept
  }}
{forward}
}}
"""

_ISOLATED_FORWARD = """\
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifgroup {public} ct status dnat accept
    iifgroup {guest} oifgroup {public} jump egress
  }}
  chain egress {{
{egress}
  }}"""

_VPC_FORWARD = """\
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifgroup {guest} jump leave
    oifgroup {public} accept
    ct status dnat jump enter
    iifgroup {guest} jump enter
  }}
  chain leave {{
{leave}
  }}
  chain enter {{
{enter}
  }}"""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """A router's interfaces by name, as they are plugged in now."""

    guests: tuple[tuple[str, GuestLeg], ...]
    publics: tuple[tuple[str, PublicLeg], ...]  # the first one is eth2
    vpc: bool = False

    def public_of(self, ip: str) -> str:
        """Return the public interface whose subnet holds an address; the first when none does."""
        address = ipaddress.ip_address(ip)
        for name, leg in self.publics:
            if address in ipaddress.ip_interface(f"{leg.ip}/{leg.prefix}").network:
                return name
        return self.publics[0][0]


def interfaces(router: RouterSpec) -> Interfaces:
    """Return the interfaces a router is placed with: eth0 (or eth3 … for the tiers of a VPC), eth2, eth101 …"""
    names = [GUEST_IF] if router.network else []
    names += [f"eth{FIRST_TIER + n}" for n in range(len(router.tiers))]
    first = PublicLeg(router.public_ip, router.public_prefix, router.public_gateway, router.public_mac)
    more = ((f"eth{FIRST_MORE_PUBLIC + n}", leg) for n, leg in enumerate(router.more_public))
    return Interfaces(tuple(zip(names, router.legs, strict=True)), ((PUBLIC_IF, first), *more), vpc=not router.network)


def render(plugged: Interfaces, rules: RuleSet) -> str:
    """Return the script that replaces, in one commit, whatever the router was programmed with by ``rules``."""
    groups = {"public": PUBLIC_GROUP, "guest": GUEST_GROUP}
    if plugged.vpc:
        ingress: Iterable[str] = ()
        forward = _VPC_FORWARD.format(
            leave=_lines(_acl_jumps("egress", plugged, rules.acls)),
            enter=_lines(_acl_jumps("ingress", plugged, rules.acls)),
            **groups,
        )
    else:
        ingress = (*(line for rule in rules.firewall for line in _ingress(rule)), "drop")
        forward = _ISOLATED_FORWARD.format(egress=_lines(_egress(rules)), **groups)
    return _TEMPLATE.format(
        table=TABLE,
        marks=_lines(_marks(plugged, rules)),
        ingress=_lines(ingress),
        translate_in=_lines(_translate_in(rules)),
        translate_out=_lines(_translate_out(plugged.guests, rules)),
        forward=forward,
        **groups,
    )


def _marks(plugged: Interfaces, rules: RuleSet) -> Iterator[str]:
    """Yield rules that mark the flows of a further public subnet, so that its own gateway routes them."""
    for name, _ in plugged.publics[1:]:
        mark = route_mark(name)
        yield f'iifname "{name}" ct state new ct mark set {mark}'
        for public_ip, guest_ip in rules.static_nat:
            if plugged.public_of(public_ip) == name:
                yield f"iifgroup {GUEST_GROUP} ct state new ip saddr {guest_ip} ct mark set {mark}"
    if len(plugged.publics) > 1:
        yield f"iifgroup {GUEST_GROUP} ct mark != 0 meta mark set ct mark"


def route_mark(interface: str) -> int:
    """Return the mark, and routing table, of a further public interface: the number in its name."""
    return int(interface.removeprefix("eth"))


def _acl_jumps(direction: str, plugged: Interfaces, acls: Sequence[Acl]) -> Iterator[str]:
    """Yield rules that look at a tier's list by its interface: what it denies is dropped; entering ends with a drop."""
    by_network = {acl.network: acl.rules for acl in acls}
    where, allowed = ("iifname", "return") if direction == "egress" else ("oifname", "accept")
    for name, leg in plugged.guests:
        for rule in by_network.get(leg.network, ()):
            if rule.direction == direction and (match := _acl_match(rule)) is not None:
                yield _join(f'{where} "{name}"', match, allowed if rule.allow else "drop")
    if direction == "ingress":
        yield "drop"


def _acl_match(rule: AclLine) -> str | None:
    """Return the match of a line; None when no IPv4 address fits."""
    other = _addresses("saddr" if rule.direction == "ingress" else "daddr", rule.cidrs)
    if other is None:
        return None
    plain = FirewallRule(None, rule.protocol, ports=rule.ports, icmp_type=rule.icmp_type, icmp_code=rule.icmp_code)
    return _join(other, _protocol(plain))


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _ingress(rule: FirewallRule) -> Iterator[str]:
    sources = _addresses("saddr", rule.cidrs)
    if rule.public_ip is not None and sources is not None:
        yield _join(f"iifgroup {PUBLIC_GROUP}", f"ip daddr {rule.public_ip}", sources, _protocol(rule), "accept")


def _egress(rules: RuleSet) -> Iterator[str]:
    """Yield rules that open what is closed, or close what they name where the network allows egress by default."""
    named, rest = ("drop", "accept") if rules.egress_allowed_by_default else ("accept", "drop")
    for rule in rules.egress:
        sources, targets = _addresses("saddr", rule.cidrs), _addresses("daddr", rule.destinations)
        if sources is not None and targets is not None:
            yield _join(sources, targets, _protocol(rule), named)
    yield rest


def _translate_in(rules: RuleSet) -> Iterator[str]:
    for public_ip, guest_ip in rules.static_nat:
        yield f"iifgroup {PUBLIC_GROUP} ip daddr {public_ip} dnat to {guest_ip}"
    for forward in rules.port_forwards:
        if (sources := _addresses("saddr", forward.cidrs)) is not None:
            match = f"iifgroup {PUBLIC_GROUP} ip daddr {forward.public_ip}"
            ports = f"{forward.protocol} dport {_ports(forward.public_ports)}"
            yield _join(match, sources, ports, f"dnat to {_target(forward)}")
    for balance in rules.balanced:
        if (sources := _addresses("saddr", balance.cidrs)) is not None:
            match = f"iifgroup {PUBLIC_GROUP} ip daddr {balance.public_ip}"
            port = f"{balance.protocol} dport {balance.public_port}"
            yield _join(match, sources, port, f"dnat ip addr . port to {_share(balance)}")


def _translate_out(guests: Sequence[tuple[str, GuestLeg]], rules: RuleSet) -> Iterator[str]:
    for public_ip, guest_ip in rules.static_nat:
        yield f"oifgroup {PUBLIC_GROUP} ip saddr {guest_ip} snat to {public_ip}"
    if rules.source_nat is not None:
        for _, leg in guests:
            network = ipaddress.ip_interface(f"{leg.gateway}/{leg.prefix}").network
            yield f"oifgroup {PUBLIC_GROUP} ip saddr {network} snat to {rules.source_nat}"


def _target(forward: PortForward) -> str:
    """Return the translated address and port; a shifted range needs one pair per port (nftables knows no offset)."""
    if forward.public_ports == forward.guest_ports:
        return forward.guest_ip
    (first, last), (start, _) = forward.public_ports, forward.guest_ports
    if first == last:
        return f"{forward.guest_ip}:{start}"
    pairs = ", ".join(f"{port} : {start + port - first}" for port in range(first, last + 1))
    return f"{forward.guest_ip} : {forward.protocol} dport map {{ {pairs} }}"


def _share(balance: LoadBalance) -> str:
    """Return guest address and port by turns, or by a hash of the source address."""
    count = len(balance.guest_ips)
    pairs = ", ".join(f"{turn} : {guest} . {balance.guest_port}" for turn, guest in enumerate(balance.guest_ips))
    choice = f"jhash ip saddr mod {count} seed 0x1" if balance.by_source else f"numgen inc mod {count}"
    return f"{choice} map {{ {pairs} }}"


def _protocol(rule: FirewallRule) -> str:
    if rule.protocol == "all":
        return ""
    if rule.protocol == "icmp":
        kind = "" if rule.icmp_type < 0 else f"icmp type {rule.icmp_type}"
        code = "" if rule.icmp_code < 0 else f"icmp code {rule.icmp_code}"
        return _join(kind, code) or "ip protocol icmp"
    if rule.ports is None:
        return f"ip protocol {rule.protocol}"
    return f"{rule.protocol} dport {_ports(rule.ports)}"


def _ports(ports: tuple[int, int]) -> str:
    first, last = ports
    return str(first) if first == last else f"{first}-{last}"


def _addresses(field: str, cidrs: tuple[str, ...]) -> str | None:
    """Return the match on ``field``: empty text when every address fits, None when no IPv4 address does."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    ipv4 = list(ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network)))
    if cidrs and not ipv4:
        return None
    if not cidrs or ipv4[0].prefixlen == 0:
        return ""
    return f"ip {field} {{ {', '.join(map(str, ipv4))} }}"


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
