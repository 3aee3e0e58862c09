"""A VM as listVirtualMachines shows it."""

from __future__ import annotations

from vrbench.lab.api.accounts import tags
from vrbench.lab.api.request.responses import owner_fields, stamp
from vrbench.lab.api.state.entities import Json, Machine
from vrbench.lab.api.state.zone import Zone

ON_VLAN = ("Starting", "Running", "Stopping")
EXPUNGED: Json = {"securitygroup": [], "nic": [], "affinitygroup": [], "deleteprotection": False, "tags": []}
STATS: Json = {
    "cpuused": "10%",
    "networkkbsread": 32768,
    "networkkbswrite": 16384,
    "diskkbsread": 0,
    "diskkbswrite": 0,
    "memorykbs": 0,
    "memoryintfreekbs": 0,
    "memorytargetkbs": 0,
    "diskioread": 0,
    "diskiowrite": 0,
}


def machine_view(zone: Zone, machine: Machine, as_root: bool, listed: bool = True) -> Json:
    """Return the body of one VM, of its results without usage figures; call with the lock held."""
    body = _identity(machine) | _placement(zone, machine, as_root) | _image(machine)
    body |= _usage(zone, machine) if listed else {}
    return body | _wiring(zone, machine) | _details(zone, machine, as_root)


def _identity(machine: Machine) -> Json:
    user = machine.account.user
    body: Json = {
        "id": machine.uuid,
        "name": machine.name,
        "displayname": machine.displayname,
        "account": machine.account.name,
        "userid": user["id"],
        "username": user["username"],
        **owner_fields(machine.account),
        "created": stamp(machine.created),
        "state": machine.state,
        "haenable": False,
    }
    if machine.updated is not None:
        body["lastupdated"] = stamp(machine.updated)
    return body


def _placement(zone: Zone, machine: Machine, as_root: bool) -> Json:
    site = zone.built_ins["zone"][0].body
    body: Json = {"zoneid": site["id"], "zonename": site["name"]}
    if machine.host is not None:
        body["hostcontrolstate"] = "Enabled"
        if as_root:
            body |= {"hostid": machine.host.uuid, "hostname": machine.host.body["name"]}
    if as_root:
        body |= {"instancename": machine.instance_name, "displayvm": True, "arch": "x86_64"}
    return body


def _image(machine: Machine) -> Json:
    template, offering = machine.template.body, machine.offering.body
    return {
        "templateid": template["id"],
        "templatename": template["name"],
        "templatetype": template["templatetype"],
        "templateformat": template["format"],
        "templatedisplaytext": template["displaytext"],
        "passwordenabled": template["passwordenabled"],
        "serviceofferingid": offering["id"],
        "serviceofferingname": offering["name"],
        "cpunumber": offering["cpunumber"],
        "cpuspeed": offering["cpuspeed"],
        "memory": offering["memory"],
        "guestosid": template["ostypeid"],
        "rootdeviceid": 0,
        "rootdevicetype": "ROOT",
    }


def _usage(zone: Zone, machine: Machine) -> Json:
    """Return usage figures, once the server has looked at the running VM."""
    if machine.state != "Running" or machine.updated is None:
        return {}
    return dict(STATS) if zone.clock.now() - machine.updated >= zone.settings.stats_interval_s else {}


def _wiring(zone: Zone, machine: Machine) -> Json:
    address = next((address for address in zone.addresses if address.static_nat is machine), None)
    public = {"publicip": address.ip, "publicipid": address.uuid} if address else {}
    return {
        "securitygroup": [],
        "nic": [nic_view(machine) | {"secondaryip": []} | public],
        "hypervisor": "Simulator",
        "ipaddress": machine.nic.ip,
        **public,
    }


def nic_view(machine: Machine) -> Json:
    """Return the VM's only interface; its VLAN shows while the VM is up."""
    network, nic = machine.network, machine.nic
    uris = {"isolationuri": f"vlan://{network.vlan}", "broadcasturi": f"vlan://{network.vlan}"}
    return {
        "id": nic.uuid,
        "networkid": network.uuid,
        "networkname": network.name,
        "netmask": network.netmask,
        "gateway": network.gateway,
        "ipaddress": nic.ip,
        **(uris if machine.state in ON_VLAN else {}),
        "traffictype": "Guest",
        "type": "Isolated",
        "isdefault": True,
        "macaddress": nic.mac,
        "extradhcpoption": [],
        "deviceid": "0",
        **({"vpcid": network.vpc.uuid, "vpcname": network.vpc.name} if network.vpc else {}),
    }


def _key_details(machine: Machine) -> Json:
    """Return the VM's key details, or else how it boots; a mark until it was first deployed."""
    pending = {} if machine.on_ground else {"deployvm": "true"}
    if not machine.keypairs:
        return {"details": pending, **({} if pending else {"boottype": "Bios", "bootmode": "legacy"})}
    names = ",".join(machine.keypairs)
    keys = {"SSH.PublicKey": "\n".join(machine.public_keys), "SSH.KeyPairNames": names}
    return {"details": keys | pending, "keypairs": names}


def _registered_user_data(machine: Machine) -> Json:
    policy = machine.template.body.get("userdatapolicy")
    if machine.registered is None:
        return {}
    values = {"userdatadetails": machine.user_data_details} if machine.user_data_details else {}
    return {"userdataid": machine.registered.uuid, "userdataname": machine.registered.name, **values} | (
        {"userdatapolicy": policy} if policy else {}
    )


def _details(zone: Zone, machine: Machine, as_root: bool) -> Json:
    fixed = {} if as_root else {"readonlydetails": "dataDiskController, rootDiskController"}
    return {
        **_key_details(machine),
        **fixed,
        **_registered_user_data(machine),
        **({"pooltype": "NetworkFilesystem"} if machine.on_ground else {}),
        "affinitygroup": [],
        "isdynamicallyscalable": False,
        "deleteprotection": machine.protected,
        "ostypeid": machine.template.body["ostypeid"],
        "osdisplayname": machine.template.body["ostypename"],
        "receivedbytes": 0,
        "sentbytes": 0,
        "tags": tags.shown(zone, machine.uuid),
        "hasannotations": False,
    }
