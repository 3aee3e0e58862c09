"""Network ACLs: the lists of a VPC, and the rules in them.

A list or rule is judged when it is made; whether one may be changed or deleted is judged in the job.
"""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.request.filters import fits
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import AclList, AclRule, Json, Network, Vpc
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone, new_id
from vrbench.lab.api.vpcs.acl_rules import new_rule
from vrbench.lab.api.vpcs.commands import GONE as VPC_GONE


def create_list(call: Call) -> Task:
    zone = call.zone
    vpc = call.target("vpcid", Vpc, VPC_GONE) if call.text("vpcid") else None
    if vpc is None and not call.caller.is_root:
        raise ApiError(531, "Only Root Admin can create global ACLs.", errors.DENIED)
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
    """Answer listNetworkACLLists: newest first, the caller's own and those that everybody has."""
    chosen = [acl for acl in reversed(call.zone.acl_lists) if acl in _seen(call) and _matches_list(call, acl)]
    return call.listing("networkacllist", [_list_view(acl, call.caller.is_root) for acl in chosen])


def _seen(call: Call) -> list[AclList]:
    """Return the lists of the VPC named, or of all whose VPCs are shown, and those without a VPC."""
    mine, vpc = call.scope(), call.entity("vpcid", Vpc)
    if vpc is not None:
        if vpc.removed:
            raise errors.invalid("Unable to find VPC")
        call.check_access(vpc)
    return [
        acl
        for acl in call.zone.acl_lists
        if acl.vpc is None or (mine(acl.vpc.account) if vpc is None else acl.vpc is vpc)
    ]


def _matches_list(call: Call, acl: AclList) -> bool:
    network = call.entity("networkid", Network)
    named = {"id": acl.uuid, "name": acl.name}
    fit = fits(call, named, {"keyword": f"{acl.name} {acl.description}"}, {"fordisplay": True})
    return fit and (network is None or network.acl is acl)


def _tiers(zone: Zone, acl: AclList) -> list[Network]:
    return [network for network in zone.networks if network.acl is acl]


def delete_list(call: Call) -> Task:
    acl = call.target("id", AclList)

    def run() -> Json:
        with call.zone.lock:
            _check_own(call, acl, "Default ACL cannot be removed")
            tiers = _tiers(call.zone, acl)
            if tiers:
                raise errors.internal(
                    f"ACL is still associated with {len(tiers)} tier(s). Cannot delete network ACL: {acl.uuid}"
                )
            for rule in _rules(call.zone, acl):
                tags.drop_all(call.zone, rule.uuid)
                call.zone.remove(rule)
            tags.drop_all(call.zone, acl.uuid)
            call.zone.remove(acl)
        return {"success": True}

    return Task(run, acl, "NetworkAcl", shows_instance=False)


def _check_own(call: Call, acl: AclList, default: str) -> None:
    """Check in a job whether the caller may change a list: nobody the built-in ones, only root those without a VPC."""
    if acl.default:
        raise errors.invalid(default)
    if not (call.caller.is_root if acl.vpc is None else call.may_touch(acl.vpc.account)):
        raise errors.no_permission_in_job()


def replace_list(call: Call) -> Task:
    """Answer replaceNetworkACLList: whether list and network go together is looked at in the job."""
    acl, network = call.target("aclid", AclList), call.entity("networkid", Network)

    def run() -> Json:
        if network is None:
            raise errors.invalid("Network id and private gateway can't be passed at the same time")
        if network.removed:
            raise errors.invalid("Unable to find specified Network")
        if network.vpc is None:
            raise errors.invalid(f"Network is not part of a VPC: {network.uuid}")
        if acl.vpc is not None and not call.may_touch(acl.vpc.account):
            raise errors.no_permission_in_job()
        if acl.vpc not in (None, network.vpc):
            raise errors.invalid(f"Network: {network.number} and ACL: {acl.uuid} do not belong to the same VPC")
        with call.zone.lock:
            network.acl = acl
        reprogram(call.zone, network)
        return {"success": True}

    return Task(run, network or acl, "Network", shows_instance=False)


def create_rule(call: Call) -> Task:
    zone, acl = call.zone, _list_for_rule(call)
    with zone.lock:
        rule = zone.add(new_rule(call, acl, [other.place for other in _rules(zone, acl)]))

    def run() -> Json:
        _apply(zone, acl)
        with zone.lock:
            rule.state = "Active"
            return {"networkacl": _rule_view(zone, rule, call.caller.is_root)}

    return Task(run, rule, "NetworkAclItem", shows_instance=False, creates=True)


def _list_for_rule(call: Call) -> AclList:
    """Return the list named, or that of the tier named; one that the caller may change."""
    acl = call.entity("aclid", AclList)
    network = call.entity("networkid", Network)
    if acl is None:
        if network is None:
            raise errors.invalid("Cannot create Network ACL Item. ACL Id or network Id is required")
        if network.acl is None:
            raise errors.invalid(f"Network: {network.uuid} does not belong to VPC")
        acl = network.acl
    if acl.default:
        raise errors.invalid("Default ACL cannot be modified")
    if acl.vpc is not None:
        call.check_access(acl.vpc)
    elif not call.caller.is_root:
        raise ApiError(531, "Only Root Admins can create rules for a global ACL.", errors.DENIED)
    return acl


def _rules(zone: Zone, acl: AclList) -> list[AclRule]:
    return [rule for rule in zone.acl_rules if rule.acl is acl]


def _apply(zone: Zone, acl: AclList) -> None:
    """Bring a changed list to the routers of every VPC in which a tier uses it."""
    for vpc in {network.vpc for network in _tiers(zone, acl) if network.state == "Implemented"}:
        if vpc is not None:
            reprogram(zone, vpc)


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
    """Answer listNetworkACLs: newest first, of the list or the tier named, else of all lists that are shown."""
    acl, network, zone = call.entity("aclid", AclList), call.entity("networkid", Network), call.zone
    if network is not None:
        acl = network.acl
        if acl is None:
            return {}
    if acl is not None and acl.vpc is not None:
        call.check_access(acl.vpc)
    seen = _seen(call) if acl is None else [acl]
    chosen = [rule for rule in reversed(zone.acl_rules) if rule.acl in seen and _matches_rule(call, rule)]
    return call.listing("networkacl", [_rule_view(zone, rule, call.caller.is_root) for rule in chosen])


def _matches_rule(call: Call, rule: AclRule) -> bool:
    exactly = {"id": rule.uuid, "traffictype": rule.traffic, "protocol": rule.protocol, "action": rule.action}
    return fits(call, exactly, flags={"fordisplay": True}) and tags.carries(call, rule.uuid)


def delete_rule(call: Call) -> Task:
    rule = call.target("id", AclRule)

    def run() -> Json:
        with call.zone.lock:
            if rule.removed:
                raise errors.internal("Failed to delete network ACL Item")
            _check_own(call, rule.acl, "ACL Items in default ACL cannot be deleted")
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
