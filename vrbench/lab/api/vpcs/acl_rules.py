"""One rule of a network ACL as createNetworkACL takes it; what is wrong with it is said in the server's order."""

from __future__ import annotations

from collections.abc import Sequence

from vrbench.lab.api.request.call import Call
from vrbench.lab.api.request.rule_params import MAX_PORT, cidrs, icmp
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import AclList, AclRule
from vrbench.lab.api.state.zone import new_id

PROTOCOLS = ("tcp", "udp", "icmp", "all")
ACTIONS = {"allow": "Allow", "deny": "Deny"}
DIRECTIONS = {"ingress": "Ingress", "egress": "Egress"}
EVERYWHERE = ("0.0.0.0/0", "::/0")


def new_rule(call: Call, acl: AclList, places: Sequence[int]) -> AclRule:
    """Return the rule asked for, in the place asked for or after all others; ``places`` are taken."""
    direction = DIRECTIONS.get((call.text("traffictype") or "ingress").lower())
    if direction is None:
        raise errors.invalid(f"Invalid traffic type {call.text('traffictype')}")
    place = _place(call, acl, places)
    action = ACTIONS.get((call.text("action") or "allow").lower())
    if action is None:
        raise errors.invalid(f"Invalid action [{call.text('action')}]. Permitted actions are Allow and Deny")
    ports = _ports(call)
    sources = cidrs(call, "cidrlist") or EVERYWHERE
    return AclRule(
        uuid=new_id(),
        acl=acl,
        place=place,
        protocol=_protocol(call),
        traffic=direction,
        action=action,
        cidrs=sources,
        ports=ports,
        icmp=_icmp(call),
        reason=call.text("reason") or "",
    )


def _place(call: Call, acl: AclList, places: Sequence[int]) -> int:
    place = call.number("number")
    if place is None:
        return max(places, default=0) + 1
    if place < 1:
        raise errors.invalid(f"Invalid number [{place}]. Number cannot be < 1")
    if place in places:
        raise errors.invalid(f"ACL item with number {place} already exists in ACL: {acl.uuid}")
    return place


def _ports(call: Call) -> tuple[int, int] | None:
    first, last = call.number("startport"), call.number("endport")
    if first is None and last is None:
        return None
    first = _valid(first, "Start")
    last = first if last is None else _valid(last, "End")
    if first > last:
        raise errors.invalid(f"Start port can't be bigger than end port [startport={first},endport={last}]")
    if call.required("protocol").lower() == "all":
        raise errors.invalid("start port and end port must be null if protocol = 'all'")
    return first, last


def _valid(port: int | None, which: str) -> int:
    if port is None or not 0 < port <= MAX_PORT:
        raise errors.invalid(f"{which} public port is an invalid value: {port}")
    return port


def _protocol(call: Call) -> str:
    """Return the protocol, by name or by number; 1 is ICMP."""
    wanted = call.required("protocol").strip().lower()
    if wanted.isdecimal():
        if int(wanted) > 255:
            raise errors.invalid(f"Invalid protocol number: {wanted}")
        return "icmp" if int(wanted) == 1 else wanted
    if wanted not in PROTOCOLS:
        raise errors.invalid(f"Invalid protocol [{wanted}]. Expected one of: [{','.join(PROTOCOLS)}]")
    return wanted


def _icmp(call: Call) -> tuple[int, int] | None:
    if _protocol(call) == "icmp" and (call.text("startport") or call.text("endport")):
        raise errors.invalid("Can't specify start/end port when protocol is ICMP")
    asked = icmp(call)
    kind, code = asked or (-1, -1)
    if not -1 <= kind <= 255:
        raise errors.invalid(f"Invalid icmp type [{kind}]. It should belong to [0-255] range")
    if not -1 <= code <= 16:
        raise errors.invalid(
            f"Invalid icmp code [{code}]. It should belong to [0-16] range and can be defined when icmpType belongs to "
            "[0-40] range"
        )
    return asked
