"""Everything that is wrong is found before anything is built, all at once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.lab import PLAN, Lab, planned
from tests.cloud.server import fake_cloud, page, refuses
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.check import offerings
from vrbench.cloud.check.choosing import choose
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import PreflightError


def problems(cloud: Cloud, plan: EnvironmentPlan = PLAN, **options: bool) -> tuple[str, ...]:
    with pytest.raises(PreflightError) as caught:
        preflight(cloud, plan, **options)
    return tuple(finding.sentence for finding in caught.value.findings)


def offering(name: str = "o", provider: str = "VirtualRouter", **more: Any) -> dict[str, Any]:
    services = ("SourceNat", "Firewall", "PortForwarding", "StaticNat", "Dhcp", "UserData")
    service = [{"name": one, "provider": [{"name": provider}]} for one in services]
    return {"id": name, "name": name, "guestiptype": "Isolated", "service": service, **more}


def test_names_become_ids_and_the_caller_is_known(lab: Lab) -> None:
    """With the defaults of a profile: the only zone, auto offering, smallest size, featured template."""
    resolved, notes = preflight(lab.cloud(), PLAN)
    assert resolved.network_offering == "DefaultIsolatedNetworkOfferingWithSourceNatService"
    assert resolved.service_offering == "Small Instance"
    assert resolved.may_expunge
    assert resolved.version.startswith("4.")
    assert resolved.account == "domadmin"
    assert [finding.name for finding in notes] == ["source"]
    named = planned(
        zone=resolved.zone_id,
        network_offering=resolved.network_offering,
        service_offering=resolved.service_offering,
        template=resolved.template_id,
    )
    assert preflight(lab.cloud(), named)[0] == resolved


def test_all_misspelt_names_come_in_one_list_with_the_nearest(lab: Lab) -> None:
    """Four slips, four lines."""
    plan = planned(
        zone="Sandbox-simulater",
        network_offering="DefaultIsolated",
        service_offering="Smal Instance",
        template="CentOs",
    )
    found = problems(lab.cloud(), plan)
    assert any("Sandbox-simulator" in line for line in found)
    assert any("DefaultIsolatedNetworkOffering" in line for line in found)
    assert any("Small Instance" in line for line in found)
    (template,) = problems(lab.cloud(), planned(template="CentOs"))
    assert "nearest: CentOS" in template


def test_an_offering_without_source_nat_is_refused_with_the_reason(lab: Lab) -> None:
    """A valid name that can't do the job."""
    (problem,) = problems(lab.cloud(), planned(network_offering="DefaultIsolatedNetworkOffering"))
    assert "SourceNat" in problem
    assert "auto" in problem


def test_limits_are_checked_for_the_whole_plan(lab: Lab) -> None:
    """30 VMs and 20 addresses (and one for source NAT) are over the default limits of 20."""
    found = problems(lab.cloud(), planned(vms=30, public_ips=20))
    assert any("20 VMs" in line and "30" in line for line in found)
    assert any("source NAT" in line and "21" in line for line in found)


class PoolShown(Cloud):
    """A cloud that shows its free public addresses, as a real one does to its administrators."""

    def call(self, command: str, /, **params: Param) -> Answer:
        if command != "listPublicIpAddresses":
            return super().call(command, **params)
        assert (params["allocatedonly"], params["state"]) == (False, "Free")
        shown = {"id": "a", "ipaddress": f"192.0.2.{params.get('page', 1)}", "state": "Free"}
        return {"count": 5, "publicipaddress": [shown]}


def test_a_small_address_pool_is_noticed_where_it_is_shown(lab: Lab) -> None:
    """Five free addresses are enough for four and source NAT, and not for five."""
    cloud = PoolShown(lab.cloud()._credentials)
    (problem,) = problems(cloud, planned(public_ips=5))
    assert "5 free public addresses" in problem
    assert "needs 6" in problem
    preflight(cloud, planned(public_ips=4))


def test_the_pool_is_counted_by_the_server(lab: Lab) -> None:
    """What the lab's own API counts is enough here, and no row more than one is asked for."""
    resolved, notes = preflight(lab.cloud("root"), planned(public_ips=3))
    assert resolved.zone_id
    assert [finding.name for finding in notes] == ["source"]


def test_a_source_of_many_addresses_is_said_aloud(lab: Lab) -> None:
    """The whole internet is let in only with a note; one address needs none."""
    _, notes = preflight(lab.cloud(), planned(source_cidr="0.0.0.0/0"))
    assert any("0.0.0.0/0 lets 4294967296 addresses in" in note.found for note in notes)
    _, notes = preflight(lab.cloud(), planned(source_cidr="192.0.2.7/32"))
    assert not any("lets" in note.found for note in notes)


def test_a_user_who_may_not_expunge_is_told_what_would_stay(lab: Lab) -> None:
    """A problem, unless the plan accepts it: then a note."""
    (problem,) = problems(lab.cloud("user"))
    assert "expunge" in problem
    assert "24 h" in problem
    resolved, notes = preflight(lab.cloud("user"), PLAN, accept_unexpunged=True)
    assert not resolved.may_expunge
    assert any("expunge" in note.found for note in notes)
    assert any("may not list routers" in note.found for note in notes)


def test_static_nat_needs_as_many_addresses_as_vms(lab: Lab) -> None:
    """One address per VM."""
    (problem,) = problems(lab.cloud(), planned(access="static-nat", vms=3, public_ips=2))
    assert "static NAT" in problem


@pytest.mark.parametrize("behaviour", [page(), refuses("listCapabilities", 401, "unable to verify user credentials")])
def test_without_an_api_there_is_one_problem(behaviour: Any) -> None:
    """Nothing else is asked, and nothing else complained about."""
    with fake_cloud(behaviour) as fake:
        assert len(problems(Cloud(fake.credentials()))) == 1
        assert len(fake.requests) == 1


def test_a_name_of_two_things_asks_for_an_id() -> None:
    """Two templates of one name: guessing would be wrong half the time."""
    row, problem = choose([{"id": "1", "name": "x"}, {"id": "2", "name": "x"}], "x", "template")
    assert row == {}
    assert "1, 2" in problem


def test_nothing_named_means_the_only_one() -> None:
    """Of two, neither."""
    assert choose([{"id": "1", "name": "x"}], "", "zone")[0]["id"] == "1"
    assert "x, y" in choose([{"id": "1", "name": "x"}, {"id": "2", "name": "y"}], "", "zone")[1]
    assert "none" in choose([], "", "zone")[1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"provider": "Nsx"}, "VirtualRouter"),
        ({"provider": "VpcVirtualRouter", "forvpc": True}, "isolated"),
        ({"specifyvlan": True}, "VLAN"),
        ({"service": []}, "SourceNat"),
    ],
)
def test_unfit_offerings_are_passed_over(change: dict[str, Any], reason: str) -> None:
    """Other providers' offerings stand in the same list."""
    unfit = offering("unfit", **change)
    assert reason in offerings.unfitness(unfit, "port-forwarding")
    assert offerings.ranked([unfit, offering("fit")], "port-forwarding") == [offering("fit")]


def test_auto_prefers_the_plain_default() -> None:
    """Not redundant, egress closed, built in."""
    redundant = offering("a")
    redundant["service"][0]["capability"] = [{"name": "RedundantRouter", "value": "true"}]
    rows = [redundant, offering("b", egressdefaultpolicy=True), offering("d"), offering("c", isdefault=True)]
    ranked = offerings.ranked(rows, "static-nat")
    assert ranked[0]["name"] == "c"
    assert [row["name"] for row in offerings.of_kind(ranked, "redundant")] == ["a"]
    assert "a" not in [row["name"] for row in offerings.of_kind(ranked, "isolated")]
