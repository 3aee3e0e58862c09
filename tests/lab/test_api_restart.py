"""restartNetwork and the router commands, as an operator sees them through the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.lab.replay.serving import QUICK, Lab, Refused, served
from vrbench.lab.api.routers.network_routers import NetworkRouters
from vrbench.lab.api.state.settings import ZoneSettings

SETTINGS = ZoneSettings(timing=QUICK, api_step_s=0.01)


@pytest.fixture
def lab() -> Iterator[Lab]:
    with served(SETTINGS) as running:
        yield running


def watched_restart(lab: Lab, network: str) -> list[tuple[tuple[str, str], ...]]:
    """Return the routers' names and states over time while the network is restarted with cleanup; equal ones once.

    Time goes on only when whatever lasts has been seen.
    """

    def look() -> tuple[tuple[str, str], ...]:
        return tuple((router["name"], router["state"]) for router in lab.routers(network))

    with lab.clock.held():
        seen = [look()]
        job = lab.user("restartNetwork", id=network, cleanup="true")["jobid"]
        while True:
            lasts, now = lab.clock.waiting(), look()
            if seen[-1] != now:
                seen.append(now)
            done = lab.user("queryAsyncJobResult", jobid=job)
            if done["jobstatus"]:
                assert done["jobresult"] == {"success": True}
                return seen
            if lasts:
                lab.clock.turn_to_next()


def states_of(seen: list[tuple[tuple[str, str], ...]], name: str) -> list[str]:
    """Return one router's states in order, "gone" where it is not listed."""
    states = [dict(row).get(name, "gone") for row in seen]
    return [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]


def names(lab: Lab, network: str) -> list[str]:
    return [router["name"] for router in lab.routers(network)]


def test_parallel_restart_as_an_operator_sees_it(lab: Lab) -> None:
    """The new router goes Stopped, Starting, Running beside the old one, which then goes Stopping, Stopped, away."""
    network, _ = lab.built(lab.user)
    [old] = lab.routers(network)
    seen = watched_restart(lab, network)
    [new] = lab.routers(network)
    assert states_of(seen, old["name"]) == ["Running", "Stopping", "Stopped", "gone"]
    assert [s for s in states_of(seen, new["name"]) if s != "gone"] == ["Stopped", "Starting", "Running"]
    both = [dict(row) for row in seen if len(row) == 2]
    assert {row[old["name"]] for row in both if row[new["name"]] == "Starting"} == {"Running"}


def test_parallel_restart_keeps_the_public_mac(lab: Lab) -> None:
    """Same public address and MAC, same gateway address, new guest MAC, as in the ground's orders."""
    network, _ = lab.built(lab.user)
    [old] = lab.routers(network)
    lab.user.result("restartNetwork", id=network, cleanup="true")
    [new] = lab.routers(network)
    for field in ("publicip", "publicmacaddress", "guestipaddress"):
        assert new[field] == old[field]
    assert new["guestmacaddress"] != old["guestmacaddress"]
    placed = lab.ground.routers[-1]
    assert (placed.public_mac, placed.guest_mac) == (new["publicmacaddress"], new["guestmacaddress"])


def test_serial_restart_leaves_no_router_for_a_while() -> None:
    """The old one is gone before the new one appears, and the new public MAC differs."""
    with served(replace(SETTINGS, strategy="serial")) as lab:
        network, _ = lab.built(lab.user)
        [old] = lab.routers(network)
        seen = watched_restart(lab, network)
        [new] = lab.routers(network)
        assert all(len(row) <= 1 for row in seen)
        assert states_of(seen, old["name"]) == ["Running", "Stopping", "Stopped", "gone"]
        assert new["publicmacaddress"] != old["publicmacaddress"]


def test_global_setting_switches_the_strategy(lab: Lab) -> None:
    """network.rolling.restart, listed as the server lists it, decides for the next restart."""
    [row] = lab.root.listed("listConfigurations", "configuration", name="network.rolling.restart")
    assert row["value"] == "true"
    network, _ = lab.built(lab.user)
    lab.root("updateConfiguration", name="network.rolling.restart", value="false")
    lab.ground.asked.clear()
    lab.user.result("restartNetwork", id=network, cleanup="true")
    deeds = [name for name, _ in lab.ground.asked]
    assert deeds.index("remove_router") < deeds.index("place_router")


@pytest.mark.parametrize("params", [{}, {"cleanup": "false"}, {"cleanup": "maybe"}])
def test_restart_without_cleanup_only_applies_rules(lab: Lab, params: dict[str, str]) -> None:
    """Missing, false and unreadable all mean: same router, same rules again."""
    network, _ = lab.built(lab.user)
    before = names(lab, network)
    lab.ground.asked.clear()
    lab.user.result("restartNetwork", id=network, **params)
    assert names(lab, network) == before
    assert {name for name, _ in lab.ground.asked} == {"program_router"}


def test_livepatch_with_cleanup_replaces_the_router(lab: Lab) -> None:
    """The combination does a full cleanup."""
    network, _ = lab.built(lab.user)
    before = names(lab, network)
    lab.user.result("restartNetwork", id=network, cleanup="true", livepatch="true")
    assert names(lab, network) != before


def test_second_restart_waits_and_fails(lab: Lab) -> None:
    """Two at once: the first does its work, the second finds other routers than it saw."""
    network, _ = lab.built(lab.user)
    with lab.clock.held():
        first, second = (lab.user("restartNetwork", id=network, cleanup="true")["jobid"] for _ in range(2))
    assert lab.user.finished(first)["jobresult"] == {"success": True}
    assert lab.user.finished(second)["jobresultcode"] == 530
    assert [router["state"] for router in lab.routers(network)] == ["Running"]


def test_restart_of_an_allocated_network_fails_in_the_job(lab: Lab) -> None:
    """Submission is fine; the job says which states are right."""
    network = lab.network(lab.user)["id"]
    job = lab.user.job("restartNetwork", id=network, cleanup="true")
    assert job["jobresult"]["errortext"].startswith("Network is not in the right state to be restarted")


def test_new_router_that_cannot_start(lab: Lab) -> None:
    """The old one runs on with a stopped one beside it; the next restart repairs that."""
    network, _ = lab.built(lab.user)
    [old] = names(lab, network)
    mock = {"zoneid": lab.built_in()["zoneid"], "name": "StartCommand"}
    lab.root("configureSimulator", value="fail", **mock)
    job = lab.user.job("restartNetwork", id=network, cleanup="true")
    assert job["jobresult"]["errortext"].startswith("Unable to create a deployment for VM instance")
    assert [router["state"] for router in lab.routers(network)] == ["Running", "Stopped"]
    assert names(lab, network)[0] == old
    lab.root("configureSimulator", value="wait:1", **mock)
    lab.user.result("restartNetwork", id=network, cleanup="true")
    assert [router["state"] for router in lab.routers(network)] == ["Running"]


def test_old_router_that_cannot_stop(lab: Lab) -> None:
    """Both remain, the old one Stopping; the next restart fails over it as well."""
    network, _ = lab.built(lab.user)
    mock = {"zoneid": lab.built_in()["zoneid"], "name": "StopCommand"}
    lab.root("configureSimulator", value="fail", **mock)
    job = lab.user.job("restartNetwork", id=network, cleanup="true")
    assert job["jobresultcode"] == 530
    assert [router["state"] for router in lab.routers(network)] == ["Stopping", "Running"]
    lab.root("configureSimulator", value="wait:0", **mock)
    again = lab.user.job("restartNetwork", id=network, cleanup="true")
    assert again["jobresult"]["errortext"].startswith("Unable to orchestrate the start of VM instance")


def test_router_commands(lab: Lab) -> None:
    """Stop, start, reboot and destroy; after a destroy a restart makes a router with a new public MAC."""
    network, _ = lab.built(lab.user)
    [router] = lab.routers(network)
    states = [
        lab.root.result(command, id=router["id"])["router"]["state"]
        for command in ("stopRouter", "startRouter", "rebootRouter", "destroyRouter")
    ]
    assert states == ["Stopped", "Running", "Running", "Destroyed"]
    assert lab.routers(network) == []
    lab.user.result("restartNetwork", id=network, cleanup="true")
    [new] = lab.routers(network)
    assert new["publicip"] == router["publicip"]
    assert new["publicmacaddress"] != router["publicmacaddress"]


def test_domain_administrator_sees_less_of_a_router(lab: Lab) -> None:
    """No host, no guest side; a user may not list routers at all."""
    network, _ = lab.built(lab.user)
    [full] = lab.routers(network)
    [part] = lab.domadmin.listed("listRouters", "router", networkid=network, listall="true")
    hidden = set(full) - set(part)
    assert {"hostid", "hostname", "guestipaddress", "guestmacaddress", "networkdomain"} <= hidden
    with pytest.raises(Refused) as refused:
        lab.user("listRouters")
    assert refused.value.status == 432


def test_diary_of_a_restart(lab: Lab) -> None:
    """Scheduled, started, completed, tied together by the first one's id."""
    network, _ = lab.built(lab.user)
    lab.user.result("restartNetwork", id=network, cleanup="true")
    rows: list[dict[str, Any]] = lab.user.listed("listEvents", "event", type="NETWORK.RESTART")
    assert [row["state"] for row in rows] == ["Scheduled", "Started", "Completed"]
    assert {row.get("parentid", rows[0]["id"]) for row in rows} == {rows[0]["id"]}
    assert {row["resourceid"] for row in rows} == {network}
    assert {row["level"] for row in rows} == {"INFO"}


def test_destroyed_router_comes_back(lab: Lab) -> None:
    """A restart without cleanup, or the next VM, brings up a router where none is left."""
    network, _ = lab.built(lab.user)

    def lose_router() -> None:
        [router] = lab.routers(network)
        lab.root.result("destroyRouter", id=router["id"])
        assert lab.routers(network) == []

    lose_router()
    lab.user.result("restartNetwork", id=network, cleanup="false")
    assert [row["state"] for row in lab.routers(network)] == ["Running"]
    lose_router()
    lab.user.finished(lab.deploy(lab.user, network, "late")["jobid"])
    assert [row["state"] for row in lab.routers(network)] == ["Running"]


def test_what_comes_before_the_first_restart_takes_a_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A router's first boot may be quick, where nothing is measured before the restart; its replacement's is not."""
    boots: list[float] = []
    boot = NetworkRouters.boot

    def noted(self: NetworkRouters, router: str, seconds: float, plug: bool = True) -> None:
        boots.append(seconds)
        boot(self, router, seconds, plug=plug)

    monkeypatch.setattr(NetworkRouters, "boot", noted)
    with served(replace(SETTINGS, build_timing=QUICK.scaled(0.1))) as lab:
        network, _ = lab.built(lab.user)
        for _ in range(2):
            lab.user.result("restartNetwork", id=network, cleanup="true")
    assert boots == [QUICK.router_boot_s * 0.1, QUICK.router_boot_s, QUICK.router_boot_s]
