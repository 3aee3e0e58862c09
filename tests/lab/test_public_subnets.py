"""A second public subnet: its addresses come when the first is used up, and the router really has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.lab.alive import Body, served_on
from tests.lab.box import BRIEFLY_S, connects, in_box, wait_until
from tests.lab.replay.serving import QUICK, Lab, served
from vrbench.lab.api.state.settings import PUBLIC, SECOND_RANGE, ZoneSettings
from vrbench.lab.packets.namespace_ground import NamespaceGround

# Two addresses for the system VMs, two to take, then the second subnet.
SCARCE: dict[str, Any] = {"public_last": PUBLIC[13], "more_public": (SECOND_RANGE,)}
FIRST_FAR = "192.0.2.10"


def forwarded(lab: Lab, network: str, machine: str) -> Body:
    """Add one more address with SSH forwarded to the VM and let in."""
    address: Body = lab.root.result("associateIpAddress", networkid=network)["ipaddress"]
    ports = {"protocol": "tcp", "publicport": 22, "privateport": 22}
    lab.root.result("createPortForwardingRule", ipaddressid=address["id"], virtualmachineid=machine, **ports)
    return address


def public_nics(lab: Lab, network: str) -> list[list[str]]:
    """Return the public addresses of each router's interfaces."""
    return [
        [nic["ipaddress"] for nic in router["nic"] if nic["traffictype"] == "Public"] for router in lab.routers(network)
    ]


def test_ranges_are_listed_and_used_in_order() -> None:
    """Root sees both ranges, and of each address which one it is of; there is no third."""
    settings = ZoneSettings(timing=QUICK, api_step_s=0.01)
    short = replace(SECOND_RANGE, last=SECOND_RANGE.first)
    with served(replace(settings, **SCARCE | {"more_public": (short,)})) as lab:
        ranges = lab.root.listed("listVlanIpRanges", "vlaniprange")
        assert [(row["startip"], row["vlan"]) for row in ranges] == [
            ("198.51.100.10", "vlan://50"),
            (FIRST_FAR, "vlan://51"),
        ]
        network, _ = lab.built(lab.root)
        got = [lab.root.result("associateIpAddress", networkid=network)["ipaddress"] for _ in range(2)]
        assert [row["ipaddress"] for row in got] == ["198.51.100.13", FIRST_FAR]
        assert [row["vlanid"] for row in got] == [row["id"] for row in ranges]
        [far] = lab.root.listed("listPublicIpAddresses", "publicipaddress", vlanid=ranges[1]["id"])
        assert far["ipaddress"] == FIRST_FAR
        assert lab.root.refused("associateIpAddress", networkid=network) == (533, 9999)


def test_source_nat_of_the_second_subnet() -> None:
    """A network that comes late has all its addresses there, and its router that subnet's gateway."""
    short: dict[str, Any] = {"public_last": PUBLIC[11], "more_public": (SECOND_RANGE,)}
    with served(replace(ZoneSettings(timing=QUICK, api_step_s=0.01), **short)) as lab:
        network, _ = lab.built(lab.root)
        [router] = lab.routers(network)
        assert (router["publicip"], router["gateway"]) == (FIRST_FAR, "192.0.2.1")
        assert public_nics(lab, network) == [[FIRST_FAR]]
        assert lab.ground.routers[0].public_gateway == "192.0.2.1"


@pytest.mark.lab
@pytest.mark.parametrize("redundant", [False, True])
def test_connections_through_the_second_subnet(redundant: bool) -> None:
    """From outside, through a forwarding rule on its address: at once, after a restart, and not after the release."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone, **SCARCE) as lab:
            network, [vm] = lab.built(lab.root)
            if redundant:
                lab.root.result("restartNetwork", id=network, makeredundant="true")
            near, far, farther = (forwarded(lab, network, vm["id"]) for _ in range(3))
            assert far["ipaddress"] == FIRST_FAR
            routers = 2 if redundant else 1
            assert [nics[1:] for nics in public_nics(lab, network)] == [[FIRST_FAR]] * routers
            for address in (near, far, farther):
                assert wait_until(lambda ip=address["ipaddress"]: connects("upstream", ip, 22, BRIEFLY_S))  # type: ignore[misc]
            lab.root.result("restartNetwork", id=network, cleanup="true")
            for address in (near, far, farther):
                assert wait_until(lambda ip=address["ipaddress"]: connects("upstream", ip, 22, BRIEFLY_S))  # type: ignore[misc]
            lab.root.result("disassociateIpAddress", id=far["id"])
            assert wait_until(lambda: connects("upstream", farther["ipaddress"], 22, BRIEFLY_S))
            assert not _answers(far["ipaddress"])
            assert [nics[1:] for nics in public_nics(lab, network)] == [[farther["ipaddress"]]] * routers
            lab.root.result("disassociateIpAddress", id=farther["id"])
            assert [nics[1:] for nics in public_nics(lab, network)] == [[]] * routers
            assert connects("upstream", near["ipaddress"], 22)

    in_box(scene)


def _answers(ip: str) -> bool:
    """Return whether anybody takes a connection there; no route and no neighbour count as no."""
    try:
        return connects("upstream", ip, 22)
    except OSError:
        return False
