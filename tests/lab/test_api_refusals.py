"""What the API refuses: too much, what is taken, what conflicts, what is not the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.lab.replay.serving import QUICK, Lab, Refused, served
from vrbench.lab.api.state.settings import PUBLIC, ZoneSettings

SETTINGS = ZoneSettings(timing=QUICK)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(SETTINGS) as running:
        yield running


def test_refusals_stand_among_the_events(lab: Lab) -> None:
    """What was understood and refused is an event of level ERROR; what could not be read is not."""
    network, _ = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    for _ in range(2):
        lab.user.raw("createFirewallRule", {"ipaddressid": address, "protocol": "tcp", "startport": 1, "endport": 2})
    lab.user.raw("createFirewallRule", {"ipaddressid": "nope", "protocol": "tcp"})
    found = lab.user.listed("listEvents", "event", level="ERROR")
    assert [(event["type"], event["state"]) for event in found] == [("FIREWALL.OPEN", "Created")]


def test_address_limit(lab: Lab) -> None:
    """At the limit an address is refused at submission, with 532."""
    network, _ = lab.built(lab.user)
    lab.root("updateResourceLimit", resourcetype=1, max=1, **lab.tenant())
    with pytest.raises(Refused, match="Maximum number of public IP addresses for account: tenant") as refused:
        lab.user("associateIpAddress", networkid=network)
    assert refused.value.status == 532


def test_address_limit_reached_side_by_side(lab: Lab) -> None:
    """Callers that all got past the check at submission: the excess fails in the job, with 530."""
    network, _ = lab.built(lab.user)
    lab.root("updateResourceLimit", resourcetype=1, max=3, **lab.tenant())
    with ThreadPoolExecutor(6) as side_by_side:
        calls = [side_by_side.submit(lab.user.raw, "associateIpAddress", {"networkid": network}) for _ in range(6)]
    answers = [call.result() for call in calls]
    assert {status for status, _ in answers} <= {200, 532}
    jobs = [lab.user.finished(body["associateipaddressresponse"]["jobid"]) for status, body in answers if status == 200]
    assert [job["jobresultcode"] for job in jobs].count(0) == 2
    assert {job["jobresultcode"] for job in jobs} <= {0, 530}
    assert len(lab.user.listed("listPublicIpAddresses", "publicipaddress")) == 3


def test_machine_limits(lab: Lab) -> None:
    """VMs and CPUs over the limit are refused with 535, and nothing is left of them."""
    network = lab.network(lab.user)["id"]
    lab.root("updateResourceLimit", resourcetype=0, max=0, **lab.tenant())
    with pytest.raises(Refused, match="Type = 'user_vm'") as refused:
        lab.deploy(lab.user, network, "a")
    assert refused.value.status == 535
    assert lab.user("listVirtualMachines") == {}


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"name": "bad_name!"}, "Invalid value provided for API arg: name"),
        ({"keypair": "nope"}, "Not all specified keypairs exist"),
        ({"userdata": "!!notbase64"}, "User data is not base64 encoded."),
    ],
)
def test_deployments_that_are_refused(lab: Lab, extra: dict[str, str], text: str) -> None:
    """431 at submission."""
    network = lab.network(lab.user)["id"]
    with pytest.raises(Refused, match=text) as refused:
        lab.user("deployVirtualMachine", **{**lab.machine_params(network, "a"), **extra})
    assert refused.value.status == 431


def test_names_are_taken_once_per_network(lab: Lab) -> None:
    """A second VM of that name is refused on this network, and has another node on the next."""
    first, _ = lab.built(lab.user, 1, "a")
    second = lab.network(lab.user, "b")["id"]
    with pytest.raises(Refused, match="already exists in the network domain"):
        lab.deploy(lab.user, first, "a-vm0")
    lab.user.finished(lab.deploy(lab.user, second, "a-vm0")["jobid"])
    assert len({machine.name for machine in lab.ground.machines}) == 2


def test_rules_conflict(lab: Lab) -> None:
    """The same opening twice, static NAT on a forwarding address: 537; a CIDR without a prefix: 431."""
    network, [machine] = lab.built(lab.user)
    address = lab.user.result("associateIpAddress", networkid=network)["ipaddress"]["id"]
    opening = {"ipaddressid": address, "protocol": "tcp", "startport": 22, "endport": 22}
    lab.user.result("createFirewallRule", cidrlist="198.51.100.1/32", **opening)
    with pytest.raises(Refused, match="The range specified, 22-22, conflicts with rule") as refused:
        lab.user("createFirewallRule", cidrlist="198.51.100.1/32", **opening)
    assert refused.value.status == 537
    with pytest.raises(Refused, match=r"Source CIDRs formatting error 198\.51\.100\.1"):
        lab.user("createFirewallRule", cidrlist="198.51.100.1", **opening)
    forward = {"publicport": 22, "privateport": 22, "virtualmachineid": machine["id"], "openfirewall": "false"}
    lab.user.result("createPortForwardingRule", ipaddressid=address, protocol="tcp", **forward)
    with pytest.raises(Refused, match="already has PortForwarding rules") as refused:
        lab.user("enableStaticNat", ipaddressid=address, virtualmachineid=machine["id"])
    assert refused.value.status == 537


def test_pool_runs_dry() -> None:
    """With no address left an associate is refused with 533, and a network's first VM ends in Error."""
    with served(replace(SETTINGS, public_last=PUBLIC[12])) as lab:
        network, _ = lab.built(lab.root)
        with pytest.raises(Refused, match="Insufficient address capacity") as refused:
            lab.root("associateIpAddress", networkid=network)
        assert refused.value.status == 533
        other = lab.network(lab.user)["id"]
        job = lab.user.finished(lab.deploy(lab.user, other, "a")["jobid"])
        assert job["jobresultcode"] == 530
        assert lab.user.listed("listVirtualMachines", "virtualmachine")[0]["state"] == "Error"


def test_plain_user_may_not_expunge(lab: Lab) -> None:
    """The job fails and the VM runs on; a plain destroy hides it, and the network can't go before the housekeeper."""
    network, [machine] = lab.built(lab.user)
    assert not lab.user("listCapabilities")["capability"]["allowuserexpungerecovervm"]
    refused = lab.user.job("destroyVirtualMachine", id=machine["id"], expunge="true")
    assert refused["jobresult"] == {
        "errorcode": 530,
        "errortext": "Account does not have permission for expunging.",
    }
    assert lab.user.listed("listVirtualMachines", "virtualmachine")[0]["state"] == "Running"
    lab.user.result("destroyVirtualMachine", id=machine["id"])
    assert lab.user("listVirtualMachines") == {}
    assert lab.user.job("deleteNetwork", id=network)["jobresult"]["errortext"] == "Failed to delete network"


def test_foreign_things_are_out_of_reach(lab: Lab) -> None:
    """A user can neither see nor touch what belongs to another account."""
    network, [machine] = lab.built(lab.domadmin)
    assert lab.user("listVirtualMachines", id=machine["id"]) == {}
    for command, target in (("deleteNetwork", network), ("destroyVirtualMachine", machine["id"])):
        with pytest.raises(Refused) as refused:
            lab.user(command, id=target)
        assert refused.value.status == 531


def test_network_that_cannot_be_implemented(lab: Lab) -> None:
    """Its router can't start: the VM ends in Error, nothing is left on the ground, and a later VM succeeds."""
    network = lab.network(lab.user)["id"]
    mock = {"zoneid": lab.built_in()["zoneid"], "name": "StartCommand"}
    lab.root("configureSimulator", value="fail", **mock)
    job = lab.user.finished(lab.deploy(lab.user, network, "a")["jobid"])
    assert job["jobresult"]["errortext"].startswith("Unable to orchestrate the start of VM instance")
    assert lab.user.listed("listVirtualMachines", "virtualmachine")[0]["state"] == "Error"
    assert lab.user.listed("listNetworks", "network")[0]["state"] == "Allocated"
    assert lab.routers(network) == []
    assert [name for name, _ in lab.ground.asked][-1] == "remove_network"
    lab.root("cleanupSimulatorMock", id=1)
    lab.user.finished(lab.deploy(lab.user, network, "b")["jobid"])
    assert [router["state"] for router in lab.routers(network)] == ["Running"]
