"""What servers of different releases do otherwise, asked of a lab that is one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.replay.serving import QUICK, Lab, Refused, eventually, served
from vrbench.lab.api.state.settings import ZoneSettings

POST_ONLY = "enforce.post.requests.and.timestamps"
TIER = {"gateway": "10.2.1.1", "netmask": "255.255.255.0"}


@contextmanager
def release(version: str) -> Iterator[Lab]:
    with served(ZoneSettings(timing=QUICK, api_step_s=0.01, server_version=version, router_check_s=0.05)) as lab:
        yield lab


@pytest.mark.parametrize(("version", "replaced"), [("4.9.3", True), ("4.11.2", False), ("4.20.2", False)])
def test_restart_without_the_cleanup_parameter(version: str, replaced: bool) -> None:
    """It cleans up on 4.9 and doesn't on later servers."""
    with release(version) as lab:
        network, _ = lab.built(lab.user)
        before = lab.routers(network)[0]["id"]
        lab.user.result("restartNetwork", id=network)
        assert (lab.routers(network)[0]["id"] != before) is replaced


@pytest.mark.parametrize(("version", "primary"), [("4.15.1", "MASTER"), ("4.18.0", "PRIMARY")])
def test_primary_was_called_master(version: str, primary: str) -> None:
    """The word changed with 4.16; the state itself shows at the server's next look."""
    with release(version) as lab:
        network, _ = lab.built(lab.user)
        lab.user.result("restartNetwork", id=network, cleanup="true", makeredundant="true")
        assert eventually(lambda: any(row["redundantstate"] == primary for row in lab.routers(network)))


def test_older_servers_ignore_parameters_they_don_t_know() -> None:
    """makeredundant on 4.9.3: no error, and one router still."""
    with release("4.9.3") as lab:
        network, _ = lab.built(lab.user)
        lab.user.result("restartNetwork", id=network, cleanup="true", makeredundant="true")
        assert len(lab.routers(network)) == 1


def tier(lab: Lab) -> str:
    """Build an implemented tier of a new VPC."""
    ids, who = lab.built_in(), lab.user
    vpc_offering = who.listed("listVPCOfferings", "vpcoffering", name="Default VPC offering")[0]["id"]
    vpc = {"name": "v", "displaytext": "v", "cidr": "10.2.0.0/16", "zoneid": ids["zoneid"]}
    vpcid = who.result("createVPC", vpcofferingid=vpc_offering, **vpc)["vpc"]["id"]
    name = "DefaultIsolatedNetworkOfferingForVpcNetworks"
    offering = who.listed("listNetworkOfferings", "networkoffering", name=name)[0]["id"]
    network = {"name": "t", "displaytext": "t", "zoneid": ids["zoneid"], "networkofferingid": offering, **TIER}
    made: str = who("createNetwork", vpcid=vpcid, **network)["network"]["id"]
    who.finished(lab.deploy(who, made, "a")["jobid"])
    return made


@pytest.mark.parametrize(("version", "code"), [("4.15.1", 0), ("4.18.0", 431), ("4.20.2", 431)])
def test_cleanup_of_a_vpc_tier(version: str, code: int) -> None:
    """Refused since 4.17, in the job."""
    with release(version) as lab:
        assert lab.user.job("restartNetwork", id=tier(lab), cleanup="true")["jobresultcode"] == code


@pytest.mark.parametrize(
    ("version", "command", "status", "text"),
    [
        ("4.9.3", "listHosts", 432, "The user is not allowed to request the API command or the API command does not"),
        ("4.9.3", "listNoSuch", 432, "The user is not allowed to request the API command or the API command does not"),
        ("4.11.2", "listHosts", 432, "The given command 'listHosts' either does not exist, is not available for user"),
        ("4.11.2", "listNoSuch", 401, "unable to verify user credentials"),
        ("4.20.2", "listHosts", 432, "The API [listHosts] does not exist or is not available for the account"),
        ("4.9.3", "patchSystemVm", 432, "The user is not allowed"),
        ("4.15.1", "patchSystemVm", 401, "unable to verify user credentials"),
    ],
)
def test_words_of_a_refused_command(version: str, command: str, status: int, text: str) -> None:
    """A command that the caller may not use, that nobody knows, or that came later."""
    with release(version) as lab, pytest.raises(Refused) as refused:
        lab.user(command, id="x")
    assert refused.value.status == status
    assert refused.value.text.startswith(text)


@pytest.mark.parametrize("version", ["4.9.3", "4.18.0"])
def test_server_says_which_it_is(version: str) -> None:
    """In its capabilities, in its hosts, and in the first line of XML."""
    with release(version) as lab:
        assert lab.user("listCapabilities")["capability"]["cloudstackversion"] == f"{version}.0"
        assert {row["version"] for row in lab.root.listed("listHosts", "host", type="Routing")} == {f"{version}.0"}


def signed_until(seconds: float) -> dict[str, str]:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"signatureVersion": "3", "expires": moment.strftime("%Y-%m-%dT%H:%M:%S+0000")}


def test_post_only_switch() -> None:
    """Switched on, nothing is changed by GET and no signature lasts long; looking by GET is fine."""
    with release("4.20.2") as lab:
        lab.root("updateConfiguration", name=POST_ONLY, value="true")
        soon, late = signed_until(600), signed_until(3600)
        assert lab.user.raw("listZones", soon)[0] == 200
        assert lab.user.raw("listZones", {})[0] == 401
        assert lab.user.raw("listZones", late)[0] == 401
        status, body = lab.user.raw("createSSHKeyPair", {"name": "k", **soon})
        assert status == 400
        text = "State changing command createSSHKeyPair needs to be sent using POST request"
        assert body["createsshkeypairresponse"]["errortext"] == text
        assert lab.user.raw("createSSHKeyPair", {"name": "k", **soon}, "POST")[0] == 200
