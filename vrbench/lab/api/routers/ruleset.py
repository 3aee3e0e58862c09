"""From the zone's records to what its routers are programmed with."""

from __future__ import annotations

from collections.abc import Iterator

from vrbench.lab.api.routers.specs import fit_public_nics, public_leg
from vrbench.lab.api.state.entities import AclRule, Address, Network, Router, Rule, Served
from vrbench.lab.api.state.errors import internal
from vrbench.lab.api.state.zone import Zone
from vrbench.lab.ground.specs import Acl, AclLine, FirewallRule, Host, LoadBalance, PortForward, RuleSet

APPLIED = ("Add", "Active")
ANYWHERE = ("0.0.0.0/0",)
FORGOTTEN = ("Destroyed", "Expunging", "Error")


def build(zone: Zone, home: Served) -> RuleSet:
    """Return the rule set of the routers of one network or VPC; call with the lock held."""
    addresses = sorted(zone.addresses_of(home), key=lambda address: (not address.source_nat, address.number))
    applied = zone.rules_where(lambda rule: rule.network.home is home and rule.state in APPLIED)
    return RuleSet(
        public_ips=tuple(address.ip for address in addresses),
        source_nat=next((address.ip for address in addresses if address.source_nat), None),
        static_nat=tuple((a.ip, a.static_nat.nic.ip) for a in addresses if a.static_nat is not None),
        port_forwards=tuple(_forward(rule) for rule in applied if rule.purpose == "PortForwarding"),
        balanced=tuple(_balance(rule) for rule in applied if rule.purpose == "LoadBalancing" and rule.members),
        firewall=tuple(_firewall(rule) for rule in applied if rule.purpose == "Firewall"),
        egress=tuple(_firewall(rule) for rule in applied if rule.purpose == "Egress"),
        egress_allowed_by_default=bool(home.offering.body.get("egressdefaultpolicy")),
        hosts=tuple(_hosts(zone, home)),
        domain=home.domain_name,
        acls=tuple(_acl(zone, network) for network in zone.networks_of(home) if network.acl is not None),
    )


def _hosts(zone: Zone, home: Served) -> Iterator[Host]:
    """Yield the VMs that DHCP and DNS know: all that have not been destroyed."""
    for network in zone.networks_of(home):
        for machine in zone.machines_in(network):
            if machine.state not in FORGOTTEN:
                yield Host(machine.name, machine.nic.ip, machine.nic.mac)


def _acl(zone: Zone, network: Network) -> Acl:
    rules = sorted((rule for rule in zone.acl_rules if rule.acl is network.acl), key=lambda rule: rule.place)
    return Acl(network.uuid, tuple(_acl_line(rule) for rule in rules))


def _acl_line(rule: AclRule) -> AclLine:
    icmp_type, icmp_code = rule.icmp or (-1, -1)
    return AclLine(
        direction="ingress" if rule.traffic == "Ingress" else "egress",
        allow=rule.action == "Allow",
        protocol=rule.protocol,
        cidrs=() if ANYWHERE[0] in rule.cidrs else rule.cidrs,
        ports=rule.ports,
        icmp_type=icmp_type,
        icmp_code=icmp_code,
    )


def _address_of(rule: Rule) -> Address:
    if rule.address is None:
        raise internal(f"Rule {rule.uuid} has no address")
    return rule.address


def _forward(rule: Rule) -> PortForward:
    public = rule.ports or (0, 0)
    return PortForward(
        public_ip=_address_of(rule).ip,
        protocol=rule.protocol,
        public_ports=public,
        guest_ip=rule.guest_ip,
        guest_ports=rule.private_ports or public,
        cidrs=rule.cidrs,
    )


def _balance(rule: Rule) -> LoadBalance:
    public, private = rule.ports or (0, 0), rule.private_ports or (0, 0)
    return LoadBalance(
        public_ip=_address_of(rule).ip,
        protocol="udp" if rule.protocol == "udp" else "tcp",
        public_port=public[0],
        guest_port=private[0],
        guest_ips=tuple(machine.nic.ip for machine in rule.members),
        by_source=rule.algorithm == "source",
        cidrs=rule.cidrs,
    )


def _firewall(rule: Rule) -> FirewallRule:
    icmp_type, icmp_code = rule.icmp or (-1, -1)
    return FirewallRule(
        public_ip=rule.address.ip if rule.address else None,
        protocol=rule.protocol,
        cidrs=() if rule.cidrs == ANYWHERE else rule.cidrs,
        destinations=() if rule.destinations == ANYWHERE else rule.destinations,
        ports=rule.ports,
        icmp_type=icmp_type,
        icmp_code=icmp_code,
    )


def check_source_nat(zone: Zone, served: Served) -> None:
    """Refuse to touch a network that a race gave several source-NAT addresses; call with the lock held."""
    if len(zone.source_nats(served.home)) > 1:
        raise internal("Multiple generic source NAT IPs provided for network")


def reprogram(zone: Zone, served: Served) -> None:
    """Bring the running routers of a network, a tier or a VPC up to date; what was built last is applied last.

    Of many that ask at once the first programs for all who asked before it began: a thousand rules need no thousand
    rounds.
    """
    home = served.home
    zone.pause(zone.settings.api_step_s)
    with zone.lock:
        home.changes += 1
        mine = home.changes
    with home.programming:
        if home.programmed < mine:
            _program(zone, home)


def _program(zone: Zone, home: Served) -> None:
    with zone.lock:
        check_source_nat(zone, home)
        routers = [router for router in zone.routers_of(home) if router.state == "Running"]
        rules, changes = build(zone, home), home.changes
    for router in routers:
        _fit_public_legs(zone, router)
        zone.ground.program_router(router.name, rules)
    home.programmed = changes


def _fit_public_legs(zone: Zone, router: Router) -> None:
    """Plug it into the public subnets that it has got addresses of, and out of those that it has none of any more."""
    with zone.lock:
        new, gone = fit_public_nics(zone, router)
    for nic in gone:
        zone.ground.unplug_public(router.name, public_leg(zone, nic).gateway)
    for nic in new:
        zone.ground.plug_public(router.name, public_leg(zone, nic))
