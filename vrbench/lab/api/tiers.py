"""What makes a network a tier: its place among the VPC's addresses, and its ACL."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from vrbench.lab.api import errors
from vrbench.lab.api.call import Call
from vrbench.lab.api.records import AclList, Vpc

DEFAULT_ACL = "default_deny"


def tier_addresses(call: Call, vpc: Vpc) -> tuple[IPv4Network, IPv4Address]:
    """The tier's CIDR and gateway, inside the VPC's CIDR and beside the other tiers."""
    gateway, netmask = call.text("gateway"), call.text("netmask")
    if gateway is None or netmask is None:
        raise errors.invalid("gateway/netmask are required when create network in VPC")
    try:
        cidr = IPv4Network(f"{gateway}/{netmask}", strict=False)
    except ValueError:
        raise errors.invalid("Invalid gateway or netmask") from None
    if not cidr.subnet_of(IPv4Network(vpc.cidr)):
        raise errors.invalid(f"Network CIDR {cidr} is not within vpc CIDR {vpc.cidr}")
    for other in call.zone.networks_of(vpc):
        if cidr.overlaps(IPv4Network(other.cidr)):
            raise errors.invalid(f"Network CIDR {cidr} crosses with network {other.name} of the vpc")
    return cidr, IPv4Address(gateway)


def tier_acl(call: Call, vpc: Vpc) -> AclList:
    """The ACL asked for, or the one that lets nothing in."""
    acl = call.entity("aclid", AclList)
    if acl is None:
        return next(acl for acl in call.zone.acl_lists if acl.name == DEFAULT_ACL and acl.vpc is None)
    if acl.removed:
        raise errors.invalid("Unable to find specified ACL")
    if acl.vpc not in (None, vpc):
        raise errors.invalid(f"ACL: {acl.uuid} do not belong to the VPC")
    return acl
