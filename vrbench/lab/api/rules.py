"""Firewall, egress and port-forwarding rules."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

from vrbench.lab.api import errors, tags
from vrbench.lab.api.addresses import network_of, own_address
from vrbench.lab.api.call import Call, Task
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.networks import GONE as NETWORK_GONE
from vrbench.lab.api.records import Json, Machine, Network, Rule
from vrbench.lab.api.ruleset import reprogram
from vrbench.lab.api.zone import Zone, new_id

MAX_PORT = 65535
INGRESS_PROTOCOLS = ("tcp", "udp", "icmp")
EGRESS_PROTOCOLS = (*INGRESS_PROTOCOLS, "all")
GONE = "Unable to find rule by id={id}"


def create_firewall_rule(call: Call) -> Task:
    address = own_address(call, "ipaddressid")
    network = network_of(address)
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="Firewall",
        network=network,
        address=address,
        protocol=_protocol(call, INGRESS_PROTOCOLS),
        ports=_ports(call),
        icmp=_icmp(call),
        cidrs=_cidrs(call, "cidrlist") or ("0.0.0.0/0",),
    )
    return _creation(call, rule, "firewallrule", firewall_view)


def create_egress_rule(call: Call) -> Task:
    network = call.target("networkid", Network, NETWORK_GONE)
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="Egress",
        network=network,
        protocol=_protocol(call, EGRESS_PROTOCOLS),
        ports=_ports(call),
        icmp=_icmp(call),
        cidrs=_cidrs(call, "cidrlist") or (network.cidr,),
        destinations=_cidrs(call, "destcidrlist"),
    )
    return _creation(call, rule, "firewallrule", firewall_view)


def create_port_forwarding(call: Call) -> Task:
    address = own_address(call, "ipaddressid")
    network = network_of(address)
    machine = call.target("virtualmachineid", Machine, "Unable to create port forwarding rule, invalid vm id {id}")
    if machine.network is not network:
        raise errors.invalid("The VM is not on the network of the address")
    public = _range(call, "publicport", "publicendport")
    private = _range(call, "privateport", "privateendport")
    if public[1] - public[0] != private[1] - private[0]:
        raise errors.invalid("Source port and destination port ranges should be of equal sizes.")
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="PortForwarding",
        network=network,
        address=address,
        protocol=_protocol(call, ("tcp", "udp")),
        ports=public,
        private_ports=private,
        machine=machine,
        guest_ip=call.text("vmguestip") or machine.nic.ip,
    )
    opening = _opening(call, rule)
    return _creation(call, rule, "portforwardingrule", forwarding_view, opening)


def _opening(call: Call, rule: Rule) -> Rule | None:
    """The firewall rule that goes with a forwarding rule unless openfirewall=false."""
    if not call.flag("openfirewall", default=True):
        return None
    return Rule(
        uuid=new_id(),
        account=rule.account,
        purpose="Firewall",
        network=rule.network,
        address=rule.address,
        protocol=rule.protocol,
        ports=rule.ports,
        cidrs=_cidrs(call, "cidrlist") or ("0.0.0.0/0",),
    )


def _protocol(call: Call, allowed: tuple[str, ...]) -> str:
    protocol = call.required("protocol").lower()
    if protocol not in allowed:
        raise errors.invalid(f"Protocol {call.required('protocol')} is not supported in the network")
    return protocol


def _port(call: Call, name: str) -> int | None:
    port = call.number(name)
    if port is not None and not 0 < port <= MAX_PORT:
        raise errors.invalid(f"publicPort is an invalid value: {port}")
    return port


def _ports(call: Call) -> tuple[int, int] | None:
    first, last = _port(call, "startport"), _port(call, "endport")
    if first is None:
        return None
    last = first if last is None else last
    if last < first:
        raise errors.invalid(f"Start port can't be bigger than end port: {first}-{last}")
    return first, last


def _range(call: Call, first_name: str, last_name: str) -> tuple[int, int]:
    first = _port(call, first_name)
    if first is None:
        raise errors.missing_parameter(call.shape.name, first_name)
    last = _port(call, last_name)
    return first, first if last is None else last


def _icmp(call: Call) -> tuple[int, int] | None:
    if (call.text("protocol") or "").lower() != "icmp":
        return None
    kind, code = call.number("icmptype"), call.number("icmpcode")
    return -1 if kind is None else kind, -1 if code is None else code


def _cidrs(call: Call, name: str) -> tuple[str, ...]:
    """A list of CIDRs; the server wants the prefix spelled out."""
    for cidr in call.items(name):
        try:
            if "/" not in cidr:
                raise ValueError(cidr)
            IPv4Network(cidr, strict=False)
        except ValueError:
            raise errors.malformed(f"Source CIDRs formatting error {cidr}") from None
    return call.items(name)


def _creation(
    call: Call, rule: Rule, name: str, view: Callable[[Zone, Rule], Json], companion: Rule | None = None
) -> Task:
    """Check for conflicts and store the rule now; the job brings it to the router."""
    zone = call.zone
    with zone.lock:
        _refuse_conflict(zone, rule)
        zone.add(rule)
        if companion is not None and _conflicting(zone, companion) is None:
            zone.add(companion)

    def run() -> Json:
        try:
            if rule.network.implement_tried:
                reprogram(zone, rule.network)
        except ApiError:
            with zone.lock:
                zone.remove(rule)
            raise
        with zone.lock:
            rule.state = "Active"
            if companion is not None:
                companion.state = "Active"
            return {name: view(zone, rule)}

    return Task(run, rule, "FirewallRule", creates=True)


def _refuse_conflict(zone: Zone, rule: Rule) -> None:
    if rule.purpose == "PortForwarding" and rule.address is not None and rule.address.static_nat is not None:
        raise errors.invalid(f"Can't create a forwarding rule on {rule.address.ip}: it is used for static nat")
    other = _conflicting(zone, rule)
    if other is None:
        return
    row = (
        f'FirewallRule {{"id":{other.number},"networkId":{other.network.number},"purpose":"{other.purpose}",'
        f'"state":"{other.state}","uuid":"{other.uuid}"}}'
    )
    text = f"The range specified, {_dashed(rule.ports)}, conflicts with rule {row} which has {_dashed(other.ports)}"
    raise errors.conflict(text)


def _dashed(ports: tuple[int, int] | None) -> str:
    return "-".join(map(str, ports)) if ports else "null-null"


def _conflicting(zone: Zone, rule: Rule) -> Rule | None:
    """An existing rule that says something about the same thing already."""
    same_place = zone.rules_where(
        lambda other: (
            other.purpose == rule.purpose
            and other.network is rule.network
            and other.address is rule.address
            and other.protocol == rule.protocol
        )
    )
    return next((other for other in same_place if _overlap(rule, other)), None)


def _overlap(rule: Rule, other: Rule) -> bool:
    if rule.purpose != "PortForwarding" and not set(rule.cidrs) & set(other.cidrs):
        return False
    if rule.purpose == "Egress" and set(rule.destinations) != set(other.destinations):
        return False
    if rule.icmp is not None:
        return rule.icmp == other.icmp
    first, last = rule.ports or (1, MAX_PORT)
    other_first, other_last = other.ports or (1, MAX_PORT)
    return first <= other_last and other_first <= last


def firewall_view(zone: Zone, rule: Rule) -> Json:
    """The body of a firewall or egress rule; call with the lock held."""
    body: Json = {"id": rule.uuid, "protocol": rule.protocol}
    if rule.ports is not None:
        body |= {"startport": rule.ports[0], "endport": rule.ports[1]}
    if rule.address is not None:
        body["ipaddressid"] = rule.address.uuid
    body["networkid"] = rule.network.uuid
    if rule.address is not None:
        body["ipaddress"] = rule.address.ip
    body |= {"state": rule.state, "cidrlist": ",".join(rule.cidrs)}
    if rule.icmp is not None:
        body |= {"icmptype": rule.icmp[0], "icmpcode": rule.icmp[1]}
    return body | {
        "tags": tags.shown(zone, rule.uuid),
        "destcidrlist": ",".join(rule.destinations),
        "traffictype": "Egress" if rule.purpose == "Egress" else "Ingress",
    }


def forwarding_view(zone: Zone, rule: Rule) -> Json:
    """The body of a port-forwarding rule; call with the lock held."""
    public, private = rule.ports or (0, 0), rule.private_ports or (0, 0)
    body: Json = {
        "id": rule.uuid,
        "privateport": str(private[0]),
        "privateendport": str(private[1]),
        "protocol": rule.protocol,
        "publicport": str(public[0]),
        "publicendport": str(public[1]),
    }
    if rule.machine is not None:
        body |= {
            "virtualmachineid": rule.machine.uuid,
            "virtualmachinename": rule.machine.name,
            "virtualmachinedisplayname": rule.machine.displayname,
        }
    if rule.address is not None:
        body |= {"ipaddressid": rule.address.uuid, "ipaddress": rule.address.ip}
    return body | {
        "state": rule.state,
        "cidrlist": "",
        "tags": tags.shown(zone, rule.uuid),
        "vmguestip": rule.guest_ip,
        "networkid": rule.network.uuid,
    }


def _deletion(purpose: str) -> Callable[[Call], Task]:
    def handler(call: Call) -> Task:
        rule = call.target("id", Rule, GONE)
        if rule.purpose != purpose:
            raise errors.unknown_entity(call.shape.name, "id", rule.uuid)

        def run() -> Json:
            with call.zone.lock:
                rule.state = "Revoke"
            if rule.network.implement_tried:
                reprogram(call.zone, rule.network)
            with call.zone.lock:
                tags.drop_all(call.zone, rule.uuid)
                call.zone.remove(rule)
            return {"success": True}

        return Task(run, rule, "FirewallRule")

    return handler


def _listing(purpose: str, name: str, view: Callable[[Zone, Rule], Json]) -> Callable[[Call], Json]:
    def handler(call: Call) -> Json:
        mine = call.scope()
        newest_first = reversed(call.zone.rules)
        chosen = [r for r in newest_first if r.purpose == purpose and mine(r.account) and _matches(call, r)]
        rows = [view(call.zone, rule) for rule in chosen]
        return call.listing(name, rows)

    return handler


def _matches(call: Call, rule: Rule) -> bool:
    fields = {
        "id": rule.uuid,
        "ipaddressid": rule.address.uuid if rule.address else None,
        "networkid": rule.network.uuid,
    }
    same = all(call.text(name) in (None, "", value) for name, value in fields.items())
    return same and tags.carries(call, rule.uuid)


COMMANDS = {
    "createFirewallRule": create_firewall_rule,
    "deleteFirewallRule": _deletion("Firewall"),
    "listFirewallRules": _listing("Firewall", "firewallrule", firewall_view),
    "createEgressFirewallRule": create_egress_rule,
    "deleteEgressFirewallRule": _deletion("Egress"),
    "listEgressFirewallRules": _listing("Egress", "firewallrule", firewall_view),
    "createPortForwardingRule": create_port_forwarding,
    "deletePortForwardingRule": _deletion("PortForwarding"),
    "listPortForwardingRules": _listing("PortForwarding", "portforwardingrule", forwarding_view),
}
