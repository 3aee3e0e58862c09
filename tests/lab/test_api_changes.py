"""Changing VMs and rules that exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.replay.serving import QUICK, Body, Client, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


def updated(who: Client, machine: str, **changes: str) -> Body:
    body: Body = who("updateVirtualMachine", id=machine, **changes)["virtualmachine"]
    return body


def test_vm_renamed(lab: Lab) -> None:
    """Its display name, and its host name, which its router's DNS learns; no other's in its network."""
    _, [first, second] = lab.built(lab.user, 2)
    assert updated(lab.user, first["id"], displayname="Front end")["displayname"] == "Front end"
    assert updated(lab.user, first["id"], name="front")["name"] == "front"
    [rules] = lab.ground.programmed.values()
    assert {host.name for host in rules.hosts} == {"front", second["name"]}
    for name, text in ((second["name"], "already exists in the network domain"), ("a_b", "due to invalid value")):
        with pytest.raises(Refused) as refused:
            updated(lab.user, first["id"], name=name)
        assert refused.value.code == 431
        assert text in refused.value.text
    with pytest.raises(Refused, match="Can't enable ha"):
        updated(lab.user, first["id"], haenable="true")


def test_keys_of_a_stopped_vm_replaced(lab: Lab) -> None:
    _, [machine] = lab.built(lab.user)
    key = lab.user("createSSHKeyPair", name="new")["keypair"]["name"]
    running = lab.user.job("resetSSHKeyForVirtualMachine", id=machine["id"], keypair=key)
    assert (running["jobresultcode"], "should be stopped" in running["jobresult"]["errortext"]) == (431, True)
    lab.user.result("stopVirtualMachine", id=machine["id"])
    shown = lab.user.result("resetSSHKeyForVirtualMachine", id=machine["id"], keypair=key)["virtualmachine"]
    assert (shown["keypairs"], shown["state"]) == ("new", "Stopped")
    assert ("reset_vm_keys", f"{machine['name']} 1") in lab.ground.asked
    assert lab.user.job("resetSSHKeyForVirtualMachine", id=machine["id"], keypair="none")["jobresultcode"] == 431


def test_protected_vm_is_not_destroyed(lab: Lab) -> None:
    """Until it is protected no more; and nobody sets its password, for its template doesn't."""
    _, [machine] = lab.built(lab.user)
    uuid = machine["id"]
    assert updated(lab.user, uuid, deleteprotection="true")["deleteprotection"] is True
    refused = lab.root.job("destroyVirtualMachine", id=uuid, expunge="true")
    assert (refused["jobresultcode"], "has delete protection enabled" in refused["jobresult"]["errortext"]) == (
        431,
        True,
    )
    assert lab.user.listed("listVirtualMachines", "virtualmachine", id=uuid)[0]["state"] == "Running"
    assert lab.user.job("resetPasswordForVirtualMachine", id=uuid)["jobresultcode"] == 431
    assert updated(lab.user, uuid, deleteprotection="false")["deleteprotection"] is False
    assert lab.user.result("destroyVirtualMachine", id=uuid)["virtualmachine"]["state"] == "Destroyed"


def test_vm_put_and_moved_to_a_host(lab: Lab) -> None:
    """Where the root administrator wants it, within the cluster; others may not say."""
    network, _ = lab.built(lab.root)
    hosts = {row["id"]: row["clusterid"] for row in lab.root.listed("listHosts", "host", type="Routing")}
    first = next(iter(hosts))
    job = lab.deploy(lab.root, network, "placed", hostid=first)["jobid"]
    machine = lab.root.finished(job)["jobresult"]["virtualmachine"]
    assert machine["hostid"] == first
    beside = next(host for host, cluster in hosts.items() if cluster == hosts[first] and host != first)
    elsewhere = next(host for host, cluster in hosts.items() if cluster != hosts[first])

    def moved(to: str) -> Body:
        return lab.root.job("migrateVirtualMachine", virtualmachineid=machine["id"], hostid=to)

    assert [moved(to)["jobresultcode"] for to in (first, elsewhere)] == [431, 530]
    assert moved(beside)["jobresult"]["virtualmachine"]["hostid"] == beside
    theirs, _ = lab.built(lab.user, name="tenants")
    refused = lab.user.finished(lab.deploy(lab.user, theirs, "b", hostid=first)["jobid"])
    assert (refused["jobresultcode"], "only be specified by a Root Admin" in refused["jobresult"]["errortext"]) == (
        530,
        True,
    )


def test_network_offering_deleted(lab: Lab) -> None:
    """Once no network has it; built-in ones stay."""
    new = {"name": "mine", "displaytext": "mine", "guestiptype": "Isolated", "traffictype": "GUEST"}
    services = {"supportedservices": "Dhcp,Dns,SourceNat", "enable": "true"}
    offering = lab.root("createNetworkOffering", **new, **services)["networkoffering"]["id"]
    zone = lab.built_in()["zoneid"]
    network = lab.root("createNetwork", name="n", displaytext="n", networkofferingid=offering, zoneid=zone)["network"]
    for doomed, text in ((offering, "as its used by 1 networks"), (lab.built_in()["networkofferingid"], "Default")):
        with pytest.raises(Refused, match=text) as refused:
            lab.root("deleteNetworkOffering", id=doomed)
        assert refused.value.code == 431
    lab.root.result("deleteNetwork", id=network["id"])
    assert lab.root("deleteNetworkOffering", id=offering) == {"success": True}
    assert lab.root.listed("listNetworkOfferings", "networkoffering", id=offering) == []


def test_forwarding_led_elsewhere(lab: Lab) -> None:
    """To another VM or port, on the router too; a range keeps its ports, and other networks' VMs are refused."""
    network, [first, second] = lab.built(lab.user, 2)
    _, [stranger] = lab.built(lab.user, name="other")
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    fixed = {"ipaddressid": address, "protocol": "tcp", "virtualmachineid": first["id"], "openfirewall": "false"}
    rule = lab.user.result("createPortForwardingRule", **fixed, publicport=22, privateport=22)["portforwardingrule"]
    change = {"virtualmachineid": second["id"], "privateport": 2222}
    changed = lab.user.result("updatePortForwardingRule", id=rule["id"], **change)["portforwardingrule"]
    assert changed == rule | {
        "privateport": "2222",
        "privateendport": "2222",
        "virtualmachineid": second["id"],
        "virtualmachinename": second["name"],
        "virtualmachinedisplayname": second["displayname"],
        "vmguestip": second["nic"][0]["ipaddress"],
    }
    [forward] = [one for rules in lab.ground.programmed.values() for one in rules.port_forwards]
    assert (forward.guest_ip, forward.guest_ports) == (second["nic"][0]["ipaddress"], (2222, 2222))
    refused = lab.user.job("updatePortForwardingRule", id=rule["id"], virtualmachineid=stranger["id"])
    assert (refused["jobresultcode"], refused["jobinstancetype"]) == (431, "FirewallRule")
    ports = {"publicport": 100, "publicendport": 110, "privateport": 100, "privateendport": 110}
    wide = lab.user.result("createPortForwardingRule", **fixed, **ports)["portforwardingrule"]
    assert lab.user.job("updatePortForwardingRule", id=wide["id"], privateport=7)["jobresultcode"] == 431


def test_firewall_rules_stay_as_they_are(lab: Lab) -> None:
    """Each kind has a command of its own, and is not found by the other's."""
    network, _ = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    opening = {"ipaddressid": address, "protocol": "tcp", "startport": 22, "endport": 22}
    ingress = lab.user.result("createFirewallRule", **opening)["firewallrule"]
    egress = lab.user.result("createEgressFirewallRule", networkid=network, protocol="all")["firewallrule"]
    assert lab.user.result("updateFirewallRule", id=ingress["id"]) == {"firewallrule": ingress}
    assert lab.user.result("updateEgressFirewallRule", id=egress["id"]) == {"firewallrule": egress}
    with pytest.raises(Refused) as refused:
        lab.user("updateFirewallRule", id=egress["id"])
    assert refused.value.code == 431
    with pytest.raises(Refused) as refused:
        lab.user("updateFirewallRule")
    assert "missing parameter id" in refused.value.text
