"""Building and taking down, against the API alone."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.lab.replay.serving import QUICK, Body, Client, Lab, Refused, eventually, served
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.ground.specs import FirewallRule, PortForward

SETTINGS = ZoneSettings(timing=QUICK)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(SETTINGS) as running:
        yield running


def source_nats(lab: Lab, network: str) -> list[str]:
    rows = lab.root.listed("listPublicIpAddresses", "publicipaddress", associatednetworkid=network, listall="true")
    return [row["ipaddress"] for row in rows if row["issourcenat"]]


def test_first_vm_implements_the_network(lab: Lab) -> None:
    """Allocated until then; afterwards one source-NAT address and one router that has it."""
    network = lab.network(lab.user)
    assert network["state"] == "Allocated"
    assert lab.routers(network["id"]) == []
    lab.user.finished(lab.deploy(lab.user, network["id"], "a")["jobid"])
    assert lab.user.listed("listNetworks", "network", id=network["id"])[0]["state"] == "Implemented"
    [router] = lab.routers(network["id"])
    assert router["state"] == "Running"
    assert source_nats(lab, network["id"]) == [router["publicip"]]


def test_ten_vms_at_once_share_one_router(lab: Lab) -> None:
    """Deployed side by side, all run, on addresses and MACs of their own."""
    network, machines = lab.built(lab.user, 10)
    assert {machine["state"] for machine in machines} == {"Running"}
    assert len({machine["nic"][0]["ipaddress"] for machine in machines}) == 10
    assert len({machine["nic"][0]["macaddress"] for machine in machines}) == 10
    assert len(lab.routers(network)) == 1
    assert len(source_nats(lab, network)) == 1


STEP_S = 0.05


@pytest.fixture
def stepped() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=STEP_S)) as lab:
        yield lab


def acquired(lab: Lab, who: Client, network: str, number: int, deploys: Sequence[Body] = ()) -> tuple[list[Body], ...]:
    """Acquire so many addresses beside these deploys; all meet in each step, at any load."""
    everything = number + len(deploys)
    with lab.clock.held(), ThreadPoolExecutor(everything) as side_by_side:
        calls = [side_by_side.submit(who, "associateIpAddress", networkid=network) for _ in range(number)]
        starts = [side_by_side.submit(who, "deployVirtualMachine", **params) for params in deploys]
        lab.clock.until_waiting(everything)  # the addresses are about to be taken; the VMs' jobs plan
        lab.clock.turn_on(STEP_S / 5)
        answers = [call.result() for call in calls]
        lab.clock.until_waiting(everything)  # each address's job has seen a network without source NAT
        lab.clock.turn_on(STEP_S)
        lab.clock.until_waiting(len(deploys))
        return answers, [start.result() for start in starts]


def test_addresses_acquired_too_early_ruin_the_network(stepped: Lab) -> None:
    """Ten associates beside ten deploys on an Allocated network: as on the server, nobody can remove it any more."""
    lab = stepped
    network = lab.network(lab.domadmin)["id"]
    machines = [lab.machine_params(network, f"vm{n}") for n in range(10)]
    addresses, deploys = acquired(lab, lab.domadmin, network, 10, machines)
    assert {lab.domadmin.finished(row["jobid"])["jobstatus"] for row in addresses} == {1}
    assert {lab.domadmin.finished(job["jobid"])["jobresultcode"] for job in deploys} == {530}
    assert len(source_nats(lab, network)) == 3
    deleted = lab.root.job("deleteNetwork", id=network, forced="true")
    assert deleted["jobresult"]["errortext"] == "Multiple generic source NAT IPs provided for network"
    released = lab.domadmin.job("disassociateIpAddress", id=addresses[0]["id"])
    assert released["jobresult"]["errortext"] == "Multiple generic source NAT IPs provided for network"


@pytest.mark.parametrize(("at_once", "given"), [(2, 1), (4, 1), (10, 2)])
def test_so_many_addresses_at_once_give_so_many_source_nats(stepped: Lab, at_once: int, given: int) -> None:
    """As counted on a real server, where the network can still be removed as long as nothing was deployed."""
    lab = stepped
    network = lab.network(lab.user)["id"]
    addresses, _ = acquired(lab, lab.user, network, at_once)
    assert {lab.user.finished(row["jobid"])["jobstatus"] for row in addresses} == {1}
    assert len(source_nats(lab, network)) == given
    assert lab.user.result("deleteNetwork", id=network) == {"success": True}


def test_address_acquired_alone_becomes_the_source_nat_address(lab: Lab) -> None:
    """One address on an Allocated network is fine, and the first VM's router takes it."""
    network = lab.network(lab.user)["id"]
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]
    assert address["issourcenat"]
    lab.user.finished(lab.deploy(lab.user, network, "a")["jobid"])
    assert source_nats(lab, network) == [address["ipaddress"]]


def test_address_keeps_its_id_for_ever(lab: Lab) -> None:
    """Released and taken by somebody else, it has the id it always had."""
    mine, _ = lab.built(lab.user)
    theirs, _ = lab.built(lab.domadmin)
    first = lab.user.result("associateIpAddress", networkid=mine)["ipaddress"]
    lab.user.result("disassociateIpAddress", id=first["id"])
    second = lab.domadmin.result("associateIpAddress", networkid=theirs)["ipaddress"]
    assert (second["id"], second["ipaddress"]) == (first["id"], first["ipaddress"])
    assert lab.user.job("disassociateIpAddress", id=first["id"])["jobresultcode"] == 530


def test_rules_reach_the_router(lab: Lab) -> None:
    """Everything asked for through the API is what the ground was told last."""
    network, [machine] = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]
    where = {"ipaddressid": address["id"]}
    lab.user.result("createFirewallRule", protocol="tcp", startport=22, endport=22, cidrlist="198.51.100.1/32", **where)
    lab.user.result(
        "createPortForwardingRule", protocol="tcp", publicport=2222, privateport=22,
        virtualmachineid=machine["id"], openfirewall="false", **where,
    )  # fmt: skip
    lab.user.result("createEgressFirewallRule", networkid=network, protocol="all")
    [router] = lab.routers(network)
    rules = lab.ground.programmed[router["name"]]
    guest = machine["nic"][0]["ipaddress"]
    assert rules.source_nat == router["publicip"] == rules.public_ips[0]
    assert rules.public_ips[1:] == (address["ipaddress"],)
    assert rules.firewall == (FirewallRule(address["ipaddress"], "tcp", ("198.51.100.1/32",), ports=(22, 22)),)
    assert rules.port_forwards == (PortForward(address["ipaddress"], "tcp", (2222, 2222), guest, (22, 22)),)
    assert [rule.cidrs for rule in rules.egress] == [("10.1.1.0/24",)]
    lab.user.result("disassociateIpAddress", id=address["id"])
    assert lab.ground.programmed[router["name"]].firewall == ()


def test_static_nat_reaches_the_router(lab: Lab) -> None:
    """enableStaticNat answers when it is done; the VM then shows its public address."""
    network, [machine] = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]
    assert lab.user("enableStaticNat", ipaddressid=address["id"], virtualmachineid=machine["id"]) == {"success": True}
    [router] = lab.routers(network)
    expected = ((address["ipaddress"], machine["nic"][0]["ipaddress"]),)
    assert lab.ground.programmed[router["name"]].static_nat == expected
    assert lab.user.listed("listVirtualMachines", "virtualmachine")[0]["publicip"] == address["ipaddress"]
    lab.user.result("disableStaticNat", ipaddressid=address["id"])
    assert lab.ground.programmed[router["name"]].static_nat == ()


def test_keys_and_user_data_reach_the_guest(lab: Lab) -> None:
    """The VM gets the public half of the pair made here, and the user data decoded."""
    pair = lab.user("createSSHKeyPair", name="k")["keypair"]
    assert pair["privatekey"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    network = lab.network(lab.user)["id"]
    data = base64.b64encode(b"#cloud-config\n").decode()
    lab.user.finished(lab.deploy(lab.user, network, "a", keypair="k", userdata=data)["jobid"])
    [vm] = lab.ground.machines
    assert (vm.name, vm.user_data) == ("a", b"#cloud-config\n")
    assert vm.authorized_keys[0].startswith("ssh-rsa AAAA")
    assert (vm.prefix, vm.gateway) == (24, "10.1.1.1")


def test_destroyed_vms_are_expunged_in_time() -> None:
    """After the delay the network can be deleted, and everything of it is gone from the ground."""
    with served(replace(SETTINGS, expunge_delay_s=0.1)) as lab:
        network, [machine] = lab.built(lab.user)
        lab.user.result("destroyVirtualMachine", id=machine["id"])
        eventually(lambda: lab.user.job("deleteNetwork", id=network)["jobstatus"] == 1)
        assert lab.user("listNetworks") == {}
        assert lab.user("listPublicIpAddresses") == {}
        done = {name for name, _ in lab.ground.asked}
        assert {"remove_vm", "stop_router", "remove_router", "remove_network"} <= done


def test_domain_administrator_expunges(lab: Lab) -> None:
    """The result has no id, and the network can be deleted at once; acting on it later is refused."""
    network, [machine] = lab.built(lab.domadmin)
    result = lab.domadmin.result("destroyVirtualMachine", id=machine["id"], expunge="true")
    assert "id" not in result["virtualmachine"]
    lab.domadmin.result("deleteNetwork", id=network)
    with pytest.raises(Refused, match=r"Networkd ID=\d+ doesn't exist"):
        lab.domadmin("restartNetwork", id=network)
    assert lab.domadmin("listNetworks", id=network) == {}


def test_tags_find_things_again(lab: Lab) -> None:
    """A tagged network is found by its tag; the same key twice is refused in the job."""
    network = lab.network(lab.user)["id"]
    lab.network(lab.user, "other")
    tag = {"resourceids": network, "resourcetype": "Network", "tags[0].key": "run", "tags[0].value": "7"}
    lab.user.result("createTags", **tag)
    found = lab.user.listed("listNetworks", "network", **{"tags[0].key": "run", "tags[0].value": "7"})
    assert [row["id"] for row in found] == [network]
    assert lab.user.job("createTags", **tag)["jobresultcode"] == 530
    lab.user.result("deleteTags", **tag)
    assert lab.user("listTags") == {}


def test_jobs_belong_to_their_caller(lab: Lab) -> None:
    """A user can't ask for another account's job."""
    network = lab.network(lab.domadmin)["id"]
    job = lab.deploy(lab.domadmin, network, "a")["jobid"]
    with pytest.raises(Refused) as refused:
        lab.user("queryAsyncJobResult", jobid=job)
    assert refused.value.status == 531
    lab.domadmin.finished(job)


def test_stopped_vm_starts_again(lab: Lab) -> None:
    """Stop, start and reboot go through the ground and end where they should."""
    _, [machine] = lab.built(lab.user)
    assert lab.user.result("stopVirtualMachine", id=machine["id"])["virtualmachine"]["state"] == "Stopped"
    assert lab.user.result("startVirtualMachine", id=machine["id"])["virtualmachine"]["state"] == "Running"
    assert lab.user.result("rebootVirtualMachine", id=machine["id"])["virtualmachine"]["state"] == "Running"
    calls = [name for name, _ in lab.ground.asked if name.endswith("_vm")]
    assert calls == ["add_vm", "stop_vm", "start_vm", "stop_vm", "start_vm"]


def test_free_addresses_can_be_listed_and_chosen(lab: Lab) -> None:
    """With allocatedonly=false the pool shows, and an address of it can be asked for by its number."""
    network, _ = lab.built(lab.user)
    rows = lab.user.listed("listPublicIpAddresses", "publicipaddress", allocatedonly="false")
    free = [row for row in rows if row["state"] == "Free"]
    assert len(rows) == len(free) + 1
    assert "account" not in free[0]
    chosen = free[7]
    got = lab.user.result("associateIpAddress", networkid=network, ipaddress=chosen["ipaddress"])["ipaddress"]
    assert (got["id"], got["ipaddress"]) == (chosen["id"], chosen["ipaddress"])
    with pytest.raises(Refused) as refused:
        lab.user("associateIpAddress", networkid=network, ipaddress=chosen["ipaddress"])
    assert refused.value.status == 533


def test_source_nat_address_stays_with_its_network(lab: Lab) -> None:
    """It can't be released while the network is implemented."""
    network, _ = lab.built(lab.user)
    [address] = lab.user.listed("listPublicIpAddresses", "publicipaddress", associatednetworkid=network)
    job = lab.user.job("disassociateIpAddress", id=address["id"])
    assert "source nat" in job["jobresult"]["errortext"]
    assert lab.user.listed("listPublicIpAddresses", "publicipaddress")[0]["state"] == "Allocated"


def test_opening_comes_and_goes_with_its_forwarding_rule(lab: Lab) -> None:
    """openfirewall is on unless told otherwise; deleting the forwarding closes what it opened."""
    network, [machine] = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    forward = {"publicport": 80, "privateport": 8080, "virtualmachineid": machine["id"], "protocol": "tcp"}
    rule = lab.user.result("createPortForwardingRule", ipaddressid=address, **forward)["portforwardingrule"]
    [opening] = lab.user.listed("listFirewallRules", "firewallrule")
    assert (opening["startport"], opening["cidrlist"]) == (80, "0.0.0.0/0")
    lab.user.result("deletePortForwardingRule", id=rule["id"])
    assert lab.user("listFirewallRules") == {}
    [router] = lab.routers(network)
    assert lab.ground.programmed[router["name"]].firewall == ()
