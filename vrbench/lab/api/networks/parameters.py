"""What createNetwork and updateNetwork may say of a network: its addresses, its resolvers, its name, its options."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import BuiltIn

WIDEST = 22  # the widest network that anybody but root may have (network.guest.cidr.limit)
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
LABEL = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
MAX_DOMAIN = 190
DOTTED = re.compile(r"\d+(\.\d+){3}")
BAD_DOMAIN = (
    "Invalid network domain. Total length shouldn't exceed 190 chars. Each domain label must be between 1 and 63 "
    "characters long, can contain ASCII letters 'a' through 'z', the digits '0' through '9', and the hyphen ('-'); "
    'can\'t start or end with "-"'
)
IPV6 = ("ip6gateway", "ip6cidr", "startipv6", "endipv6")


def check_options(call: Call, offering: BuiltIn) -> None:
    """Refuse what an isolated network can't have; what only root may say is not even read of others."""
    as_root = call.caller.is_root
    acl_type = call.text("acltype")
    if acl_type and acl_type.lower() not in ("account", "domain"):
        raise errors.invalid("Incorrect aclType specified. Check the API documentation for supported types")
    if acl_type and acl_type.lower() != "account":
        raise errors.invalid("AclType should be Account for network of type Isolated")
    if as_root and (call.text("routerip") or call.text("routeripv6")):
        raise errors.invalid("Router IP can be specified only for Shared networks")
    if call.text("subdomainaccess"):
        raise errors.invalid("Parameter subDomainAccess can be specified only with aclType=Domain")
    if any(call.text(name) for name in IPV6):
        raise errors.invalid("Can only support create IPv6 network with advance shared network!")
    if call.text("isolatedpvlan"):
        raise errors.invalid("Can only support create Private VLAN network with advanced shared or L2 network!")
    if offering.body["specifyvlan"] and not as_root:
        raise errors.invalid("Only ROOT admin is allowed to specify vlanId or bypass vlan overlap check")
    if as_root and call.text("vlan") and not offering.body["specifyvlan"]:
        raise errors.invalid("Can't specify vlan; corresponding offering says specifyVlan=false")
    if call.text("cidrsize"):
        raise errors.invalid("network cidr size is only applicable for Isolated networks with ROUTED mode")
    if call.text("associatednetworkid"):
        raise errors.invalid("Can only create Shared network with associated network if specifyVlan is false")


def subnet(call: Call) -> tuple[IPv4Network, IPv4Address] | None:
    """Return CIDR and gateway as asked for; None when they aren't both there."""
    gateway, netmask = _gateway(call), call.text("netmask")
    _check_range(call)
    if gateway is None or not netmask:
        return None
    try:
        cidr = IPv4Network(f"{gateway}/{netmask}", strict=False)
        if "." not in netmask:
            raise ValueError(netmask)
    except ValueError:
        if not DOTTED.fullmatch(netmask):
            raise errors.internal("Incorrect number") from None
        raise errors.invalid("Invalid netmask") from None
    if gateway in (cidr.network_address, cidr.broadcast_address):
        raise errors.invalid("Invalid gateway IP provided. Either the IP is broadcast or network IP.")
    if cidr.prefixlen < WIDEST and not call.caller.is_root:
        raise errors.invalid(f"Cidr size can't be less than {WIDEST}")
    return cidr, gateway


def _gateway(call: Call) -> IPv4Address | None:
    wanted = call.text("gateway")
    if not wanted:
        return None
    try:
        return IPv4Address(wanted)
    except AddressValueError:
        raise errors.invalid("Gateway parameter is invalid") from None


def _check_range(call: Call) -> None:
    """Check a range of addresses: it means nothing to a network with source NAT, but it must be one."""
    for name, shown in (("startip", "startIp"), ("endip", "endIp")):
        text = call.text(name)
        if text and not is_address(text):
            raise errors.invalid(f"Invalid format for the {shown} parameter")
    if call.text("startip") and not (call.text("gateway") and call.text("netmask")):
        raise errors.invalid("gateway and netmask should be defined when startIP/endIP are passed in")


def is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def check_private(cidr: IPv4Network) -> None:
    if not any(cidr.subnet_of(private) for private in PRIVATE):
        raise errors.invalid(f"Virtual Guest Cidr {cidr} is not RFC 1918 or 6598 compliant")


def resolvers(call: Call) -> tuple[str, ...]:
    """Return the resolvers asked for; none for the zone's own."""
    if call.text("ip6dns1") or call.text("ip6dns2"):
        raise errors.invalid("IPv6 DNS cannot be specified for IPv4 only network")
    first, second = call.text("dns1") or "", call.text("dns2") or ""
    for text, name in ((first, "DNS1"), (second, "DNS2")):
        if text and not is_address(text):
            raise errors.invalid(f"Invalid IPv4 {name} provided: {text}")
    if second and not first:
        raise errors.invalid("Second IPv4 DNS can be specified only with the first IPv4 DNS")
    return tuple(text for text in (first, second) if text)


def domain_name(call: Call) -> str | None:
    """Return the network domain asked for."""
    name = call.text("networkdomain")
    if name and (len(name) > MAX_DOMAIN or not all(LABEL.fullmatch(label) for label in name.split("."))):
        raise errors.invalid(BAD_DOMAIN)
    return name
