"""runDiagnostics: what is run on which router, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.box import build, in_box
from tests.lab.replay.serving import QUICK, Lab, Refused, served
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.packets.namespace_ground import CONTROL_TARGET, NamespaceGround


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01)) as running:
        yield running


def router(lab: Lab) -> str:
    network, _ = lab.built(lab.user)
    found: str = lab.routers(network)[0]["id"]
    return found


@pytest.mark.parametrize(
    ("params", "run"),
    [
        ({"type": "ping"}, "ping 192.0.2.7 -c 4"),
        ({"type": "ping", "params": "-c 1 -W 1"}, "ping 192.0.2.7 -c 1 -W 1"),
        ({"type": "traceroute"}, "traceroute 192.0.2.7 -m 20"),
        ({"type": "arping", "params": "-I eth2"}, "arping 192.0.2.7 -I eth2 -c 4"),
    ],
)
def test_command_that_is_run(lab: Lab, params: dict[str, str], run: str) -> None:
    """In the router, with a bound of its own unless the caller gives one."""
    target = router(lab)
    job = lab.root.job("runDiagnostics", targetid=target, ipaddress="192.0.2.7", **params)
    assert (job["jobstatus"], job["jobinstancetype"], job["jobinstanceid"]) == (1, "SystemVm", target)
    result = job["jobresult"]["diagnostics"]
    assert sorted(result) == ["exitcode", "stderr", "stdout"]
    assert all(isinstance(value, str) for value in result.values())
    name = lab.root.listed("listRouters", "router", id=target)[0]["name"]
    diary = lab.root.listed("listEvents", "event", type="SYSTEM.VM.DIAGNOSTICS", listall="true")
    assert {event["state"] for event in diary} == {"Scheduled", "Started", "Completed"}
    assert [what for kind, what in lab.ground.asked if kind == "diagnose"] == [f"{name} {run}"]


def test_mistakes_are_noticed_by_the_job(lab: Lab) -> None:
    """But for ids that are no machine's or a guest's, and callers that are not root."""
    target = router(lab)
    known = {"targetid": target, "ipaddress": "192.0.2.7", "type": "ping"}

    def outcome(**changed: str) -> tuple[int, str]:
        job = lab.root.job("runDiagnostics", **known | changed)
        return job["jobresultcode"], job["jobresult"]["errortext"]

    assert outcome(type="telnet") == (530, "telnet Is not a valid diagnostics command type. ")
    assert outcome(params="-c 1; reboot")[1].startswith("Optional parameters contain unwanted characters")
    machine = lab.root.listed("listVirtualMachines", "virtualmachine", listall="true")[0]["id"]
    assert lab.root.refused("runDiagnostics", **known | {"targetid": machine}) == (530, 9999)
    lab.root.result("stopRouter", id=target)
    assert outcome()[1].startswith("Unable to find host for virtual machine instance: r-")
    assert not [kind for kind, _ in lab.ground.asked if kind == "diagnose"]


def test_who_may(lab: Lab) -> None:
    target = router(lab)
    for who, wrong, code in ((lab.user, target, 432), (lab.domadmin, target, 432), (lab.root, "x", 431)):
        with pytest.raises(Refused) as refused:
            who("runDiagnostics", targetid=wrong, ipaddress="192.0.2.7", type="ping")
        assert refused.value.status == code
    network = lab.user.listed("listNetworks", "network")[0]["id"]
    with pytest.raises(Refused, match="Invalid parameter targetid"):
        lab.root("runDiagnostics", targetid=network, ipaddress="192.0.2.7", type="ping")


def test_router_really_pings() -> None:
    """The neighbour answers a real router; nobody answers at an address that nobody has."""

    def scene(zone: NamespaceGround) -> list[tuple[int, str, str]]:
        build(zone)
        commands = (("ping", CONTROL_TARGET, "-c", "1"), ("ping", "198.51.100.99", "-c", "1", "-W", "1"), ("nosuch",))
        return [zone.diagnose("r-1-VM", command) for command in commands]

    good, bad, missing = in_box(scene)
    assert good[0] == 0
    assert "1 received" in good[1]
    assert bad[0] == 1
    assert "100% packet loss" in bad[1]
    assert missing[0] == -1
    assert "nosuch" in missing[2]
