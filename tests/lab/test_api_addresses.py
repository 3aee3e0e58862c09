"""Addresses, static NAT and rules: what is refused, with which codes, and what goes with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.replay.serving import Lab, served

BAD = (431, 4350)
DENIED = (531, 4365)


@dataclass(frozen=True)
class Built:
    """An isolated network of the user's with one VM and one address more than the source-NAT one."""

    lab: Lab
    network: str
    machine: str
    machine_ip: str
    address: str
    source_nat: str

    @property
    def nobodys_ip(self) -> str:
        """An address of the network that the VM, which got its own by chance, does not have."""
        return "10.1.1.253" if self.machine_ip == "10.1.1.254" else "10.1.1.254"

    def forward(self, **more: object) -> dict[str, object]:
        """Parameters of a forwarding rule of SSH to the VM."""
        ports = {"protocol": "tcp", "publicport": 22, "privateport": 22}
        return {"ipaddressid": self.address, "virtualmachineid": self.machine, **ports, **more}


@pytest.fixture
def built() -> Iterator[Built]:
    with served() as lab:
        network, [machine] = lab.built(lab.user)
        address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
        [first] = lab.user.listed("listPublicIpAddresses", "publicipaddress", issourcenat="true")
        yield Built(lab, network, machine["id"], machine["nic"][0]["ipaddress"], address, first["id"])


def test_where_an_address_leads_must_be_said(built: Built) -> None:
    """A network or a VPC; a zone will do for the only network of the owner's there."""
    user, zone = built.lab.user, built.lab.built_in()["zoneid"]
    assert user.refused("associateIpAddress") == BAD
    assert user.result("associateIpAddress", zoneid=zone)["ipaddress"]["associatednetworkid"] == built.network
    assert built.lab.domadmin.refused("associateIpAddress", zoneid=zone) == BAD
    assert built.lab.root.refused("associateIpAddress", zoneid=zone) == BAD
    other = built.lab.network(built.lab.domadmin)["id"]
    assert user.refused("associateIpAddress", networkid=other) == DENIED


def test_address_that_is_taken(built: Built) -> None:
    """Asked for by its number it must be free, and be one of the zone's."""
    user = built.lab.user
    taken = user.listed("listPublicIpAddresses", "publicipaddress", id=built.address)[0]["ipaddress"]
    assert user.refused("associateIpAddress", networkid=built.network, ipaddress=taken) == (533, 9999)
    assert user.refused("associateIpAddress", networkid=built.network, ipaddress="192.0.2.7") == (533, 9999)
    assert user.refused("associateIpAddress", networkid=built.network, isportable="true") == (533, 9999)
    [free, *_] = user.listed("listPublicIpAddresses", "publicipaddress", state="Free")
    got = user.result("associateIpAddress", networkid=built.network, ipaddress=free["ipaddress"])["ipaddress"]
    assert got["id"] == free["id"]


def test_release_looks_in_its_job(built: Built) -> None:
    """Whose it is matters there; what is free already is no error; only the parameters are looked at before."""
    user = built.lab.user
    user.result("disassociateIpAddress", id=built.address)
    assert user.result("disassociateIpAddress", id=built.address) == {"success": True}
    assert user.job("disassociateIpAddress", id=built.source_nat)["jobresultcode"] == 530
    assert user.refused("disassociateIpAddress") == BAD
    assert user.refused("disassociateIpAddress", ipaddress="192.0.2.7") == BAD
    assert user.refused("disassociateIpAddress", id=built.address, ipaddress="192.0.2.7") == BAD


def test_released_address_takes_no_rules(built: Built) -> None:
    """It leads nowhere, and lists of its rules are refused."""
    user = built.lab.user
    user.result("disassociateIpAddress", id=built.address)
    assert user.refused("createFirewallRule", ipaddressid=built.address, protocol="icmp") == BAD
    assert user.refused("createPortForwardingRule", **built.forward()) == BAD
    assert user.refused("enableStaticNat", ipaddressid=built.address, virtualmachineid=built.machine) == BAD
    assert user.refused("listFirewallRules", ipaddressid=built.address) == BAD
    assert user.refused("listPortForwardingRules", ipaddressid=built.address) == BAD
    assert user.job("disableStaticNat", ipaddressid=built.address)["jobresultcode"] == 431


def test_lists_of_another_account(built: Built) -> None:
    """What hangs on another's address or network is refused, not left out."""
    other = built.lab.network(built.lab.domadmin)["id"]
    address = built.lab.domadmin.result("associateIpAddress", networkid=other)["ipaddress"]["id"]
    user = built.lab.user
    assert user.refused("listFirewallRules", ipaddressid=address) == DENIED
    assert user.refused("listPublicIpAddresses", associatednetworkid=other) == DENIED
    assert user.listed("listPublicIpAddresses", "publicipaddress", id=address) == []


def test_filters_of_addresses(built: Built) -> None:
    """Nothing is for load balancers, hidden or direct; a state is a state in any spelling."""
    user = built.lab.user
    empty = ({"forvirtualnetwork": "false"}, {"forloadbalancing": "true"}, {"forsystemvms": "true"})
    assert [user("listPublicIpAddresses", **wanted) for wanted in empty] == [{}, {}, {}]
    assert user("listPublicIpAddresses", state="allocated")["count"] == 2
    assert user.refused("listPublicIpAddresses", state="Free", allocatedonly="true") == BAD
    everybodys = built.lab.root.listed("listPublicIpAddresses", "publicipaddress", listall="true")
    assert [row["account"] for row in everybodys] == ["system", "system", "tenant", "tenant"]


def test_static_nat_takes_its_firewall_along(built: Built) -> None:
    """Disabled, the address has no rules left; enabled, it takes no forwarding; and twice is once too often."""
    user = built.lab.user
    pair = {"ipaddressid": built.address, "virtualmachineid": built.machine}
    user("enableStaticNat", **pair)
    user.result("createFirewallRule", ipaddressid=built.address, protocol="tcp", startport=22)
    assert user.refused("createPortForwardingRule", **built.forward()) == BAD
    user.result("disableStaticNat", ipaddressid=built.address)
    assert user("listFirewallRules", ipaddressid=built.address) == {}
    assert user.job("disableStaticNat", ipaddressid=built.address)["jobresultcode"] == 431
    assert user.refused("enableStaticNat", **pair | {"ipaddressid": built.source_nat}) == BAD
    assert user.refused("enableStaticNat", **pair, vmguestip=built.nobodys_ip) == BAD
    assert user("enableStaticNat", **pair, vmguestip=built.machine_ip) == {"success": True}


def test_forwarding_goes_to_the_vm_itself(built: Built) -> None:
    """An address that isn't the VM's is refused, as is a protocol without ports."""
    user = built.lab.user
    assert user.refused("createPortForwardingRule", **built.forward(vmguestip=built.nobodys_ip)) == BAD
    assert user.refused("createPortForwardingRule", **built.forward(protocol="icmp")) == BAD
    assert user.refused("createPortForwardingRule", **built.forward(publicport=65536)) == BAD
    assert user.refused("createPortForwardingRule", **built.forward(publicport="ssh")) == (431, 9999)
    assert user.refused("createPortForwardingRule", **built.forward(publicendport=30)) == BAD


def test_egress_rules(built: Built) -> None:
    """From the network itself only; no ports of everything; and the same twice is a conflict without a code."""
    user, rule = built.lab.user, {"networkid": built.network, "protocol": "tcp", "startport": 80, "endport": 80}
    assert user.refused("createEgressFirewallRule", **rule, cidrlist="10.9.0.0/16") == (431, 9999)
    assert user.refused("createEgressFirewallRule", **rule | {"protocol": "all"}) == BAD
    user.result("createEgressFirewallRule", **rule)
    assert user.refused("createEgressFirewallRule", **rule) == (537, 9999)
    user.result("createEgressFirewallRule", **rule, cidrlist="0.0.0.0/0")


def test_cidr_comes_before_the_address(built: Built) -> None:
    """What is wrong with a rule is said in the server's order."""
    user = built.lab.user
    user.result("disassociateIpAddress", id=built.address)
    assert user.refused("createFirewallRule", ipaddressid=built.address, protocol="tcp", cidrlist="x") == (431, 9999)


def test_forced_deletion_is_refused_in_the_job(built: Built) -> None:
    """Only root may force it; the others' job fails for a bad parameter."""
    assert built.lab.user.job("deleteNetwork", id=built.network, forced="true")["jobresultcode"] == 431


def test_becoming_redundant_is_a_cleanup(built: Built) -> None:
    """makeredundant alone replaces the router by two new ones."""
    before = {router["name"] for router in built.lab.routers(built.network)}
    built.lab.user.result("restartNetwork", id=built.network, makeredundant="true")
    after = {router["name"] for router in built.lab.routers(built.network)}
    assert len(after) == 2
    assert not before & after
