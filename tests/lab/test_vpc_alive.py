"""A VPC on the wire: one router with a leg in every tier, access lists between them, single and redundant."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.lab.alive import CONNECT_S, Body, Prober, served_on
from tests.lab.box import BRIEFLY_S, PATIENCE_S, answers, connects, in_box, outage, wait_until
from tests.lab.replay.serving import Lab
from vrbench.lab.packets.namespace_ground import EGRESS_TARGET, NamespaceGround

pytestmark = pytest.mark.lab


@dataclass(frozen=True)
class Vpc:
    """Two tiers with a VM each; SSH to the web VM forwarded, its list lets SSH in; the other's lets nothing."""

    lab: Lab
    id: str
    public_ip: str
    web: str
    data: str
    data_ip: str
    web_acl: str


def build_vpc(lab: Lab, offering: str) -> Vpc:
    root, ids = lab.root, lab.built_in()
    offerings = root.listed("listVPCOfferings", "vpcoffering")
    chosen = next(each["id"] for each in offerings if each["name"] == offering)
    vpc = root.result(
        "createVPC", name="vpc", displaytext="vpc", cidr="10.2.0.0/16", vpcofferingid=chosen, zoneid=ids["zoneid"]
    )["vpc"]["id"]
    acl = root.result("createNetworkACLList", name="web", vpcid=vpc)["networkacllist"]["id"]
    root.result("createNetworkACL", aclid=acl, protocol="tcp", startport=22, endport=22, traffictype="Ingress")
    names = {"web": acl, "data": _deny(lab)}
    tiers = {name: _tier(lab, vpc, name, number, names[name]) for number, name in enumerate(names, 1)}
    vms = {name: root.finished(lab.deploy(root, tier, name)["jobid"]) for name, tier in tiers.items()}
    machines: dict[str, Body] = {name: job["jobresult"]["virtualmachine"] for name, job in vms.items()}
    address = root.result("associateIpAddress", vpcid=vpc)["ipaddress"]
    root.result(
        "createPortForwardingRule", ipaddressid=address["id"], protocol="tcp", publicport=22, privateport=22,
        virtualmachineid=machines["web"]["id"], networkid=tiers["web"],
    )  # fmt: skip
    data_ip = machines["data"]["nic"][0]["ipaddress"]
    return Vpc(lab, vpc, address["ipaddress"], machines["web"]["name"], machines["data"]["name"], data_ip, acl)


def _deny(lab: Lab) -> str:
    lists = lab.root.listed("listNetworkACLLists", "networkacllist")
    return next(str(each["id"]) for each in lists if each["name"] == "default_deny")


def _tier(lab: Lab, vpc: str, name: str, number: int, acl: str) -> str:
    offerings = lab.root.listed("listNetworkOfferings", "networkoffering", forvpc="true")
    offering = next(each["id"] for each in offerings if each["name"].endswith("ForVpcNetworks"))
    answer = lab.root(
        "createNetwork", name=name, networkofferingid=offering, zoneid=lab.built_in()["zoneid"], vpcid=vpc,
        gateway=f"10.2.{number}.1", netmask="255.255.255.0", aclid=acl,
    )  # fmt: skip
    return str(answer["network"]["id"])


def played(offering: str, scene: Callable[[Vpc], None], **settings: object) -> None:
    def whole(zone: NamespaceGround) -> None:
        with served_on(zone, **settings) as lab:
            scene(build_vpc(lab, offering))

    in_box(whole)


def test_a_vpc_lets_in_and_out_what_its_lists_say() -> None:
    """SSH reaches the web tier from outside; the data tier takes nothing, not from the other tier either, until its
    list says so; a list that allows may leave."""

    def scene(vpc: Vpc) -> None:
        root = vpc.lab.root
        assert connects("upstream", vpc.public_ip, 22)
        assert not connects(vpc.web, vpc.data_ip, 22, BRIEFLY_S)
        assert answers(vpc.web, EGRESS_TARGET)
        assert not answers(vpc.data, EGRESS_TARGET, BRIEFLY_S)  # default_deny lets nothing out
        root.result(
            "createNetworkACL", aclid=vpc.web_acl, protocol="icmp", icmptype=-1, icmpcode=-1, traffictype="Egress",
            action="deny", number=5,
        )  # fmt: skip
        assert not answers(vpc.web, EGRESS_TARGET, BRIEFLY_S)
        assert connects("upstream", vpc.public_ip, 22)

    played("Default VPC offering", scene)


def test_a_vpc_restarts_with_all_its_tiers() -> None:
    """Another router afterwards, with the same legs, lists and forwardings; ingress came back."""

    def scene(vpc: Vpc) -> None:
        before = [router["name"] for router in vpc.lab.root.listed("listRouters", "router", vpcid=vpc.id)]
        with Prober("upstream", (vpc.public_ip, 22)) as ingress:
            began = time.monotonic()
            vpc.lab.root.result("restartVPC", id=vpc.id, cleanup="true")
            assert ingress.waits_for_up()
            took_s = time.monotonic() - began
        after = [router["name"] for router in vpc.lab.root.listed("listRouters", "router", vpcid=vpc.id)]
        assert len(before) == len(after) == 1
        assert before != after
        assert ingress.longest_gap_s() < took_s + CONNECT_S
        assert answers(vpc.web, EGRESS_TARGET)
        assert not connects(vpc.web, vpc.data_ip, 22, BRIEFLY_S)

    played("Default VPC offering", scene)


def test_a_redundant_vpc_fails_over_in_every_tier() -> None:
    """Two routers, one primary; when its router is destroyed the other serves all tiers."""

    def scene(vpc: Vpc) -> None:
        root = vpc.lab.root

        def routers() -> dict[str, str]:
            return {r["redundantstate"]: r["id"] for r in root.listed("listRouters", "router", vpcid=vpc.id)}

        assert wait_until(lambda: set(routers()) == {"PRIMARY", "BACKUP"})
        assert connects("upstream", vpc.public_ip, 22)
        root.result("destroyRouter", id=routers()["PRIMARY"])
        assert wait_until(lambda: answers(vpc.web, EGRESS_TARGET, BRIEFLY_S))
        assert wait_until(lambda: connects("upstream", vpc.public_ip, 22, BRIEFLY_S))
        assert not connects(vpc.web, vpc.data_ip, 22, BRIEFLY_S)

    played("Redundant VPC offering", scene, router_check_s=0.1)


def test_an_injected_outage_takes_tiers_as_it_takes_an_isolated_network() -> None:
    """Egress is out in every tier while SSH comes in, ingress the other way round; one VM's outage is its own alone."""

    everything = {"web out", "data out", "in"}

    def works(vpc: Vpc, expected: set[str]) -> set[str]:
        """Return what works; wait long only for what is expected to."""
        looks: dict[str, Callable[[float], bool]] = {
            "web out": lambda within_s: answers(vpc.web, EGRESS_TARGET, within_s),
            "data out": lambda within_s: answers(vpc.data, EGRESS_TARGET, within_s),
            "in": lambda within_s: connects("upstream", vpc.public_ip, 22, within_s),
        }
        return {name for name, look in looks.items() if look(PATIENCE_S if name in expected else BRIEFLY_S)}

    def whole(zone: NamespaceGround) -> None:
        with served_on(zone) as lab:
            vpc = build_vpc(lab, "Default VPC offering")
            (data,) = (n["id"] for n in lab.root.listed("listNetworks", "network") if n["name"] == "data")
            lists = lab.root.listed("listNetworkACLLists", "networkacllist")
            allow = next(each["id"] for each in lists if each["name"] == "default_allow")
            lab.root.result("replaceNetworkACLList", aclid=allow, networkid=data)
            web_ip = zone.vm(vpc.web).ip

            def spares(direction: str, address: str | None, expected: set[str]) -> bool:
                found: set[str] = set()
                outage(zone, direction, address, lambda: found.update(works(vpc, expected)))
                return found == expected

            assert works(vpc, everything) == everything
            assert spares("egress", None, {"in"})
            assert spares("ingress", None, {"web out", "data out"})
            assert spares("both", None, set())
            assert spares("egress", vpc.data_ip, {"web out", "in"})
            assert spares("ingress", web_ip, {"web out", "data out"})
            assert works(vpc, everything) == everything

    in_box(whole)


def test_forwarding_in_a_vpc_may_be_for_some_sources_only() -> None:
    """A rule with a list of CIDRs leads nobody else in; it shows the list."""

    def scene(zone: NamespaceGround) -> None:
        with served_on(zone) as lab:
            vpc = build_vpc(lab, "Default VPC offering")
            [old] = lab.root.listed("listPortForwardingRules", "portforwardingrule")
            lab.root.result("deletePortForwardingRule", id=old["id"])
            same = {name: old[name] for name in ("ipaddressid", "virtualmachineid", "networkid", "protocol")}
            ports = {"publicport": 22, "privateport": 22, "cidrlist": "203.0.113.0/24"}
            rule = lab.root.result("createPortForwardingRule", **same, **ports)["portforwardingrule"]
            assert rule["cidrlist"] == "203.0.113.0/24"
            assert not connects("upstream", vpc.public_ip, 22, BRIEFLY_S)
            lab.root.result("deletePortForwardingRule", id=rule["id"])
            lab.root.result("createPortForwardingRule", **same, **ports | {"cidrlist": "198.51.100.0/24"})
            assert wait_until(lambda: connects("upstream", vpc.public_ip, 22, BRIEFLY_S))

    in_box(scene)
