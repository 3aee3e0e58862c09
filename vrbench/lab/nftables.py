"""What a router is programmed with, as one nftables script. Pure: text from values.

The layout is CloudStack's virtual router's: the ingress firewall judges a packet in prerouting, before address
translation, by the public address and port it was sent to; forwarding then lets through what was translated; egress is
judged when forwarded. A packet that no rule opens is dropped in silence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from vrbench.lab.ground import FirewallRule, PortForward, RouterSpec, RuleSet

GUEST_IF = "eth0"
PUBLIC_IF = "eth2"
TABLE = "ip vrouter"

_TEMPLATE = """\
table {table}
delete table {table}
table {table} {{
  chain ingress {{
    type filter hook prerouting priority mangle; policy accept;
    iifname != "{public}" accept
    ct state established,related accept
{ingress}
    drop
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
    iifname {{ "lo", "{guest}" }} accept
    ct state established,related accept
    icmp type echo-request accept
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "{public}" ct status dnat accept
    iifname "{guest}" oifname "{public}" jump egress
  }}
  chain egress {{
{egress}
  }}
}}
"""


def render(router: RouterSpec, rules: RuleSet) -> str:
    """The script that replaces, in one commit, whatever the router was programmed with by ``rules``."""
    return _TEMPLATE.format(
        table=TABLE,
        public=PUBLIC_IF,
        guest=GUEST_IF,
        ingress=_lines(line for rule in rules.firewall for line in _ingress(rule)),
        translate_in=_lines(_translate_in(rules)),
        translate_out=_lines(_translate_out(router, rules)),
        egress=_lines(_egress(rules)),
    )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _ingress(rule: FirewallRule) -> Iterator[str]:
    sources = _addresses("saddr", rule.cidrs)
    if rule.public_ip is not None and sources is not None:
        yield _join(f'iifname "{PUBLIC_IF}"', f"ip daddr {rule.public_ip}", sources, _protocol(rule), "accept")


def _egress(rules: RuleSet) -> Iterator[str]:
    """Rules open what is closed; where the network allows egress by default they close what they name."""
    named, rest = ("drop", "accept") if rules.egress_allowed_by_default else ("accept", "drop")
    for rule in rules.egress:
        sources, targets = _addresses("saddr", rule.cidrs), _addresses("daddr", rule.destinations)
        if sources is not None and targets is not None:
            yield _join(sources, targets, _protocol(rule), named)
    yield rest


def _translate_in(rules: RuleSet) -> Iterator[str]:
    for public_ip, guest_ip in rules.static_nat:
        yield f'iifname "{PUBLIC_IF}" ip daddr {public_ip} dnat to {guest_ip}'
    for forward in rules.port_forwards:
        ports = _ports(forward.public_ports)
        match = f'iifname "{PUBLIC_IF}" ip daddr {forward.public_ip} {forward.protocol} dport {ports}'
        yield f"{match} dnat to {_target(forward)}"


def _translate_out(router: RouterSpec, rules: RuleSet) -> Iterator[str]:
    for public_ip, guest_ip in rules.static_nat:
        yield f'oifname "{PUBLIC_IF}" ip saddr {guest_ip} snat to {public_ip}'
    if rules.source_nat is not None:
        guests = ipaddress.ip_interface(f"{router.guest_ip}/{router.guest_prefix}").network
        yield f'oifname "{PUBLIC_IF}" ip saddr {guests} snat to {rules.source_nat}'


def _target(forward: PortForward) -> str:
    """The translated address and port; a shifted range needs one pair per port (nftables knows no offset)."""
    if forward.public_ports == forward.guest_ports:
        return forward.guest_ip
    (first, last), (start, _) = forward.public_ports, forward.guest_ports
    if first == last:
        return f"{forward.guest_ip}:{start}"
    pairs = ", ".join(f"{port} : {start + port - first}" for port in range(first, last + 1))
    return f"{forward.guest_ip} : {forward.protocol} dport map {{ {pairs} }}"


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
    """The match on ``field``: empty text when every address fits, None when no IPv4 address does."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    ipv4 = list(ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network)))
    if cidrs and not ipv4:
        return None
    if not cidrs or ipv4[0].prefixlen == 0:
        return ""
    return f"ip {field} {{ {', '.join(map(str, ipv4))} }}"


def _join(*parts: str) -> str:
    return " ".join(part for part in parts if part)
