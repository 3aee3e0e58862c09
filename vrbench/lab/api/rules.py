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
from vrbench.lab.api.rule_conflicts import refuse_conflict
from vrbench.lab.api.rule_view import firewall_view, forwarding_view
from vrbench.lab.api.ruleset import reprogram
from vrbench.lab.api.zone import Zone, new_id

MAX_PORT = 65535
INGRESS_PROTOCOLS = ("tcp", "udp", "icmp")
EGRESS_PROTOCOLS = (*INGRESS_PROTOCOLS, "all")
GONE = "Unable to find rule by id={id}"

View = Callable[[Zone, Rule, bool], Json]


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
    if address.static_nat is not None:
        raise errors.invalid(f"Unable to create port forwarding rule; ip id={address.number} has static nat enabled")
    if machine.state in ("Destroyed", "Expunging"):
        raise errors.invalid(f"Invalid user vm: {machine.number}")
    if machine.network is not network:
        raise errors.invalid("Vm doesn't belong to network associated with ipAddress")
    public, private = _forwarded_ports(call)
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


def _forwarded_ports(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    """Public and private ports; ranges must be equal, single ports may differ."""
    public = _range(call, "publicport", "publicendport")
    private = _range(call, "privateport", "privateendport")
    if public[1] - public[0] != private[1] - private[0]:
        raise errors.invalid("Source port and destination port ranges should be of equal sizes.")
    if public[0] != public[1] and public != private:
        raise errors.invalid("Private port start should be equal to public port start")
    return public, private


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
        cidrs=("0.0.0.0/0",),
        companion_of=rule,
    )


def _protocol(call: Call, allowed: tuple[str, ...]) -> str:
    protocol = call.required("protocol").lower()
    if protocol not in allowed:
        raise errors.invalid(f"Protocol {call.required('protocol')} is not supported in zone 1")
    return protocol


def _port(call: Call, name: str, meaning: str = "publicPort") -> int | None:
    port = call.number(name)
    if port is not None and not 0 < port <= MAX_PORT:
        raise errors.invalid(f"{meaning} is an invalid value: {port}")
    return port


def _ports(call: Call) -> tuple[int, int] | None:
    if call.text("startport") is None:
        return None
    if call.required("protocol").lower() == "icmp":
        raise errors.invalid("Can't specify start/end port when protocol is ICMP")
    return _range(call, "startport", "endport")


def _range(call: Call, first_name: str, last_name: str) -> tuple[int, int]:
    first = _port(call, first_name)
    if first is None:
        raise errors.missing_parameter(call.shape.name, first_name)
    last = _port(call, last_name, "Public port range")
    if last is not None and first > last:
        raise errors.invalid("Start port can't be bigger than end port")
    return first, first if last is None else last


def _icmp(call: Call) -> tuple[int, int] | None:
    kind, code = call.number("icmptype"), call.number("icmpcode")
    if call.required("protocol").lower() != "icmp":
        if kind is not None or code is not None:
            raise errors.invalid("Can specify icmpCode and icmpType for ICMP protocol only")
        return None
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


def _creation(call: Call, rule: Rule, name: str, view: View, companion: Rule | None = None) -> Task:
    """Check for conflicts and store the rule now; the job brings it to the router."""
    zone = call.zone
    with zone.lock:
        refuse_conflict(zone, rule)
        zone.add(rule)
        if companion is not None:
            zone.add(companion)

    def run() -> Json:
        try:
            if rule.network.implement_tried:
                reprogram(zone, rule.network)
        except ApiError:
            with zone.lock:
                _forget(zone, rule)
            raise
        with zone.lock:
            rule.state = "Active"
            if companion is not None:
                companion.state = "Active"
            return {name: view(zone, rule, call.caller.is_root)}

    return Task(run, rule, "FirewallRule", creates=True)


def _forget(zone: Zone, rule: Rule) -> None:
    """Remove a rule with its tags and the opening that came with it; call with the lock held."""
    for gone in (rule, *zone.rules_where(lambda other: other.companion_of is rule)):
        tags.drop_all(zone, gone.uuid)
        zone.remove(gone)


def _deletion(purpose: str) -> Callable[[Call], Task]:
    def handler(call: Call) -> Task:
        rule = call.target("id", Rule, GONE)
        if rule.purpose != purpose:
            raise errors.unknown_entity(call.shape.name, "id", rule.uuid)

        def run() -> Json:
            with call.zone.lock:
                for gone in (rule, *call.zone.rules_where(lambda other: other.companion_of is rule)):
                    gone.state = "Revoke"
            if rule.network.implement_tried:
                reprogram(call.zone, rule.network)
            with call.zone.lock:
                _forget(call.zone, rule)
            return {"success": True}

        return Task(run, rule, "FirewallRule")

    return handler


def _listing(purpose: str, name: str, view: View) -> Callable[[Call], Json]:
    def handler(call: Call) -> Json:
        mine = call.scope()
        newest_first = reversed(call.zone.rules)
        chosen = [r for r in newest_first if r.purpose == purpose and mine(r.account) and _matches(call, r)]
        rows = [view(call.zone, rule, call.caller.is_root) for rule in chosen]
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
