"""Creating calls whose answer is lost: what they made is found, and the build goes on; none of them is sent twice."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, FAST, PLAN, Lab, is_clean, planned, running_lab, silent
from tests.cloud.test_environment import Listening
from vrbench.cloud.api.calls import ON_ROUTER
from vrbench.cloud.api.facade import Answer, Cloud, Param
from vrbench.cloud.build.environment import build
from vrbench.cloud.build.traces import TRACES
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.model import Environment

WANTED = planned(vms=3, public_ips=3, settle_s=0.3)
STATIC = replace(WANTED, access="static-nat")
ONCE = {
    "registerSSHKeyPair": 1,
    "createNetwork": 1,
    "deployVirtualMachine": 3,
    "associateIpAddress": 3,
    "createFirewallRule": 6,
    "createEgressFirewallRule": 1,
}
# A network offering is made by the root administrator alone (test_redundant).
MADE = [
    (command, STATIC if command == "enableStaticNat" else WANTED)
    for command in TRACES
    if command != "createNetworkOffering"
]


def lose(lab: Lab, command: str, **how: str) -> None:
    """Reset the connection instead of answering the next call of this command."""
    value = ";".join(f"{key}={word}" for key, word in {"command": command, "times": "1", **how}.items())
    lab.cloud("root").call("configureSimulator", name="api-reset", value=value)


def built(lab: Lab, path: Path, plan: EnvironmentPlan, cloud: Cloud | None = None) -> Environment:
    with lab.journal(path) as journal:
        environment = build(cloud or lab.cloud(), plan, lab.resolve(plan), journal, silent)
        assert {entry.kind for entry in journal.pending() if not entry.id} == set()
        assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))
    assert lab.objects() == []
    return environment


@pytest.mark.parametrize(("command", "plan"), MADE, ids=[command for command, _ in MADE])
def test_what_was_carried_out_without_an_answer_is_found(
    lab: Lab, tmp_path: Path, command: str, plan: EnvironmentPlan
) -> None:
    """The environment is whole, nothing was asked for twice, and all of it goes by the journal."""
    cloud = Listening(lab.cloud()._credentials)
    lose(lab, command, done="yes")
    environment = built(lab, tmp_path / "j", plan, cloud)
    leads = {"enableStaticNat" if plan is STATIC else "createPortForwardingRule": 3}
    assert {made: n for made, n in Counter(cloud.asked).items() if made in TRACES} == {**ONCE, **leads}
    assert len({guest.vm_id for guest in environment.guests}) == 3
    assert len({guest.public_ip for guest in environment.guests}) == 3
    assert all(guest.ip for guest in environment.guests)


@pytest.mark.parametrize(("command", "plan"), MADE, ids=[command for command, _ in MADE])
def test_what_was_never_carried_out_ends_the_build_in_words(
    lab: Lab, tmp_path: Path, command: str, plan: EnvironmentPlan
) -> None:
    """It is looked for, and not sent again: whether it is still on its way nobody can know."""
    cloud = Listening(lab.cloud()._credentials)
    lose(lab, command, done="no")
    with lab.journal(tmp_path / "j") as journal:
        with pytest.raises(CloudError) as ended:
            build(cloud, plan, lab.resolve(plan), journal, silent)
        assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))
    words = (
        r"the connection was (reset|closed without an answer)\. It may have been carried out .* isn't there after 0 s"
    )
    assert re.search(words, str(ended.value)), ended.value
    assert ended.value.command == command
    assert cloud.asked.count(command) <= min(ON_ROUTER, ONCE.get(command, ON_ROUTER))
    assert lab.objects() == []


def test_several_addresses_without_an_answer_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    """They have no names: each is one of the network's that no answer has told of."""
    lose(lab, "associateIpAddress", done="yes", times="4")
    environment = built(lab, tmp_path / "j", planned(vms=1, public_ips=6, settle_s=0.3))
    assert len({end.public_ip for end in environment.endpoints}) == 6


def test_nothing_is_begun_before_a_lost_answer_is_cleared_up(tmp_path: Path) -> None:
    """A server that doesn't answer is not sent thirty more calls, each to wait out its time: the fourth rule waits."""
    plan = planned(vms=1, public_ips=1, settle_s=10.0)
    with running_lab(replace(FAST, rule_cost_s=0.5)) as lab, lab.journal(tmp_path / "j") as journal:
        cloud = Listening(lab.cloud()._credentials)
        lose(lab, "createFirewallRule", done="yes")
        build(cloud, plan, lab.resolve(plan), journal, silent)
    rules = [command for command in cloud.asked if command.endswith(("Rule", "Rules"))]
    assert sum(command.startswith("create") for command in rules) == 4
    assert rules.index("listFirewallRules") <= ON_ROUTER


def test_a_slow_router_and_an_impatient_client(tmp_path: Path) -> None:
    """Submissions that wait for their turn longer than the client does are carried out later, and found."""
    with running_lab(replace(FAST, rule_cost_s=0.2)) as lab:
        cloud = Cloud(lab.cloud()._credentials, mutation_timeout_s=0.3)
        for access in ("port-forwarding", "static-nat"):
            plan = planned(vms=1, public_ips=1, access=access, settle_s=10.0)
            assert len(built(lab, tmp_path / access, plan, cloud).guests) == 1


def test_a_vm_that_is_found_in_error_ends_the_build(lab: Lab, tmp_path: Path) -> None:
    """There it is, and will never run."""
    lab.cloud("root").call("configureSimulator", name="StartCommand", value="fail")
    lose(lab, "deployVirtualMachine", done="yes")
    with lab.journal(tmp_path / "j") as journal:
        with pytest.raises(CloudError, match=r"vm vrb-1a2b3c4d-vm1 is there and is Error: look at its events"):
            build(lab.cloud(), replace(PLAN, vms=1), lab.resolve(PLAN), journal, silent)
        assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))
    assert lab.objects() == []


class Blind(Cloud):
    """A cloud that shows no key pairs, or two of each."""

    twice = False

    def call(self, command: str, /, **params: Param) -> Answer:
        answer = super().call(command, **params)
        if command != "listSSHKeyPairs":
            return answer
        if not self.twice:
            raise CloudError("listSSHKeyPairs: not today", command=command)
        return {"count": 2, "sshkeypair": answer["sshkeypair"] * 2}


@pytest.mark.parametrize(
    ("twice", "words"),
    [
        (False, r"isn't there after 0 s \(the last look failed: listSSHKeyPairs: not today\)\. No call is sent twice"),
        (True, "2 objects look like keypair vrb-1a2b3c4d-key: find out which is this run's"),
    ],
)
def test_what_can_t_be_told_ends_the_build(lab: Lab, tmp_path: Path, twice: bool, words: str) -> None:
    """Neither a look that fails nor two of one name say what came of the call."""
    cloud = Blind(lab.cloud()._credentials)
    cloud.twice = twice
    lose(lab, "registerSSHKeyPair", done="yes")
    with lab.journal(tmp_path / "j") as journal:
        with pytest.raises(CloudError, match=words):
            build(cloud, WANTED, lab.resolve(PLAN), journal, silent)
        assert is_clean(remove_journaled(lab.cloud(), journal, silent, DEADLINES))


def test_a_call_that_was_never_sent_is_not_looked_for(lab: Lab, tmp_path: Path) -> None:
    """Nobody listened: nothing can have come of it."""
    told: list[str] = []
    nobody = replace(lab.cloud()._credentials, endpoint="http://127.0.0.1:9/client/api")
    with lab.journal(tmp_path / "j") as journal, pytest.raises(CloudError, match="the connection was refused"):
        build(Cloud(nobody), PLAN, lab.resolve(PLAN), journal, told.append)
    assert told == ["registering the run's key pair"]


@pytest.mark.parametrize("look", ["listNetworks", "listPublicIpAddresses", "listRouters"])
def test_one_look_that_fails_ends_no_build(lab: Lab, tmp_path: Path, look: str) -> None:
    """Looks change nothing, and are repeated for some seconds."""
    resolved, cloud = lab.resolve(PLAN), Listening(lab.cloud()._credentials)
    with lab.journal(tmp_path / "j") as journal:
        lose(lab, look, times="2")  # the first may have come by a connection kept from before, and is sent anew at once
        environment = build(cloud, replace(PLAN, vms=1, public_ips=1), resolved, journal, silent)
    assert cloud.asked.count(look) >= 2
    assert len(environment.routers) == 1
