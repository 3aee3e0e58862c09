"""Whom the firewall lets in: this machine, as the way to the public addresses shows it, and whom the profile names.

The API tells nobody by which address it sees him. So behind an address translation the operator has to say it. From
where somebody last logged in to the web interface is a hint, which the server's events keep.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.errors import CloudError
from vrbench.core.findings import Blame, Findings
from vrbench.core.text import some
from vrbench.core.values import AUTO
from vrbench.route import NoWay, Way, has_ipv4, has_ipv6, way_to

_PRIVATE = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
_MANY = 256  # addresses that may be let in without a word
_SMALL_MTU = 1280
_SHOWN = 3
_LOGIN = re.compile(r"logged in from IP Address /?([0-9.]{7,15})\b")
_NAMED = "set environment.source_cidr to the address that the outside sees, as a.b.c.d/32"
_FIND_IT = (
    f"{_NAMED}. Find it from here: curl -4 https://ifconfig.co, or log in to a machine near the cloud and look at "
    "$SSH_CLIENT there"
)


def allowed_source(configured: str, towards: str) -> str:
    """Return the CIDRs to open for: the configured ones, and for "auto" this machine's address on its way, as a /32.

    Asks the routing table only; no packet leaves. Behind address translation the cloud sees another address: then it
    has to be configured.
    """
    return ",".join(_opened(cidr, towards) for cidr in configured.split(","))


def _opened(cidr: str, towards: str) -> str:
    if cidr != AUTO:
        return cidr
    source = own_address(towards)
    if is_translated(source, towards):
        raise CloudError(f"{_translated(source, towards)}: {_FIND_IT}")
    return f"{source}/32"


def own_address(towards: str) -> str:
    """Return this machine's address on its way to another. Raises CloudError where there is no way."""
    try:
        return way_to(towards).source
    except NoWay as reason:
        raise CloudError(
            f"this machine has no way to {towards} ({reason}), so its address can't be told: set "
            "environment.source_cidr to it, as a.b.c.d/32"
        ) from None


def is_translated(source: str, towards: str) -> bool:
    """Return whether an address translation lies between: ``source`` is private and ``towards`` is not."""
    address = ipaddress.ip_address(source)
    return any(address in network for network in _PRIVATE) and ipaddress.ip_address(towards).is_global


def _translated(source: str, towards: str) -> str:
    return f"this machine reaches {towards} from the private address {source}, so the cloud sees another one"


def check_source(configured: str, public: Sequence[str], cloud: Cloud, found: Findings) -> None:
    """Look which way this machine goes to public addresses of the zone, and whether the firewall will let it in.

    ``public`` are those that the network may get; where none is shown, the way to the API has to do, which may differ.
    """
    _check_many(configured, found)
    ways = _Ways.to(public)
    if not ways.there and not has_ipv4():
        _without_ipv4(found)
    elif public:
        _check_ways(ways, len(public), found)
        _check_let_in(configured, ways, cloud, found)
    elif AUTO in configured.split(","):
        _check_way_to_api(cloud, found)


@dataclass(frozen=True, slots=True)
class _Ways:
    """To which addresses there is a way, and why not to others."""

    there: dict[str, Way]
    none: dict[str, str]

    @classmethod
    def to(cls, addresses: Iterable[str]) -> _Ways:
        found = cls({}, {})
        for address in addresses:
            try:
                found.there[address] = way_to(address)
            except NoWay as reason:
                found.none[address] = str(reason)
        return found


def _check_many(configured: str, found: Findings) -> None:
    """Tell whoever opens the network to the world, or to a good part of it, that this is so."""
    for cidr in configured.split(","):
        if cidr != AUTO and (size := ipaddress.ip_network(cidr).num_addresses) > _MANY:
            seen = (
                f"environment.source_cidr {cidr} lets {size} addresses in, to SSH and ICMP of every VM, while the run"
            )
            found.warn("source", f"{seen} lasts", "'auto' lets in this machine only")


def _without_ipv4(found: Findings) -> None:
    has = "only IPv6" if has_ipv6() else "no network"
    seen = f"this machine has {has}, and needs IPv4 to the public addresses, which all probes go to"
    found.bad("route", seen, "run vrbench on a machine with an IPv4 address, or give this one one", Blame.OURS)


def _check_ways(ways: _Ways, asked: int, found: Findings) -> None:
    """Stop where no public address can be reached; one of a range that can't may never be taken."""
    if ways.none:
        address, reason = next(iter(ways.none.items()))
        seen = f"this machine has no way to {len(ways.none)} of {some(asked, 'public address', 'public addresses')} "
        seen += f"that the network may get, such as {address}: {reason}"
        cure = "add a route to them here, or run vrbench on a machine that has one"
        if ways.there:
            found.warn("route", seen, cure)
        else:
            found.bad("route", seen, cure, Blame.OURS)
    small = min((way.mtu for way in ways.there.values()), default=_SMALL_MTU)
    if small < _SMALL_MTU:
        seen = f"packets to the public addresses may have {small} bytes only, as in some tunnels"
        found.warn("route", seen, "SSH to VMs may hang: raise the interface's MTU, or go another way")


def _check_let_in(configured: str, ways: _Ways, cloud: Cloud, found: Findings) -> None:
    """Look whether the firewall will let this machine in, as far as its own side tells."""
    named = [ipaddress.ip_network(cidr) for cidr in configured.split(",") if cidr != AUTO]
    automatic = AUTO in configured.split(",")
    sources = {way.source: address for address, way in reversed(ways.there.items())}
    for source, address in sources.items():
        translated = is_translated(source, address)
        if automatic and translated:
            _refuse_translated(source, address, cloud, found)
            return
        # Behind a translation the outer address is named, which nobody here knows.
        if not (automatic or translated or any(ipaddress.ip_address(source) in network for network in named)):
            seen = f"environment.source_cidr {configured} leaves out {source}, this machine's address to {address}"
            cure = "add it, unless an address translation lies between and the outer address is named"
            found.warn("source", seen, cure)
            return
    if sources:
        shown = ", ".join(sorted(sources)[:_SHOWN]) if automatic else configured
        found.ok("source", f"SSH and ICMP of the VMs are opened for {shown} only")


def _refuse_translated(source: str, address: str, cloud: Cloud, found: Findings) -> None:
    seen = logged_in_from(cloud)
    hint = f". Your account last logged in to the web interface from {seen}, which it may be" if seen else ""
    found.bad("source", _translated(source, address), _FIND_IT + hint, Blame.OURS)


def logged_in_from(cloud: Cloud) -> str:
    """Return from which public address the account last logged in to the web interface; "" where nobody tells."""
    try:
        event = cloud.first("listEvents", "event", type="USER.LOGIN") or {}
    except CloudError:
        return ""
    told = _LOGIN.search(str(event.get("description") or ""))
    try:
        return told[1] if told and ipaddress.ip_address(told[1]).is_global else ""
    except ValueError:
        return ""


def _check_way_to_api(cloud: Cloud, found: Findings) -> None:
    """Where no public address is shown: a private address on the way to a public API is translated somewhere."""
    address = _address_of(cloud.endpoint)
    try:
        source = way_to(address).source if address else ""
    except NoWay:
        source = ""
    if source and is_translated(source, address):
        _refuse_translated(source, address, cloud, found)


def _address_of(endpoint: str) -> str:
    """Return the IPv4 address of the API; "" where it has none, or its name means nothing here."""
    try:
        found = socket.getaddrinfo(urlsplit(endpoint).hostname, None, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, ValueError):
        return ""
    return str(found[0][4][0])
