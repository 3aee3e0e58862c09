"""What a profile needs of its cloud, looked at one by one. Nothing is created, changed or removed there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vrbench.cli.exits import Exit
from vrbench.cli.say import say_aside
from vrbench.cloud.api.clock import ClockReading
from vrbench.cloud.api.facade import Cloud
from vrbench.cloud.api.turned_away import WhenTurnedAway
from vrbench.cloud.check.preflight import Resolved, preflight
from vrbench.cloud.credentials.credentials import Credentials, find_credentials
from vrbench.cloud.credentials.proxies import Proxy
from vrbench.cloud.errors import CloudError, CloudRefused, CloudUnreachable, ConfigurationError, PreflightError
from vrbench.core.findings import Finding, FindingState
from vrbench.core.plan.plan import Plan
from vrbench.run.environment_source import environment_plan
from vrbench.run.this_machine import check_probers, sent

NOTICED_S = 30.0  # what a person should know of
CALL_TIMEOUT_S = 15.0
PATIENCE_S = 60.0  # for a call that is turned away


def check_cloud(plan: Plan) -> Iterator[Finding]:
    """Check all from credentials to the plan's every name; end at the first that nothing can be checked without."""
    found = _credentials(plan)
    if isinstance(found, Finding):
        yield found
        return
    yield from found.findings()
    cloud = Cloud(found, CALL_TIMEOUT_S, patience_s=PATIENCE_S)
    cloud.waiting = WhenTurnedAway(say_aside)
    yield (entry := check_entry(cloud, found.proxy))
    yield from check_clock(cloud.clock, entry.state is FindingState.OK)
    if entry.state is not FindingState.BAD:
        yield from check_plan(cloud, plan)


def _credentials(plan: Plan) -> Credentials | Finding:
    try:
        return find_credentials(plan.profile.cloud.endpoint, os.environ)
    except ConfigurationError as error:
        return Finding("credentials", FindingState.BAD, error.found, error.cure, Exit.USAGE)


def check_clock(clock: ClockReading | None, answered: bool) -> Iterator[Finding]:
    """Compare the clocks, by the cloud's own answers: a request that seems too old is refused."""
    if clock is None:
        if answered:
            yield Finding("clock", FindingState.WARN, "the server tells no date", "compare the clocks by hand")
    elif clock.expires_calls:
        cure = "set this machine's clock: a signed request expires after ten minutes"
        yield Finding("clock", FindingState.BAD, str(clock), cure, Exit.FAILED)
    elif abs(clock.offset_s) > NOTICED_S:
        yield Finding("clock", FindingState.WARN, str(clock), "set this machine's clock; no duration depends on it")
    else:
        close = abs(clock.offset_s) < 1 + clock.error_s
        yield Finding("clock", FindingState.OK, "as the server's, to a second or two" if close else str(clock))


def check_entry(cloud: Cloud, proxy: Proxy | None) -> Finding:
    """Say whether the endpoint is CloudStack's and knows these keys."""
    try:
        capability = cloud.call("listCapabilities")["capability"]
    except (CloudUnreachable, CloudRefused) as error:
        return Finding("endpoint", FindingState.BAD, str(error), "", Exit.FAILED)
    version = capability.get("cloudstackversion", "unknown")
    way = f", by way of {proxy}" if proxy else ""
    return Finding("endpoint", FindingState.OK, f"{cloud.endpoint}, CloudStack {version}{way}")


def check_plan(cloud: Cloud, plan: Plan) -> Iterator[Finding]:
    """Make every check that a run makes before it builds."""
    accept = plan.profile.environment.accept_slow_removal
    try:
        resolved, found = preflight(cloud, environment_plan(plan), accept_unexpunged=accept)
    except PreflightError as error:
        yield from error.findings
        return
    except CloudError as error:
        yield Finding("cloud", FindingState.BAD, str(error), "", Exit.FAILED)
        return
    yield from _resolved(resolved, plan)
    yield from found
    yield from sent(check_probers(plan, resolved.free_address))


def _resolved(resolved: Resolved, plan: Plan) -> Iterator[Finding]:
    e = plan.profile.environment
    for name, found in (
        ("account", f"{resolved.account} ({resolved.role or 'role unknown'})"),
        *((("builds for", resolved.owner_named),) if resolved.owner_named else ()),
        ("zone", f"{resolved.zone}, {resolved.hypervisor}"),
        ("network", f"offering {resolved.network_offering}"),
        ("VMs", f"{e.vms} of {resolved.service_offering} from {resolved.template}"),
        ("addresses", f"{e.public_ips} and one for source NAT"),
        *((("removal", "the account may expunge"),) if resolved.may_expunge else ()),  # else a warning says what then
    ):
        yield Finding(name, FindingState.OK, found)
