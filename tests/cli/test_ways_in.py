"""From keys to what a run asks of its cloud, without an edit: each version as each caller, in projects, for others.

``python -m tests.bench.first_runs`` is the same with packets.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench.first_runs import CALLERS, VERSIONS, Caller, sets
from tests.cloud.lab import DEADLINES, PLAN, QUICK, silent
from tests.cloud.places import Places, places
from vrbench.cli.doctor_cloud import check_cloud
from vrbench.cli.exits import Exit
from vrbench.cli.main import cli
from vrbench.cli.profiles import open_profile
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.build.environment import build
from vrbench.cloud.check.key_kinds import takes_every_key
from vrbench.cloud.check.preflight import preflight
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.operate.operations import preparation
from vrbench.cloud.remove.steps import remove_journaled
from vrbench.core.findings import FindingState
from vrbench.core.plan.plan import Plan, make_plan
from vrbench.remote.keys import generate_keys, kinds_for
from vrbench.run.environment_source import environment_plan

SMALL = ("environment.vms=1", "environment.public_ips=1", "environment.source_cidr=203.0.113.7/32")
RUN_ID = "20261124T120000Z-1a2b3c4d-mine"
ROUNDS = 20


ROLES = ("root", "domadmin", "user")
# In whose name is built differs at both ends: before 4.18 key pairs show no project.
CELLS = [(v, c) for v in VERSIONS for c in (CALLERS if v in (VERSIONS[0], VERSIONS[-1]) else ROLES)]


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Places]:
    with places(replace(QUICK, server_version=request.param)) as made:
        yield made


def keys(here: Places, caller: Caller) -> tuple[str, str]:
    if caller.account in here.keys:
        return here.keys[caller.account]
    status = here.lab.server.callers()[caller.role]
    return status.apikey, status.secretkey


def as_written() -> Plan:
    return make_plan(open_profile("mine.toml", ()), RUN_ID)


@cache
def public_keys(*kinds: str) -> tuple[str, ...]:
    """Make keys of these kinds, once for all."""
    with tempfile.TemporaryDirectory() as folder:
        return generate_keys(Path(folder, "key"), kinds)


def quick(plan: Plan, version: str) -> EnvironmentPlan:
    """Return what a run would build, looked at often."""
    kinds = kinds_for(plan.profile.cloud.ssh_key, takes_every_key(version))
    return replace(environment_plan(plan), public_keys=public_keys(*kinds), poll_s=PLAN.poll_s, job_timeout_s=20)


@pytest.mark.parametrize(("here", "name"), CELLS, indirect=["here"])
def test_the_profile_that_init_writes_is_built_restarted_and_removed(
    here: Places, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it stands; doctor finds nothing bad, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vrbench.cli.init._answers", lambda _: False)
    caller = CALLERS[name]
    key, secret = keys(here, caller)
    for word, value in (("ENDPOINT", here.lab.endpoint), ("KEY", key), ("SECRET", secret)):
        monkeypatch.setenv(f"CLOUDSTACK_{word}", value)
    done = CliRunner().invoke(cli, ["init", *sets((*SMALL, *caller.named))], standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == Exit.OK, done.output
    found = list(check_cloud(as_written()))
    assert [finding for finding in found if finding.state is FindingState.BAD] == []
    cloud = Cloud(Credentials(here.lab.endpoint, key, secret))
    plan = quick(as_written(), cloud.call("listCapabilities")["capability"]["cloudstackversion"])
    resolved, _ = preflight(cloud, plan, accept_unexpunged=True)
    with Journal.create(tmp_path / "j", resolved.head(RUN_ID, cloud.endpoint)) as journal:
        environment = build(cloud, plan, resolved, journal, silent)
        acting = cloud.acting_for(environment.owner)
        for send in preparation("restart-network-cleanup")(acting, environment).sends:
            acting.wait(send(), 20, PLAN.poll_s)
        remove_journaled(cloud, journal, silent, DEADLINES)
        for _ in range(ROUNDS):  # who may not expunge waits until the server has
            if not journal.pending():
                break
            remove_journaled(cloud, journal, silent, DEADLINES)
        assert journal.pending() == []
    assert here.lab.objects() == []
    assert here.of_projects() == []
