"""What kind of thing each parameter's id must be of; any other id is as good as none, and refused as unknown."""

from __future__ import annotations

from collections.abc import Callable

from vrbench.lab.api.state.entities import (
    Account,
    AclList,
    AclRule,
    Address,
    BuiltIn,
    Domain,
    Entity,
    Event,
    Job,
    Machine,
    Network,
    Project,
    Router,
    Rule,
    UserData,
    Vpc,
)

Test = Callable[[Entity], bool]


def _any_of(*kinds: type[Entity]) -> Test:
    return lambda entity: isinstance(entity, kinds)


def _built_in(kind: str) -> Test:
    return lambda entity: isinstance(entity, BuiltIn) and entity.kind == kind


def _network(entity: Entity) -> bool:
    """Return whether it is a guest network, or one of the zone's own."""
    return isinstance(entity, Network) or _built_in("network")(entity)


PARAMS: dict[str, Test] = {
    "zoneid": _built_in("zone"),
    "hostid": _built_in("host"),
    "podid": _built_in("pod"),
    "clusterid": _built_in("cluster"),
    "networkofferingid": _built_in("networkoffering"),
    "serviceofferingid": _built_in("serviceoffering"),
    "vpcofferingid": _built_in("vpcoffering"),
    "templateid": _built_in("template"),
    "physicalnetworkid": _built_in("physicalnetwork"),
    "vlanid": _built_in("vlan"),
    "networkid": _network,
    "associatednetworkid": _any_of(Network),
    "vpcid": _any_of(Vpc),
    "aclid": _any_of(AclList),
    "ipaddressid": _any_of(Address),
    "virtualmachineid": lambda entity: isinstance(entity, Machine | Router) or _built_in("systemvm")(entity),
    "routerid": _any_of(Router),
    "domainid": _any_of(Domain),
    "parentdomainid": _any_of(Domain),
    "projectid": _any_of(Project),
    "storageid": _built_in("storagepool"),
    "volumeid": _built_in("volume"),
    "userdataid": _any_of(UserData),
    "ostypeid": _built_in("ostype"),
    "jobid": _any_of(Job),
}
IDS: dict[str, Test] = {
    "listVirtualMachines": _any_of(Machine),
    "listNetworks": _network,
    "listPublicIpAddresses": _any_of(Address),
    "listRouters": _any_of(Router),
    "listVPCs": _any_of(Vpc),
    "listFirewallRules": _any_of(Rule),
    "listEgressFirewallRules": _any_of(Rule),
    "listPortForwardingRules": _any_of(Rule),
    "listIpForwardingRules": _any_of(Rule),
    "listNetworkACLs": _any_of(AclRule),
    "listNetworkACLLists": _any_of(AclList),
    "listAccounts": _any_of(Account),
    "listProjects": _any_of(Project),
    "listDomains": _any_of(Domain),
    "listDomainChildren": _any_of(Domain),
    "listEvents": _any_of(Event),
    "listZones": _built_in("zone"),
    "listHosts": _built_in("host"),
    "listPods": _built_in("pod"),
    "listClusters": _built_in("cluster"),
    "listNetworkOfferings": _built_in("networkoffering"),
    "listServiceOfferings": _built_in("serviceoffering"),
    "listVPCOfferings": _built_in("vpcoffering"),
    "listVolumes": _built_in("volume"),
    "listStoragePools": _built_in("storagepool"),
    "listImageStores": _built_in("imagestore"),
    "listPhysicalNetworks": _built_in("physicalnetwork"),
    "listSecurityGroups": _built_in("securitygroup"),
    "listOsCategories": _built_in("oscategory"),
    "listUserData": _any_of(UserData),
    "listTemplates": _built_in("template"),
    "listVlanIpRanges": _built_in("vlan"),
}  # the parameter "id" of commands that only look; the others look at it themselves


def names_such(command: str, param: str, found: Entity | None) -> bool:
    """Return whether what a parameter names exists, or once did, and is of the kind that the parameter is for."""
    if found is None:
        return False
    test = IDS.get(command) if param == "id" else PARAMS.get(param)
    return test is None or test(found)
