"""Protocols, ports, ICMP types and CIDRs as rules take them."""

from __future__ import annotations

from ipaddress import IPv4Network

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.state import errors

MAX_PORT = 65535


def protocol(call: Call, allowed: tuple[str, ...]) -> str:
    """Return the protocol asked for, lower-cased."""
    wanted = call.required("protocol").lower()
    if wanted not in allowed:
        raise errors.invalid(f"Protocol {call.required('protocol')} is not supported in zone 1")
    return wanted


def _port(call: Call, name: str, most: int | None, meaning: str = "publicPort") -> int | None:
    port = call.number(name)
    if port is not None and most is not None and not 0 <= port <= most:
        raise errors.invalid(f"{meaning} is an invalid value: {port}")
    return port


def _is_icmp(call: Call) -> bool:
    return (call.text("protocol") or "").lower() == "icmp"


def ports(call: Call) -> tuple[int, int] | None:
    """Return the first and last port; None for all."""
    if call.text("startport") is None:
        return None
    if _is_icmp(call):
        raise errors.invalid("Can't specify start/end port when protocol is ICMP")
    return port_range(call, "startport", "endport")


def port_range(call: Call, first_name: str, last_name: str, most: int | None = MAX_PORT) -> tuple[int, int]:
    first = _port(call, first_name, most)
    if first is None:
        raise errors.missing_parameter(call.shape.name, first_name)
    last = _port(call, last_name, most, "Public port range")
    if last is not None and first > last:
        raise errors.invalid("Start port can't be bigger than end port")
    return first, first if last is None else last


def icmp(call: Call) -> tuple[int, int] | None:
    """Return ICMP type and code, -1 for any; None for other protocols."""
    kind, code = call.number("icmptype"), call.number("icmpcode")
    if not _is_icmp(call):
        if kind is not None or code is not None:
            raise errors.invalid("Can specify icmpCode and icmpType for ICMP protocol only")
        return None
    return -1 if kind is None else kind, -1 if code is None else code


def cidrs(call: Call, name: str) -> tuple[str, ...]:
    """Return a list of CIDRs; the server wants the prefix spelled out."""
    for cidr in call.items(name):
        if not is_cidr(cidr):
            raise errors.malformed(f"Source CIDRs formatting error {cidr}")
    return call.items(name)


def is_cidr(text: str) -> bool:
    """Return whether it is an IPv4 network with its prefix; bits of a host in it are no matter."""
    try:
        IPv4Network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
