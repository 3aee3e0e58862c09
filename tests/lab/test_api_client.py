"""A real client library walks the whole path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cs import CloudStack, CloudStackApiException

from tests.lab.replay.serving import Lab, served


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served() as running:
        yield running


@pytest.mark.parametrize("method", ["get", "post"])
def test_cs_builds_restarts_and_removes_a_network(lab: Lab, method: str) -> None:
    """The library's signing, polling, list fetching and errors all fit."""
    client = CloudStack(
        endpoint=f"http://127.0.0.1:{lab.port}/client/api",
        key=lab.domadmin.caller.apikey,
        secret=lab.domadmin.caller.secretkey,
        method=method,
        poll_interval=0.02,
        job_timeout=30,
    )
    ids = lab.built_in()
    network = client.createNetwork(
        name="n", displaytext="n", networkofferingid=ids["networkofferingid"], zoneid=ids["zoneid"]
    )["network"]["id"]
    machine = client.deployVirtualMachine(**lab.machine_params(network, "a"), fetch_result=True)["virtualmachine"]
    address = client.associateIpAddress(networkid=network, fetch_result=True)["ipaddress"]
    client.createFirewallRule(
        ipaddressid=address["id"], protocol="icmp", icmptype=-1, icmpcode=-1, cidrlist=["0.0.0.0/0"], fetch_result=True
    )
    with pytest.raises(CloudStackApiException) as refused:
        client.createFirewallRule(ipaddressid=address["id"], protocol="icmp", icmptype=-1, icmpcode=-1)
    assert refused.value.error["errorcode"] == 431
    assert client.restartNetwork(id=network, cleanup=True, fetch_result=True) == {"success": True}
    assert [row["id"] for row in client.listNetworks(fetch_list=True)] == [network]
    client.destroyVirtualMachine(id=machine["id"], expunge=True, fetch_result=True)
    client.deleteNetwork(id=network, fetch_result=True)
    assert client.listNetworks(fetch_list=True) == []
