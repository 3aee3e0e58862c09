"""Load-balancer rules: one public port, spread over several VMs by the router."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.addresses.commands import network_of, own_address
from vrbench.lab.api.machines.view import machine_view
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.responses import owner_fields
from vrbench.lab.api.request.rule_params import cidrs
from vrbench.lab.api.request.selection import select
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.rules.commands import GONE, creation, deletion, opening
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json, Machine, Network, Rule
from vrbench.lab.api.state.zone import Zone, new_id

PURPOSE = "LoadBalancing"
ALGORITHMS = ("roundrobin", "leastconn", "source")
PORTS = range(65536)


def create(call: Call) -> Task:
    """Answer createLoadBalancerRule: it stays in state Add until there is a VM to send anything to."""
    if call.text("publicipid") is None:
        raise errors.invalid("Can't define IP owner. Either specify account/domainId or publicIpId")
    address = own_address(call, "publicipid")
    network = network_of(address, call.entity("networkid", Network))
    public, private = _port(call, "publicPort"), _port(call, "privatePort")
    if address.static_nat is not None:
        raise errors.invalid(f"Can't do load balance on ip address: {address.ip}")
    opens = address.vpc is None and call.flag("openfirewall", default=True)
    rule = Rule(
        uuid=new_id(),
        account=network.account,
        purpose=PURPOSE,
        network=network,
        address=address,
        protocol=(call.text("protocol") or "tcp").lower(),  # nobody checks it
        ports=(public, public),
        private_ports=(private, private),
        cidrs=cidrs(call, "cidrlist"),
        name=call.required("name"),
        description=call.text("description") or "",
        algorithm=_algorithm(call),
    )
    return creation(call, rule, "loadbalancer", view, opening(rule) if opens else None)


def _port(call: Call, name: str) -> int:
    port = call.number(name.lower())
    if port is None or port not in PORTS:
        raise errors.malformed(f"{name} is an invalid value: {port}")
    return port


def _algorithm(call: Call) -> str:
    wanted = call.text("algorithm") or ""
    if wanted not in ALGORITHMS:
        raise errors.malformed(f"Invalid algorithm: {wanted}")
    return wanted


def view(zone: Zone, rule: Rule, as_root: bool) -> Json:
    """Return the body of one rule; call with the lock held."""
    site, address = zone.built_ins["zone"][0].body, rule.address
    described = {"description": rule.description} if rule.description else {}
    placed = {"publicipid": address.uuid, "publicip": address.ip} if address is not None else {}
    return {
        "id": rule.uuid,
        "name": rule.name,
        **described,
        **placed,
        "publicport": str((rule.ports or (0, 0))[0]),
        "privateport": str((rule.private_ports or (0, 0))[0]),
        "algorithm": rule.algorithm,
        "cidrlist": " ".join(rule.cidrs),
        **owner_fields(rule.account),
        "state": rule.state,
        "zoneid": site["id"],
        "zonename": site["name"],
        "protocol": rule.protocol,
        "networkid": rule.network.uuid,
        "tags": tags.shown(zone, rule.uuid),
        **({"fordisplay": True} if as_root else {}),
    }


def _rule(call: Call) -> Rule:
    rule = call.target("id", Rule, GONE)
    if rule.purpose != PURPOSE:
        raise errors.unknown_entity(call.shape.name, "id", rule.uuid)
    return rule


def list_rules(call: Call) -> Json:
    mine, machine = call.scope(), call.entity("virtualmachineid", Machine)
    chosen = call.zone.rules_where(lambda rule: rule.purpose == PURPOSE and mine(rule.account))
    chosen = [rule for rule in chosen if machine in (None, *rule.members) and tags.carries(call, rule.uuid)]
    rows = [view(call.zone, rule, call.caller.is_root) for rule in chosen]
    same = {name: name for name in ("publicipid", "networkid", "zoneid")}
    return call.listing("loadbalancerrule", select(call, rows, **same))


def list_instances(call: Call) -> Json:
    """Answer listLoadBalancerRuleInstances: the VMs, or with ``lbvmips`` each with the address that is used."""
    rule = _rule(call)
    rows = [machine_view(call.zone, machine, call.caller.is_root) for machine in rule.members]
    if not call.flag("lbvmips"):
        return call.listing("loadbalancerruleinstance", rows)
    paired = zip(rows, rule.members, strict=True)
    pairs = [{"loadbalancerruleinstance": row, "lbvmipaddresses": [machine.nic.ip]} for row, machine in paired]
    return call.listing("lbrulevmidip", pairs)


def _membership(step: Callable[[Rule, list[Machine]], None]) -> Callable[[Call], Task]:
    """Return a command whose job changes which VMs a rule has; the answer names no object."""

    def handler(call: Call) -> Task:
        rule = _rule(call)
        machines = _machines(call)

        def run() -> Json:
            with call.zone.lock:
                step(rule, machines)
                rule.state = "Active" if rule.members else "Add"
            if rule.network.implement_tried:
                reprogram(call.zone, rule.network)
            return {"success": True}

        return Task(run)

    return handler


def _machines(call: Call) -> list[Machine]:
    """Return the VMs named in ``virtualmachineids`` or in ``vmidipmap``; raises ApiError 431."""
    ids = [*call.items("virtualmachineids"), *(entry.get("vmid", "") for entry in call.entries("vmidipmap"))]
    found = []
    for uuid in ids:
        machine = call.zone.known(uuid)
        if not isinstance(machine, Machine):
            raise errors.unknown_entity(call.shape.name, "virtualmachineids", uuid)
        found.append(machine)
    return found


def _assign(rule: Rule, machines: list[Machine]) -> None:
    for machine in machines:
        if machine in rule.members:
            raise errors.invalid(f"VM {machine.number} is already mapped to load balancer.")
        if machine.removed or machine.state in ("Destroyed", "Expunging"):
            raise errors.invalid(f"Invalid instance id: {machine.number}")
        if machine.network is not rule.network:
            raise errors.invalid(f"VM {machine.uuid} cannot be added because it doesn't belong in the same network.")
    rule.members.extend(machines)


def _remove(rule: Rule, machines: list[Machine]) -> None:
    if not set(machines) <= set(rule.members):
        raise errors.invalid("Invalid instance id: the VM is not mapped to the load balancer")
    rule.members[:] = [machine for machine in rule.members if machine not in machines]


def update(call: Call) -> Task:
    """Answer updateLoadBalancerRule: its name, what is said of it, and how it chooses."""
    rule = _rule(call)

    def run() -> Json:
        with call.zone.lock:
            rule.algorithm = _algorithm(call) if call.text("algorithm") else rule.algorithm
            rule.name = call.text("name") or rule.name
            rule.description = call.text("description") or rule.description
        if rule.network.implement_tried:
            reprogram(call.zone, rule.network)
        with call.zone.lock:
            return {"loadbalancer": view(call.zone, rule, call.caller.is_root)}

    return Task(run, rule, "FirewallRule")


COMMANDS = {
    "createLoadBalancerRule": create,
    "updateLoadBalancerRule": update,
    "deleteLoadBalancerRule": deletion(PURPOSE),
    "listLoadBalancerRules": list_rules,
    "listLoadBalancerRuleInstances": list_instances,
    "assignToLoadBalancerRule": _membership(_assign),
    "removeFromLoadBalancerRule": _membership(_remove),
}
