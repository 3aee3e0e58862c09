"""The router's script, as text: each kind of rule and what it becomes."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.box import open_rules, router
from vrbench.lab.ground.specs import FirewallRule, PortForward, RouterSpec, RuleSet
from vrbench.lab.packets.nftables import interfaces
from vrbench.lab.packets.nftables import render as render_plugged

_IP = "198.51.100.20"


def render(spec: RouterSpec, rules: RuleSet) -> str:
    """Return the script for a router as it is placed."""
    return render_plugged(interfaces(spec), rules)


def chain(script: str, name: str) -> list[str]:
    """Return the rules of one chain, without its hook."""
    body = script.partition(f"chain {name} {{\n")[2].partition("\n  }")[0]
    return [line.strip() for line in body.splitlines() if line.strip() and not line.strip().startswith("type ")]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (FirewallRule(_IP, "tcp", ports=(22, 22)), "tcp dport 22"),
        (FirewallRule(_IP, "udp", ports=(1000, 2000)), "udp dport 1000-2000"),
        (FirewallRule(_IP, "tcp"), "ip protocol tcp"),
        (FirewallRule(_IP, "all"), ""),
        (FirewallRule(_IP, "icmp"), "ip protocol icmp"),
        (FirewallRule(_IP, "icmp", icmp_type=8, icmp_code=0), "icmp type 8 icmp code 0"),
        (FirewallRule(_IP, "icmp", icmp_type=0), "icmp type 0"),
        (FirewallRule(_IP, "tcp", ("192.0.2.7/24",), ports=(22, 22)), "ip saddr { 192.0.2.0/24 } tcp dport 22"),
        (FirewallRule(_IP, "tcp", ("192.0.2.0/25", "192.0.2.128/25")), "ip saddr { 192.0.2.0/24 } ip protocol tcp"),
        (FirewallRule(_IP, "tcp", ("192.0.2.0/24", "0.0.0.0/0")), "ip protocol tcp"),
    ],
)
def test_an_ingress_rule_becomes_one_match(rule: FirewallRule, line: str) -> None:
    """Public address, sources (merged, since nftables takes no overlap), protocol, ports."""
    rules = chain(render(router(), RuleSet(firewall=(rule,))), "ingress")
    assert rules[2:] == [f"iifgroup 2 ip daddr {_IP} {line} accept".replace("  ", " "), "drop"]


def test_sources_of_the_other_family_open_nothing() -> None:
    """A rule for IPv6 sources only is left out instead of opening the address to all."""
    rule = FirewallRule(_IP, "tcp", ("2001:db8::/32",))
    assert chain(render(router(), RuleSet(firewall=(rule,))), "ingress")[2:] == ["drop"]


@pytest.mark.parametrize(
    ("allowed", "lines"),
    [
        (False, ["ip saddr { 10.1.1.0/24 } ip daddr { 203.0.113.0/24 } udp dport 53 accept", "drop"]),
        (True, ["ip saddr { 10.1.1.0/24 } ip daddr { 203.0.113.0/24 } udp dport 53 drop", "accept"]),
    ],
)
def test_egress_rules_open_or_close_by_the_network_s_default(allowed: bool, lines: list[str]) -> None:
    """Where all may leave by default, a rule names what may not."""
    rule = FirewallRule(None, "udp", ("10.1.1.0/24",), ("203.0.113.0/24",), (53, 53))
    rules = RuleSet(egress=(rule,), egress_allowed_by_default=allowed)
    assert chain(render(router(), rules), "egress") == lines


@pytest.mark.parametrize(
    ("public", "guest", "target"),
    [
        ((22, 22), (22, 22), "tcp dport 22 dnat to 10.1.1.11"),
        ((2222, 2222), (22, 22), "tcp dport 2222 dnat to 10.1.1.11:22"),
        ((80, 90), (80, 90), "tcp dport 80-90 dnat to 10.1.1.11"),
        ((80, 81), (90, 91), "tcp dport 80-81 dnat to 10.1.1.11 : tcp dport map { 80 : 90, 81 : 91 }"),
    ],
)
def test_a_port_forward_keeps_or_maps_the_port(public: tuple[int, int], guest: tuple[int, int], target: str) -> None:
    """A port that stays the same needs no target port; a shifted range needs every pair."""
    rules = RuleSet(port_forwards=(PortForward(_IP, "tcp", public, "10.1.1.11", guest),))
    assert chain(render(router(), rules), "translate_in") == [f"iifgroup 2 ip daddr {_IP} {target}"]


def test_static_nat_leaves_before_source_nat() -> None:
    """The first match decides: a VM with an address of its own must not be caught by the network's."""
    assert chain(render(router(), open_rules()), "translate_out") == [
        "oifgroup 2 ip saddr 10.1.1.12 snat to 198.51.100.30",
        "oifgroup 2 ip saddr 10.1.1.0/24 snat to 198.51.100.10",
    ]


@pytest.mark.lab
def test_nftables_accepts_every_kind_of_rule() -> None:
    """The whole of it parses, as a check without effect (in a namespace of its own)."""
    shifted = PortForward(_IP, "udp", (80, 81), "10.1.1.11", (90, 91))
    kinds = tuple(FirewallRule(_IP, protocol, ("192.0.2.0/24",)) for protocol in ("tcp", "udp", "icmp", "all"))
    rules = open_rules()
    everything = RuleSet(
        rules.public_ips,
        rules.source_nat,
        rules.static_nat,
        (*rules.port_forwards, shifted),
        (*rules.firewall, *kinds, FirewallRule(_IP, "icmp", icmp_type=8, icmp_code=0)),
        (*rules.egress, FirewallRule(None, "tcp", ("10.1.1.0/24",), ("203.0.113.0/24",), (1, 65535))),
    )
    command = ["unshare", "--map-root-user", "--net", "nft", "--check", "--file", "-"]
    done = subprocess.run(command, input=render(router(), everything), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
