"""Firewall, egress and port-forwarding rules."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.addresses.commands import free_unused, network_of, own_address
from vrbench.lab.api.networks.commands import GONE as NETWORK_GONE
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.request.rule_params import cidrs, icmp, is_cidr, port_range, ports, protocol
from vrbench.lab.api.routers.rule_turns import await_turn
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.rules.conflicts import refuse_conflict
from vrbench.lab.api.rules.view import firewall_view, forwarding_view
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Address, Json, Machine, Network, Rule
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id

INGRESS_PROTOCOLS = ("tcp", "udp", "icmp")
EGRESS_PROTOCOLS = (*INGRESS_PROTOCOLS, "all")
ANYWHERE = ("0.0.0.0/0",)
GONE = "Unable to find rule by id={id}"

View = Callable[[Zone, Rule, bool], Json]


def create_firewall_rule(call: Call) -> Task:
    sources = cidrs(call, "cidrlist") or ANYWHERE
    address = own_address(call, "ipaddressid")
    network = network_of(address)
    if address.vpc is not None:
        raise errors.invalid(f"There is no new provider for IP {address.ip} of service Firewall!")
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="Firewall",
        network=network,
        address=address,
        protocol=protocol(call, INGRESS_PROTOCOLS),
        ports=ports(call),
        icmp=icmp(call),
        cidrs=sources,
    )
    return creation(call, rule, "firewallrule", firewall_view)


def create_egress_rule(call: Call) -> Task:
    network = call.target("networkid", Network, NETWORK_GONE)
    sources, destinations = _sources(call, network), cidrs(call, "destcidrlist")
    if call.required("protocol").lower() == "all" and call.text("startport"):
        raise errors.invalid(
            f"Unable to create firewall rule for the network id=[{network.number}] due to: ports must not be informed "
            "to protocol ALL, as it does not require them."
        )
    if network.vpc is not None:
        raise errors.invalid(
            f"Unable to create firewall rule for the network id=[{network.number}] as firewall egress rule can be "
            "created only for non VPC networks."
        )
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="Egress",
        network=network,
        protocol=protocol(call, EGRESS_PROTOCOLS),
        ports=ports(call),
        icmp=icmp(call),
        cidrs=sources,
        destinations=destinations,
    )
    return creation(call, rule, "firewallrule", firewall_view)


def _sources(call: Call, network: Network) -> tuple[str, ...]:
    """Return where egress may come from: parts of the network, or everywhere."""
    sources = cidrs(call, "cidrlist")
    for cidr in sources:
        if cidr not in ANYWHERE and not IPv4Network(cidr, strict=False).subnet_of(IPv4Network(network.cidr)):
            raise errors.malformed(f"[{cidr}] is not within the guest CIDR [{network.cidr}]. ")
    return sources or (network.cidr,)


def create_port_forwarding(call: Call) -> Task:
    sources = call.items("cidrlist")
    for cidr in sources:
        if not is_cidr(cidr):
            raise errors.invalid(f"The given source CIDR [{cidr}] is invalid")
    address = own_address(call, "ipaddressid")
    opens = _opens(call, address)
    machine = call.target("virtualmachineid", Machine, "Unable to create port forwarding rule, invalid vm id {id}")
    network = network_of(address, call.entity("networkid", Network))
    if address.static_nat is not None:
        raise errors.invalid(f"Unable to create port forwarding rule; ip id={address.number} has static nat enabled")
    kind = protocol(call, ("tcp", "udp"))
    public, private = _forwarded_ports(call)
    if machine.state in ("Destroyed", "Expunging"):
        raise errors.invalid(f"Invalid user vm: {machine.number}")
    if machine.network is not network:
        raise errors.invalid("Vm doesn't belong to network associated with ipAddress")
    if call.text("vmguestip") not in (None, "", machine.nic.ip):
        raise errors.invalid("IP Address is not in the VM nic's network ")
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose="PortForwarding",
        network=network,
        address=address,
        protocol=kind,
        ports=public,
        private_ports=private,
        machine=machine,
        guest_ip=machine.nic.ip,
        cidrs=sources if address.vpc is not None else (),  # elsewhere the firewall says who may
    )
    companion = opening(rule) if opens else None
    return creation(call, rule, "portforwardingrule", forwarding_view, companion)


def _forwarded_ports(call: Call) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return public and private ports; ranges must be equal, single ports may differ. Nobody checks private ones."""
    public = port_range(call, "publicport", "publicendport")
    private = port_range(call, "privateport", "privateendport", most=None)
    if public[1] - public[0] != private[1] - private[0]:
        raise errors.invalid("Source port and destination port ranges should be of equal sizes.")
    if public[0] != public[1] and public != private:
        raise errors.invalid("Private port start should be equal to public port start")
    return public, private


def _opens(call: Call, address: Address) -> bool:
    """Return whether a firewall rule comes with the forwarding rule: unless openfirewall=false, or in a VPC."""
    if address.vpc is not None and call.flag("openfirewall"):
        raise errors.invalid("Can't have openFirewall=true when IP address belongs to VPC")
    return address.vpc is None and call.flag("openfirewall", default=True)


def opening(rule: Rule) -> Rule:
    """Return the firewall rule that lets in what a forwarding or load-balancer rule passes on."""
    return Rule(
        uuid=new_id(),
        account=rule.account,
        purpose="Firewall",
        network=rule.network,
        address=rule.address,
        protocol=rule.protocol,
        ports=rule.ports,
        cidrs=ANYWHERE,
        companion_of=rule,
    )


def creation(call: Call, rule: Rule, name: str, view: View, companion: Rule | None = None) -> Task:
    """Check for conflicts and store the rule once it is its turn; the job brings it to the router."""
    zone = call.zone
    turn = await_turn(zone, rule.network, 1 if companion is None else 2)
    with turn.kept(), zone.lock:
        _refuse_gone(rule)
        refuse_conflict(zone, rule)
        zone.add(rule)
        if rule.address is not None:
            rule.address.network = rule.network
        if companion is not None:
            zone.add(companion)

    @turn.used()
    def run() -> Json:
        try:
            turn.spend()
            if rule.network.implement_tried:
                reprogram(zone, rule.network)
        except ApiError:
            with zone.lock:
                _forget(zone, rule)
            raise
        with zone.lock:
            rule.state = "Add" if rule.purpose == "LoadBalancing" else "Active"  # the server leaves it so
            if companion is not None:
                companion.state = "Active"
            return {name: view(zone, rule, call.caller.is_root)}

    return Task(run, rule, "FirewallRule", creates=True)


def _refuse_gone(rule: Rule) -> None:
    """Refuse a rule whose address or network went while it waited; call with the lock held."""
    address = rule.address
    if rule.network.removed:
        raise errors.invalid(f"Unable to find network by id={rule.network.number}")
    if address is not None and address.vpc is None and address.network is not rule.network:
        raise errors.invalid(f"Unable to find ip address by id={address.uuid}")


def _forget(zone: Zone, rule: Rule) -> None:
    """Remove a rule with its tags and the opening that came with it; call with the lock held."""
    for gone in (rule, *zone.rules_where(lambda other: other.companion_of is rule)):
        tags.drop_all(zone, gone.uuid)
        zone.remove(gone)
        if gone.address is not None:
            free_unused(zone, gone.address)


def deletion(purpose: str) -> Callable[[Call], Task]:
    """Return the command that deletes rules of one purpose."""

    def handler(call: Call) -> Task:
        rule = call.target("id", Rule, GONE)
        if rule.purpose != purpose:
            raise errors.unknown_entity(call.shape.name, "id", rule.uuid)
        turn = await_turn(call.zone, rule.network)

        @turn.used()
        def run() -> Json:
            turn.spend()
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
        address, mine = call.entity("ipaddressid", Address), call.scope()
        if address is not None and address.state != "Allocated":
            raise errors.invalid(f"Ip address id={address.number} not ready for {name}s yet")
        if address is not None and address.account is not None and not call.may_touch(address.account):
            raise errors.no_permission()
        newest_first = reversed(call.zone.rules)
        chosen = [r for r in newest_first if r.purpose == purpose and mine(r.account) and _matches(call, r)]
        rows = [view(call.zone, rule, call.caller.is_root) for rule in chosen]
        return call.listing(name, rows)

    return handler


def _matches(call: Call, rule: Rule) -> bool:
    exactly = {
        "id": rule.uuid,
        "ipaddressid": rule.address.uuid if rule.address else None,
        "networkid": rule.network.uuid,
    }
    return fits(call, exactly, flags={"fordisplay": True}) and tags.carries(call, rule.uuid)


COMMANDS = {
    "createFirewallRule": create_firewall_rule,
    "deleteFirewallRule": deletion("Firewall"),
    "listFirewallRules": _listing("Firewall", "firewallrule", firewall_view),
    "createEgressFirewallRule": create_egress_rule,
    "deleteEgressFirewallRule": deletion("Egress"),
    "listEgressFirewallRules": _listing("Egress", "firewallrule", firewall_view),
    "createPortForwardingRule": create_port_forwarding,
    "deletePortForwardingRule": deletion("PortForwarding"),
    "listIpForwardingRules": _listing("StaticNat", "ipforwardingrule", forwarding_view),  # none: nothing creates them
    "listPortForwardingRules": _listing("PortForwarding", "portforwardingrule", forwarding_view),
}
