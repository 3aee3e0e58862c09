"""What a run measures on: a new environment that it builds, or the one that an earlier run kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from vrbench.cloud.build.guest_setup import user_data
from vrbench.cloud.check.key_kinds import takes_every_key
from vrbench.cloud.check.preflight import Resolved
from vrbench.cloud.environment_plan import EnvironmentPlan, name_prefix
from vrbench.cloud.journal.journal import Journal
from vrbench.core.facts import Context
from vrbench.core.findings import Finding, FindingState, Foreseen, in_state
from vrbench.core.model import Environment
from vrbench.core.plan.plan import Plan
from vrbench.core.plan.targets import impossible_targets
from vrbench.core.ports import RunScreen
from vrbench.core.text import size
from vrbench.remote.keys import generate_keys, kinds_for
from vrbench.run.adapters import Adapters
from vrbench.run.errors import CannotReuse
from vrbench.run.order import RunOrder
from vrbench.store.directory import RunDir


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """Where a run measures, and how it gets its environment; the removal goes by ``journal`` (None: builds nothing)."""

    context: Context
    journal: Journal | None
    build: Callable[[], Environment]


def new_environment(order: RunOrder, adapters: Adapters, context: Context) -> EnvironmentSource:
    """Check that the plan can be built, and start the journal of it. Raises CloudError, Foreseen or JournalError."""
    screen, accept = adapters.screen, order.plan.profile.environment.accept_slow_removal
    screen.phase("checking the cloud", "building")
    plan = environment_plan(order.plan)
    resolved, found = adapters.cloud.preflight(plan, accept)
    plan = _with_keys(plan, order, resolved)
    _heed(found, screen)
    _check_machine(order, adapters, resolved.free_address)
    head = resolved.head(order.plan.run_id, adapters.cloud.endpoint)
    journal = Journal.create(order.store.journal, head)
    known = replace(context, cloud_version=resolved.version, hypervisor=resolved.hypervisor)
    return EnvironmentSource(known, journal, partial(_build, order.store, adapters, plan, resolved, journal))


def _check_machine(order: RunOrder, adapters: Adapters, public: str) -> None:
    """Look whether the plan can be probed from here; a lab's own outside world is made for that."""
    if not order.in_lab:
        found = (*impossible_targets(order.plan.profile.probes), *adapters.machine(order.plan, public))
        _heed(found, adapters.screen)
        if bad := in_state(found, FindingState.BAD):
            raise Foreseen(bad)


def _heed(found: Iterable[Finding], screen: RunScreen) -> None:
    for note in in_state(found, FindingState.WARN):
        screen.note(note.sentence)


def _build(
    store: RunDir, adapters: Adapters, plan: EnvironmentPlan, resolved: Resolved, journal: Journal
) -> Environment:
    adapters.screen.phase("building", "SSH on every VM, then trial 1")
    environment = adapters.cloud.build(plan, resolved, journal, adapters.screen.doing)
    store.write_environment(environment)
    return environment


def kept_environment(order: RunOrder, adapters: Adapters, context: Context) -> EnvironmentSource:
    """Take the environment of a run that ended with --keep. Raises Foreseen, CannotReuse, StoreError, JournalError."""
    assert order.reuse is not None
    environment, wanted = order.reuse.read_environment(), order.plan.profile.environment
    found = (len(environment.guests), len({e.public_ip for e in environment.endpoints}))
    if (wanted.vms, wanted.public_ips) != found:
        raise CannotReuse(
            f"{order.reuse.path.name} kept {size(*found)}, but the profile asks for "
            f"{size(wanted.vms, wanted.public_ips)}. Make the profile's environment.vms and environment.public_ips "
            "equal to what was kept"
        )
    with Journal.open(order.reuse.journal) as journal:
        if not journal.pending():
            raise CannotReuse(f"the environment of {order.reuse.path.name} has been removed. Run without --reuse")
    _check_machine(order, adapters, next((e.public_ip for e in environment.endpoints), ""))
    known = replace(context, cloud_version=environment.cloud_version, hypervisor=environment.hypervisor)
    return EnvironmentSource(known, None, lambda: environment)


def _with_keys(plan: EnvironmentPlan, order: RunOrder, resolved: Resolved) -> EnvironmentPlan:
    """Make the run's keys, of the kinds that this server and all guests may want, and have each of them open a VM."""
    kinds = kinds_for(order.plan.profile.cloud.ssh_key, takes_every_key(resolved.version))
    public = generate_keys(order.store.key, kinds)
    return replace(plan, public_keys=public, user_data=user_data(public))


def environment_plan(plan: Plan) -> EnvironmentPlan:
    """Return what the plan builds in the cloud; the keys are made once it is known whom they are for."""
    p = plan.profile
    return EnvironmentPlan(
        run_id=plan.run_id,
        prefix=name_prefix(plan.run_id),
        zone=p.cloud.zone,
        project=p.cloud.project,
        domain=p.cloud.domain,
        account=p.cloud.account,
        network_offering=p.cloud.network_offering,
        service_offering=p.cloud.service_offering,
        template=p.cloud.template,
        vms=p.environment.vms,
        public_ips=p.environment.public_ips,
        access=p.environment.access,
        source_cidr=p.environment.source_cidr,
        public_keys=(),
        ssh_key=p.cloud.ssh_key,
        ssh_port=p.cloud.ssh_port,
        user_data=user_data(),
        job_timeout_s=p.operation.job_timeout,
        operation=p.operation.kind,
        network=p.environment.network,
    )
