"""Operations by name, and the routers as the API shows them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cloud.lab import PLAN, Lab, silent
from tests.cloud.server import Behaviour, Request, by_command, fake_cloud, job, says
from tests.probes.rig import wait_for
from vrbench.cloud.api.facade import Answer, Cloud, Job, Param
from vrbench.cloud.build.environment import build
from vrbench.cloud.errors import NotPermitted, UnknownOperation, UnsafeNetwork
from vrbench.cloud.operate.operations import (
    PREPARATIONS,
    RunningOperation,
    list_routers,
    preparation,
)
from vrbench.core.model import Environment
from vrbench.core.plan.operations import OPERATIONS
from vrbench.core.ports import JobState

SOMEWHERE = Environment("n", "net", "z", "KVM", "4.20", "o", "203.0.113.1", (), ())
RESTART = says("restartNetwork", {"jobid": "j"})


@pytest.fixture
def environment(lab: Lab, tmp_path: Path) -> Environment:
    with lab.journal(tmp_path / "j") as journal:
        return build(lab.cloud(), PLAN, lab.resolve(PLAN), journal, silent)


def test_every_operation_of_a_profile_exists() -> None:
    """Each has a call of its own, and no call is without a name that a profile can give."""
    assert tuple(PREPARATIONS) == tuple(OPERATIONS)


def test_an_unknown_operation_names_the_nearest() -> None:
    """A slip of the pen is answered with what was meant."""
    with pytest.raises(UnknownOperation, match="restart-network-cleanup"):
        preparation("restart-network-cleanpu")


def test_restart_with_cleanup_replaces_the_router(lab: Lab, environment: Environment) -> None:
    """The job ends well and another router is there."""
    cloud = lab.cloud("root")
    (before,) = list_routers(cloud, environment.network_id)
    carried_out(cloud, "restart-network-cleanup", environment)
    (after,) = list_routers(cloud, environment.network_id)
    assert (before.state, after.state) == ("Running", "Running")
    assert before.id != after.id
    (row,) = lab.rows("listRouters", "router", networkid=environment.network_id)
    assert (row["id"], row["publicip"]) == (after.id, environment.source_nat_ip)


@pytest.mark.parametrize("name", ["restart-network", "live-patch", "reboot-router", "stop-start-router"])
def test_other_operations_keep_the_router(lab: Lab, environment: Environment, name: str) -> None:
    """The same router runs afterwards; its scripts are other ones after a start and after a patch."""
    cloud = lab.cloud("root")
    (before,) = list_routers(cloud, environment.network_id)
    carried_out(cloud, name, environment)
    (after,) = list_routers(cloud, environment.network_id)
    assert (after.id, after.state) == (before.id, "Running")
    assert (after.scripts == before.scripts) == (name == "restart-network")


def test_a_destroyed_router_is_replaced(lab: Lab, environment: Environment) -> None:
    """By the restart that follows, with the network's address."""
    cloud = lab.cloud("root")
    (before,) = list_routers(cloud, environment.network_id)
    carried_out(cloud, "destroy-router", environment)
    (after,) = list_routers(cloud, environment.network_id)
    assert after.id != before.id
    (row,) = lab.rows("listRouters", "router", networkid=environment.network_id)
    assert (row["state"], row["publicip"]) == ("Running", environment.source_nat_ip)


def test_what_follows_is_sent_when_the_job_before_has_ended() -> None:
    """And not at all where that one failed; the operation is done then, with its error."""
    routers = says("listRouters", {"count": 1, "router": [{"id": "r", "name": "r-1-VM", "state": "Running"}]})

    def stopped(answer: Behaviour) -> tuple[list[str], str]:
        answers = {"listRouters": routers, "stopRouter": says("stopRouter", {"jobid": "1"})}
        answers |= {"startRouter": says("startRouter", {"jobid": "2"}), "queryAsyncJobResult": answer}
        with fake_cloud(by_command(answers)) as fake:
            operation = RunningOperation(Cloud(fake.credentials()), "stop-start-router", SOMEWHERE, 20, poll_s=0.02)
            operation.request()
            wait_for(lambda: operation.poll().done, "the end of the operation")
            return [request.params["command"] for request in fake.requests], operation.poll().error

    fine, error = stopped(job(1, jobresult={"success": True}))
    assert [name for name in fine if not name.startswith("query")] == ["listRouters", "stopRouter", "startRouter"]
    assert fine.index("startRouter") > fine.index("queryAsyncJobResult")
    assert not error
    broken, error = stopped(job(2, jobresult={"errorcode": 530, "errortext": "it won't"}))
    assert "startRouter" not in broken
    assert "it won't" in error


def test_a_user_sees_no_routers_and_can_reboot_none(lab: Lab, environment: Environment) -> None:
    """Refused by role: an empty tuple to look at, an error to act on."""
    assert list_routers(lab.cloud("user"), environment.network_id) == ()
    with pytest.raises(NotPermitted, match="listRouters"):
        preparation("reboot-router")(lab.cloud("user"), environment)


def test_a_running_operation_is_polled_without_waiting(lab: Lab, environment: Environment) -> None:
    """The port of the main path: request, then looks that return at once until it is done."""
    operation = RunningOperation(lab.cloud(), "restart-network-cleanup", environment, 20, poll_s=0.02)
    operation.request()
    until = time.monotonic() + 20
    while not (state := operation.poll()).done:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert state == JobState(done=True)


class Counting(Cloud):
    """A cloud that remembers what it was asked."""

    asked: list[str]

    def call(self, command: str, /, **params: Param) -> Answer:
        self.asked.append(command)
        return super().call(command, **params)


def test_the_router_to_reboot_is_looked_up_before_the_clock_runs(lab: Lab, environment: Environment) -> None:
    """Between the moment of the request and its call there is no other call."""
    cloud = Counting(lab.cloud("root")._credentials)
    cloud.asked = []
    operation = RunningOperation(cloud, "reboot-router", environment, 20, poll_s=0.02)
    assert cloud.asked == ["listRouters"]
    operation.request()
    assert cloud.asked == ["listRouters", "rebootRouter"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            job(2, jobresult={"errorcode": 530, "errortext": "no host"}),
            "restartNetwork: the job j failed (530): no host",
        ),
        (job(2, jobresult={"errorcode": "many"}), "restartNetwork: the job j failed (0): the server gave no reason"),
    ],
    ids=["failed", "no sense"],
)
def test_a_job_that_ends_badly_is_done_with_its_error(answer: Behaviour, error: str) -> None:
    """Also when its answer makes no sense."""
    with fake_cloud(by_command({"restartNetwork": RESTART, "queryAsyncJobResult": answer})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 20, poll_s=0.02)
        operation.request()
        wait_for(lambda: operation.poll().done, "the job's end")
    assert error in operation.poll().error


class Broken(Cloud):
    """A cloud with a bug of ours."""

    def wait(self, job: Job, *_: object, **__: object) -> Answer:
        raise KeyError(job.jobid)


def test_a_job_whose_watch_breaks_is_done_with_the_error() -> None:
    """A thread that died in silence would leave it running for ever."""
    with fake_cloud(by_command({"restartNetwork": RESTART})) as fake:
        operation = RunningOperation(Broken(fake.credentials()), "restart-network", SOMEWHERE, 20)
        operation.request()
        wait_for(lambda: operation.poll().done, "the job's end")
    assert operation.poll().error == "KeyError: 'j'"


def test_a_job_that_does_not_end_is_not_done() -> None:
    """Its deadline ends the watching, and the trial has a deadline of its own."""
    with fake_cloud(by_command({"restartNetwork": RESTART, "queryAsyncJobResult": job(0)})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 0.2, poll_s=0.02)
        (watcher,) = started_by(operation.request)
        watcher.join(20)
    assert not watcher.is_alive()
    assert operation.poll() == JobState(done=False)


def test_late_news_of_an_earlier_request_change_nothing() -> None:
    """The first job is told to have failed when a second one is already under way."""
    second = threading.Event()

    def state(request: Request) -> None:
        second.wait(20)
        ended = request.params["jobid"] == "1"
        (job(2, jobresult={"errortext": "late"}) if ended else job(0))(request)

    jobs = iter("12")

    def restart(request: Request) -> None:
        says("restartNetwork", {"jobid": next(jobs)})(request)

    with fake_cloud(by_command({"restartNetwork": restart, "queryAsyncJobResult": state})) as fake:
        operation = RunningOperation(Cloud(fake.credentials()), "restart-network", SOMEWHERE, 2, poll_s=0.02)
        (first,) = started_by(operation.request)
        (other,) = started_by(operation.request)
        second.set()
        first.join(20)
        assert operation.poll() == JobState(done=False)
        other.join(20)


def test_without_a_running_router_there_is_none_to_reboot() -> None:
    """The message names the network."""
    routers = says("listRouters", {"count": 1, "router": [{"id": "r", "name": "r-1-VM", "state": "Stopped"}]})
    with fake_cloud(by_command({"listRouters": routers})) as fake, pytest.raises(UnsafeNetwork, match="network net: "):
        preparation("reboot-router")(Cloud(fake.credentials()), SOMEWHERE)


def carried_out(cloud: Cloud, name: str, environment: Environment) -> None:
    for send in preparation(name)(cloud, environment).sends:
        cloud.wait(send(), 20, 0.02)


def started_by(call: Callable[[], None]) -> list[threading.Thread]:
    """Return the threads of this process that a call starts."""
    before = set(threading.enumerate())
    call()
    return [thread for thread in threading.enumerate() if thread not in before and "_watch" in thread.name]
