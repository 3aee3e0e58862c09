"""Firewall, egress and port-forwarding rules as the list commands show them."""

from __future__ import annotations

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.state.entities import Json, Rule
from vrbench.lab.api.state.zone import Zone


def firewall_view(zone: Zone, rule: Rule, as_root: bool) -> Json:
    """Return the body of a firewall or egress rule; call with the lock held."""
    body: Json = {"id": rule.uuid, "protocol": rule.protocol}
    if rule.ports is not None:
        body |= {"startport": rule.ports[0], "endport": rule.ports[1]}
    if rule.address is not None:
        body["ipaddressid"] = rule.address.uuid
    body["networkid"] = rule.network.uuid
    if rule.address is not None:
        body["ipaddress"] = rule.address.ip
    body |= {"state": rule.state, "cidrlist": ",".join(rule.cidrs)}
    if rule.icmp is not None:
        body |= {"icmptype": rule.icmp[0], "icmpcode": rule.icmp[1]}
    return body | {
        "tags": tags.shown(zone, rule.uuid),
        "destcidrlist": ",".join(rule.destinations),
        "traffictype": "Egress" if rule.purpose == "Egress" else "Ingress",
        **_root_fields(as_root),
    }


def forwarding_view(zone: Zone, rule: Rule, as_root: bool) -> Json:
    """Return the body of a port-forwarding rule; call with the lock held."""
    public, private = rule.ports or (0, 0), rule.private_ports or (0, 0)
    body: Json = {
        "id": rule.uuid,
        "privateport": str(private[0]),
        "privateendport": str(private[1]),
        "protocol": rule.protocol,
        "publicport": str(public[0]),
        "publicendport": str(public[1]),
    }
    if rule.machine is not None:
        body |= {
            "virtualmachineid": rule.machine.uuid,
            "virtualmachinename": rule.machine.name,
            "virtualmachinedisplayname": rule.machine.displayname,
        }
    if rule.address is not None:
        body |= {"ipaddressid": rule.address.uuid, "ipaddress": rule.address.ip}
    return body | {
        "state": rule.state,
        "cidrlist": ",".join(rule.cidrs),
        "tags": tags.shown(zone, rule.uuid),
        "vmguestip": rule.guest_ip,
        "networkid": rule.network.uuid,
        **_root_fields(as_root),
    }


def _root_fields(as_root: bool) -> Json:
    return {"fordisplay": True} if as_root else {}
