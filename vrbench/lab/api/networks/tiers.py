"""What makes a network a tier: its place among the VPC's addresses, and its ACL."""

from __future__ import annotations

from ipaddress import IPv4Network

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import AclList, Vpc

DEFAULT_ACL = "default_deny"


def check_tier(call: Call, vpc: Vpc, cidr: IPv4Network, domain_name: str | None) -> None:
    """Check that a tier lies inside the VPC's CIDR, beside the other tiers, and in the VPC's domain."""
    if not cidr.subnet_of(IPv4Network(vpc.cidr, strict=False)):
        raise errors.invalid(f"Network cidr {cidr} is not within vpc {vpc.name} cidr")
    for other in call.zone.networks_of(vpc):
        if cidr.overlaps(IPv4Network(other.cidr)):
            raise errors.invalid(
                f"Network cidr {cidr} crosses other network cidr {other.name} belonging to the same vpc {vpc.name}"
            )
    if domain_name is not None and domain_name.lower() != vpc.domain_name.lower():
        raise errors.invalid(f"Network domain of the new network should match network domain of vpc {vpc.name}")


def tier_acl(call: Call, vpc: Vpc) -> AclList:
    """Return the ACL asked for, or the one that lets nothing in."""
    acl = call.entity("aclid", AclList)
    if acl is None:
        return next(acl for acl in call.zone.acl_lists if acl.name == DEFAULT_ACL and acl.vpc is None)
    if acl.removed:
        raise errors.invalid("Unable to find specified NetworkACL")
    if acl.vpc not in (None, vpc):
        raise errors.invalid(f"ACL: {acl.uuid} do not belong to the VPC")
    return acl
