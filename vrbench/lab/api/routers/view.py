"""A virtual router as listRouters shows it: everything to root, less to the administrator of a domain."""

from __future__ import annotations

from ipaddress import IPv4Address

from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.state.entities import GuestNic, Json, Nic, PublicNic, Router, Vpc
from vrbench.lab.api.state.fixtures import router_constants
from vrbench.lab.api.state.zone import Zone

MTU = 1500
LINK_LOCAL_NETMASK = "255.255.0.0"


def router_view(zone: Zone, router: Router, as_root: bool) -> Json:
    """Return the body of one router; call with the lock held."""
    body = _placed(zone, router, as_root) | _control(router)
    if not router.removed:
        body |= _public(zone, router)
        if as_root and router.guest is not None:
            body |= _guest(router.guest)
    body |= _software(zone, router) | _vpc(router) | {"nic": _nics(zone, router, as_root)}
    return body | {"healthchecksfailed": False, "arch": router_constants()["arch"], "hasannotations": False}


def _placed(zone: Zone, router: Router, as_root: bool) -> Json:
    common = router_constants()
    site = zone.built_ins["zone"][0].body
    body: Json = {
        "id": router.uuid,
        "zoneid": site["id"],
        "zonename": site["name"],
        "dns1": common["dns1"],
        "name": router.name,
    }
    if as_root and not router.removed:
        body["networkdomain"] = router.home.domain_name
    if as_root and router.pod_known:
        body |= {"podid": common["podid"], "podname": common["podname"]}
    if router.host is not None:
        body["hypervisor"] = common["hypervisor"]
        if as_root:
            host = router.host.body
            body |= {"hostid": host["id"], "hostname": host["name"], "hostcontrolstate": "Enabled"}
    return body


def _control(router: Router) -> Json:
    if router.removed:
        return {}
    body: Json = {"linklocalnetworkid": router_constants()["linklocalnetworkid"]}
    if router.control.ip:
        body |= {
            "linklocalip": router.control.ip,
            "linklocalmacaddress": router.control.mac,
            "linklocalnetmask": LINK_LOCAL_NETMASK,
        }
    return body


def _public(zone: Zone, router: Router) -> Json:
    public = zone.settings.public_ranges[router.subnet]
    return {
        "gateway": str(public.gateway),
        "publicip": router.public.ip,
        "publicmacaddress": router.public.mac,
        "publicnetmask": str(public.cidr.netmask),
        "publicnetworkid": router_constants()["publicnetworkid"],
    }


def _guest(nic: GuestNic) -> Json:
    network = nic.network
    return {
        "guestipaddress": nic.ip,
        "guestmacaddress": nic.mac,
        "guestnetmask": network.netmask,
        "guestnetworkid": network.uuid,
        "guestnetworkname": network.name,
    }


def _vpc(router: Router) -> Json:
    home = router.home
    return {"vpcid": home.uuid, "vpcname": home.name} if isinstance(home, Vpc) else {}


def _software(zone: Zone, router: Router) -> Json:
    common = router_constants()
    body: Json = {name: common[name] for name in ("templateid", "templatename")}
    body |= {
        "created": stamp(router.created),
        "state": "Destroyed" if router.removed else router.state,
        **owner_fields(router.account),
        "serviceofferingid": common["serviceofferingid"],
        "serviceofferingname": common["serviceofferingname"],
        "isredundantrouter": router.redundant,
        "redundantstate": _worded(zone, router.redundant_state),
        "version": router.version,
        "role": "VIRTUAL_ROUTER",
        "requiresupgrade": router.scripts_version is None,
    }
    if router.scripts_version is not None:
        body |= {"scriptsversion": router.scripts_version, "softwareversion": zone.version.full}
    return body


def _worded(zone: Zone, redundant_state: str) -> str:
    """Return the redundancy state as the version words it: up to 4.15 a primary was called master."""
    return "MASTER" if redundant_state == "PRIMARY" and not zone.version.since(4, 16) else redundant_state


def _nics(zone: Zone, router: Router, as_root: bool) -> list[Json]:
    if router.removed:
        return []
    guests = [_guest_nic(router, nic) for nic in router.guests] if as_root else []
    publics = [(router.public, router.subnet), *((nic, nic.subnet) for nic in router.more_public)]
    others = [_control_nic(router), *(_public_nic(zone, nic, subnet) for nic, subnet in publics)]
    return [*others, *guests] if isinstance(router.home, Vpc) else [*guests, *others]


def _guest_nic(router: Router, nic: GuestNic) -> Json:
    network = nic.network
    # A router that was stopped has given its place on the VLAN back; one that never started still holds it.
    held = router.host is not None or not router.pod_known
    vlan = {"isolationuri": f"vlan://{network.vlan}", "broadcasturi": f"vlan://{network.vlan}"} if held else {}
    return {
        "id": nic.uuid,
        "networkid": network.uuid,
        "networkname": network.name,
        "netmask": network.netmask,
        **({"gateway": network.gateway} if nic.plugged_late else {}),
        "ipaddress": nic.ip,
        **vlan,
        "traffictype": "Guest",
        "type": "Isolated",
        "isdefault": False,
        "macaddress": nic.mac,
        "mtu": MTU,
    }


def _control_nic(router: Router) -> Json:
    body: Json = {
        "id": router.control.uuid,
        "networkid": router_constants()["linklocalnetworkid"],
        "traffictype": "Control",
        "isdefault": False,
    }
    if router.control.ip:
        address = {"netmask": LINK_LOCAL_NETMASK, "gateway": "169.254.0.1", "ipaddress": router.control.ip}
        body |= address | {"macaddress": router.control.mac}
    return body


def _public_nic(zone: Zone, nic: Nic, subnet: int) -> Json:
    public = zone.settings.public_ranges[subnet]
    return {
        "id": nic.uuid,
        "networkid": router_constants()["publicnetworkid"],
        "netmask": str(public.cidr.netmask),
        "gateway": str(public.gateway),
        "ipaddress": nic.ip,
        "isolationuri": f"vlan://{public.vlan}",
        "broadcasturi": f"vlan://{public.vlan}",
        "traffictype": "Public",
        "isdefault": not isinstance(nic, PublicNic),
        "macaddress": nic.mac,
        "mtu": MTU,
    }


def link_local(zone: Zone) -> tuple[str, str]:
    """Return a control address and its MAC, new with every start."""
    ip = IPv4Address(0xA9FE0000 + zone.random.randrange(2, 0xFFFE))
    return str(ip), (b"\x0e\x00" + ip.packed).hex(":")
