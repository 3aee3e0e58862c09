"""Networks with a pair of routers: the offering that gives them, made and removed by the run that needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, FAST, Lab, is_clean, planned, running_lab, silent
from tests.cloud.server import Behaviour, by_command, fake_cloud, says
from tests.cloud.test_lost_answers import lose
from tests.lab.no_ground import NoGround
from tests.probes.rig import wait_for
from tests.run.world import PROFILE, RUN_ID
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.build.environment import build
from vrbench.cloud.check.offerings import redundant_offering
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.errors import PreflightError, UnsafeNetwork
from vrbench.cloud.operate import operations
from vrbench.cloud.operate.operations import list_routers, preparation
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.model import Environment
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.lab.ground.port import RedundancyState
from vrbench.run.cloudstack import restart
from vrbench.run.silent import SilentScreen

PLAN = planned(network="redundant", vms=1, public_ips=1)
SOMEWHERE = Environment("n", "net", "z", "KVM", "4.20", "o", "203.0.113.1", (), ())


def offerings_of_runs(lab: Lab) -> list[str]:
    rows = lab.cloud("root").list("listNetworkOfferings", "networkoffering")
    return [row["name"] for row in rows if row["name"].startswith("vrb-")]


def test_a_pair_is_built_and_everything_goes(lab: Lab, tmp_path: Path) -> None:
    """By an offering of the run's own, which goes when its network has gone."""
    resolved, notes = preflight(lab.cloud("root"), PLAN)
    assert any("one is made for this run" in note.found for note in notes)
    with lab.journal(tmp_path / "j", "root") as journal:
        environment = build(lab.cloud("root"), PLAN, resolved, journal, silent)
        routers = list_routers(lab.cloud("root"), environment.network_id)
        assert [router.redundant for router in routers] == [True, True]
        assert offerings_of_runs(lab) == [environment.offering] == [f"{PLAN.prefix}-offering"]
        report = remove_journaled(lab.cloud("root"), journal, silent, DEADLINES)
    assert is_clean(report)
    assert offerings_of_runs(lab) == [] == lab.objects()


def test_an_offering_that_is_there_is_taken(lab: Lab) -> None:
    """Nothing is made then; and whoever asks for one router does not get two."""
    made = lab.cloud("root").call("createNetworkOffering", **redundant_offering("pairs", "r"))["networkoffering"]
    lab.cloud("root").call("updateNetworkOffering", id=made["id"], state="Enabled")
    assert lab.resolve(PLAN).network_offering == "pairs"
    assert lab.resolve(planned()).network_offering != "pairs"
    with pytest.raises(PreflightError, match="'pairs' does not give one router, which the profile's env"):
        lab.resolve(planned(network_offering="pairs"))


@pytest.mark.parametrize("role", ["domadmin", "user"])
def test_who_may_not_make_one_is_told_before_anything_is_built(lab: Lab, role: str) -> None:
    with pytest.raises(PreflightError, match="no network offering gives networks with two routers"):
        lab.resolve(PLAN, role)


def test_an_offering_whose_making_got_no_answer_is_found(lab: Lab, tmp_path: Path) -> None:
    """By its name; the build goes on with it, and all of it goes."""
    lose(lab, "createNetworkOffering", done="yes")
    cloud = lab.cloud("root")
    with lab.journal(tmp_path / "j", "root") as journal:
        environment = build(cloud, PLAN, preflight(cloud, PLAN)[0], journal, silent)
        assert environment.offering == f"{PLAN.prefix}-offering"
        assert is_clean(remove_journaled(cloud, journal, silent, DEADLINES))
    assert offerings_of_runs(lab) == [] == lab.objects()


def pair(*states: str) -> Behaviour:
    """Show two routers that run, in these redundant states."""
    rows = [
        {"id": name, "name": name, "state": "Running", "isredundantrouter": True, "redundantstate": state}
        for name, state in zip(("r-1-VM", "r-2-VM"), states, strict=True)
    ]
    return says("listRouters", {"count": len(rows), "router": rows})


@pytest.mark.parametrize("operation", ["failover", "reboot-router", "stop-start-router"])
def test_a_pair_is_waited_for_until_it_is_in_order(operation: str) -> None:
    """The server is late: it shows two backups, two primaries, and then who is in charge."""
    shown = iter((pair("BACKUP", "BACKUP"), pair("PRIMARY", "PRIMARY"), pair("BACKUP", "MASTER")))
    answers = {"listRouters": lambda request: next(shown)(request)}
    with fake_cloud(by_command(answers)) as fake:
        steps = preparation(operation)(Cloud(fake.credentials()), SOMEWHERE)
    asked = [send.keywords["id"] for send in (*steps.sends, *steps.afterwards)]  # type: ignore[attr-defined]
    assert {*asked} == {"r-2-VM"}


def test_a_pair_that_never_is_in_order_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell which of the two is active, so none is stopped."""
    monkeypatch.setattr(operations, "_PAIR_S", 0.0)
    shown = r"r-1-VM Running FAULT, r-2-VM Running BACKUP\)\. Nothing was asked"
    answers = by_command({"listRouters": pair("FAULT", "BACKUP")})
    with fake_cloud(answers) as fake, pytest.raises(UnsafeNetwork, match=shown):
        preparation("failover")(Cloud(fake.credentials()), SOMEWHERE)


@pytest.fixture
def with_pairs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Start a zone where the first router of a pair is in charge, and where the server soon knows."""
    states: dict[str, RedundancyState] = {}
    monkeypatch.setattr(
        NoGround, "redundancy_state", lambda _, name: states.setdefault(name, "BACKUP" if states else "PRIMARY")
    )
    with running_lab(replace(FAST, router_check_s=0.05)) as lab:
        yield lab


def test_the_stopped_router_is_started_after_the_trial(with_pairs: Lab, tmp_path: Path) -> None:
    """When the operation's block is left, not before."""
    lab, cloud = with_pairs, with_pairs.cloud("root")
    profile = 'environment.network="redundant"', 'operation.kind="failover"'
    plan = make_plan(load_profile(PROFILE, "small", profile), RUN_ID)
    with lab.journal(tmp_path / "j", "root") as journal:
        environment = build(cloud, PLAN, preflight(cloud, PLAN)[0], journal, silent)
        with restart(cloud, plan, SilentScreen()).prepare(environment, tmp_path) as operation:
            operation.request()
            wait_for(lambda: operation.poll().done, "the stop")
            assert sorted(r.state for r in list_routers(cloud, environment.network_id)) == ["Running", "Stopped"]
        assert [r.state for r in list_routers(cloud, environment.network_id)] == ["Running", "Running"]
        assert is_clean(remove_journaled(cloud, journal, silent, DEADLINES))
