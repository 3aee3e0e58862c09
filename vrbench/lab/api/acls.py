"""Network ACLs: the lists of a VPC, and the rules in them."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api import errors, tags
from vrbench.lab.api.call import Call, Task
from vrbench.lab.api.catalog import select
from vrbench.lab.api.errors import ApiError
from vrbench.lab.api.networks import GONE as NETWORK_GONE
from vrbench.lab.api.records import AclList, AclRule, Json, Network, Vpc
from vrbench.lab.api.rule_params import cidrs, icmp, ports
from vrbench.lab.api.ruleset import reprogram
from vrbench.lab.api.vpcs import GONE as VPC_GONE
from vrbench.lab.api.zone import Zone, new_id

LIST_GONE = "Unable to find specified ACL"
RULE_GONE = "Unable to find network ACL item"
PROTOCOLS = ("tcp", "udp", "icmp", "all")
ACTIONS = {"allow": "Allow", "deny": "Deny"}
DIRECTIONS = {"ingress": "Ingress", "egress": "Egress"}


def create_list(call: Call) -> Task:
    zone, vpc = call.zone, call.target("vpcid", Vpc, VPC_GONE)
    description = call.text("description") or ""
    acl = AclList(uuid=new_id(), name=call.required("name"), description=description, vpc=vpc)
    with zone.lock:
        zone.add(acl)

    def run() -> Json:
        with zone.lock:
            return {"networkacllist": _list_view(acl, call.caller.is_root)}

    return Task(run, acl, "NetworkAcl", shows_instance=False, creates=True)


def _list_view(acl: AclList, as_root: bool) -> Json:
    body: Json = {"id": acl.uuid, "name": acl.name}
    if acl.description:
        body["description"] = acl.description
    if acl.vpc is not None:
        body |= {"vpcid": acl.vpc.uuid, "vpcname": acl.vpc.name}
    return body | ({"fordisplay": True} if as_root else {})


def list_lists(call: Call) -> Json:
    """listNetworkACLLists: the caller's own and the two that everybody has."""
    mine, zone = call.scope(), call.zone
    vpc, network = call.entity("vpcid", Vpc), call.entity("networkid", Network)
    chosen = [acl for acl in zone.acl_lists if acl.vpc is None or mine(acl.vpc.account)]
    chosen = [acl for acl in chosen if vpc in (None, acl.vpc) and network in (None, *_tiers(zone, acl))]
    return call.listing("networkacllist", select(call, [_list_view(acl, call.caller.is_root) for acl in chosen]))


def _tiers(zone: Zone, acl: AclList) -> list[Network]:
    return [network for network in zone.networks if network.acl is acl]


def delete_list(call: Call) -> Task:
    acl = _own_list(call, "id")

    def run() -> Json:
        with call.zone.lock:
            tiers = _tiers(call.zone, acl)
            if tiers:
                names = f"with Id: {tiers[0].uuid}"
                raise errors.invalid(f"ACL is still associated with {len(tiers)} tiers, the first {names}")
            for rule in _rules(call.zone, acl):
                call.zone.remove(rule)
            call.zone.remove(acl)
        return {"success": True}

    return Task(run, acl, "NetworkAcl", shows_instance=False)


def _own_list(call: Call, param: str) -> AclList:
    """A list that the caller may change; the two built-in ones nobody may."""
    acl = call.target(param, AclList, LIST_GONE)
    if acl.vpc is None:
        raise errors.invalid("Default ACL cannot be modified")
    call.check_access(acl.vpc)
    return acl


def replace_list(call: Call) -> Task:
    acl, network = call.target("aclid", AclList, LIST_GONE), call.target("networkid", Network, NETWORK_GONE)
    if network.vpc is None or acl.vpc not in (None, network.vpc):
        raise errors.invalid("private gateway and network: the ACL and the network are not of one VPC")

    def run() -> Json:
        with call.zone.lock:
            network.acl = acl
        reprogram(call.zone, network)
        return {"success": True}

    return Task(run, network, "Network", shows_instance=False)


def create_rule(call: Call) -> Task:
    zone, acl = call.zone, _list_for_rule(call)
    rule = _new_rule(call, acl)
    with zone.lock:
        if any(other.place == rule.place for other in _rules(zone, acl)):
            raise errors.invalid(f"ACL item with number {rule.place} already exists in ACL: {acl.uuid}")
        zone.add(rule)

    def run() -> Json:
        _apply(zone, acl)
        with zone.lock:
            rule.state = "Active"
            return {"networkacl": _rule_view(zone, rule, call.caller.is_root)}

    return Task(run, rule, "NetworkAclItem", shows_instance=False, creates=True)


def _list_for_rule(call: Call) -> AclList:
    """The list named, or that of the tier named."""
    if call.text("aclid") is not None:
        return _own_list(call, "aclid")
    network = call.target("networkid", Network, NETWORK_GONE)
    if network.acl is None:
        raise errors.invalid("Cannot create Network ACL Item. ACL Id or network Id is required")
    if network.acl.vpc is None:
        raise errors.invalid("Default ACL cannot be modified")
    return network.acl


def _new_rule(call: Call, acl: AclList) -> AclRule:
    protocol = (call.text("protocol") or "").lower()
    if protocol not in PROTOCOLS:
        raise errors.invalid(f"Invalid protocol: {call.text('protocol')}")
    action = ACTIONS.get((call.text("action") or "allow").lower())
    if action is None:
        raise errors.invalid(f"Invalid action: {call.text('action')}. Allowed actions are: Allow, Deny")
    place = call.number("number")
    if place is not None and place < 1:
        raise errors.invalid(f"Invalid number: {place}. Number cannot be < 1")
    with call.zone.lock:
        last = max((rule.place for rule in _rules(call.zone, acl)), default=0)
    return AclRule(
        uuid=new_id(),
        acl=acl,
        place=last + 1 if place is None else place,
        protocol=protocol,
        traffic=_direction(call),
        action=action,
        cidrs=cidrs(call, "cidrlist") or ("0.0.0.0/0",),
        ports=ports(call),
        icmp=icmp(call),
        reason=call.text("reason") or "",
    )


def _direction(call: Call) -> str:
    wanted = (call.text("traffictype") or "ingress").lower()
    if wanted not in DIRECTIONS:
        raise errors.invalid(f"Invalid traffic type: {call.text('traffictype')}")
    return DIRECTIONS[wanted]


def _rules(zone: Zone, acl: AclList) -> list[AclRule]:
    return [rule for rule in zone.acl_rules if rule.acl is acl]


def _apply(zone: Zone, acl: AclList) -> None:
    """Bring a changed list to the routers of its VPC, when a tier there uses it."""
    if acl.vpc is not None and any(network.state == "Implemented" for network in _tiers(zone, acl)):
        reprogram(zone, acl.vpc)


def _rule_view(zone: Zone, rule: AclRule, as_root: bool) -> Json:
    body: Json = {"id": rule.uuid, "protocol": rule.protocol}
    if rule.ports is not None:
        body |= {"startport": str(rule.ports[0]), "endport": str(rule.ports[1])}
    body |= {"traffictype": rule.traffic, "state": rule.state, "cidrlist": ",".join(rule.cidrs)}
    if rule.icmp is not None:
        body |= {"icmptype": rule.icmp[0], "icmpcode": rule.icmp[1]}
    body |= {
        "tags": tags.shown(zone, rule.uuid),
        "aclid": rule.acl.uuid,
        "aclname": rule.acl.name,
        "number": rule.place,
        "action": rule.action,
    }
    return body | ({"reason": rule.reason} if rule.reason else {}) | ({"fordisplay": True} if as_root else {})


def list_rules(call: Call) -> Json:
    """listNetworkACLs: in the order in which they are looked at."""
    mine, zone = call.scope(), call.zone
    acl, network = call.entity("aclid", AclList), call.entity("networkid", Network)
    chosen = [rule for rule in zone.acl_rules if rule.acl.vpc is None or mine(rule.acl.vpc.account)]
    chosen = [rule for rule in chosen if acl in (None, rule.acl) and (network is None or network.acl is rule.acl)]
    rows = [_rule_view(zone, rule, call.caller.is_root) for rule in sorted(chosen, key=lambda rule: rule.place)]
    rows = select(call, rows, traffictype="traffictype", protocol="protocol", action="action")
    return call.listing("networkacl", rows)


def delete_rule(call: Call) -> Task:
    rule = call.target("id", AclRule, RULE_GONE)
    if rule.acl.vpc is None:
        raise errors.invalid("Default ACL cannot be modified")
    call.check_access(rule.acl.vpc)

    def run() -> Json:
        with call.zone.lock:
            if rule.removed:
                raise ApiError(431, RULE_GONE, 4350)
            tags.drop_all(call.zone, rule.uuid)
            call.zone.remove(rule)
        _apply(call.zone, rule.acl)
        return {"success": True}

    return Task(run, rule, "NetworkAclItem", shows_instance=False)


COMMANDS: dict[str, Callable[[Call], Json | Task]] = {
    "createNetworkACLList": create_list,
    "listNetworkACLLists": list_lists,
    "deleteNetworkACLList": delete_list,
    "replaceNetworkACLList": replace_list,
    "createNetworkACL": create_rule,
    "listNetworkACLs": list_rules,
    "deleteNetworkACL": delete_rule,
}
