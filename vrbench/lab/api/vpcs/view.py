"""A VPC as listVPCs shows it, tiers and all."""

from __future__ import annotations

import json

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.networks.view import network_view
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.state.entities import Json, Vpc
from vrbench.lab.api.state.zone import Zone


def vpc_view(zone: Zone, vpc: Vpc, as_root: bool) -> Json:
    """Return the body of one VPC; call with the lock held."""
    offering, site = vpc.offering.body, zone.built_ins["zone"][0].body
    body: Json = {
        "id": vpc.uuid,
        "name": vpc.name,
        "displaytext": vpc.displaytext,
        "state": vpc.state,
        "zoneid": site["id"],
        "zonename": site["name"],
        "service": offering["service"],
        "cidr": vpc.cidr,
        "vpcofferingid": offering["id"],
        "vpcofferingname": offering["name"],
        "created": stamp(vpc.created),
        **owner_fields(vpc.account),
        "network": [network_view(zone, network, as_root) for network in zone.networks_of(vpc)],
        "restartrequired": vpc.restart_required,
        "networkdomain": vpc.domain_name,
        "tags": tags.shown(zone, vpc.uuid),
        "distributedvpcrouter": offering["distributedvpcrouter"],
        "regionlevelvpc": False,
        "redundantvpcrouter": vpc.redundant,
        "publicmtu": 1500,
        "hasannotations": False,
    }
    body |= {f"dns{n}": address for n, address in enumerate(vpc.dns, 1)}
    return body | ({"fordisplay": vpc.displayed} if as_root else {})


def describe_vpc(vpc: Vpc) -> str:
    """Return a VPC as error texts show it."""
    row = {"id": vpc.number, "name": vpc.name, "uuid": vpc.uuid}
    return f"VPC {json.dumps(row, separators=(',', ':'))}"
