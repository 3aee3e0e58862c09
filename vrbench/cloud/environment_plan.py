"""What is to be built in the cloud, as a value that ``environment`` builds and ``preflight`` checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vrbench.cloud.api.calls import SETTLE_S
from vrbench.core.plan.networks import DEFAULT_NETWORK
from vrbench.core.plan.operations import DEFAULT

TAG = "vrbench-run"  # its value is the run's id
NAMES = "vrb-"  # how every name begins that any run gives
_NAME = re.compile(rf"{NAMES}[0-9a-f]{{8}}-")


@dataclass(frozen=True, slots=True)
class EnvironmentPlan:
    """What will be built in the cloud. Names of zone, offerings and template may be names or ids."""

    run_id: str  # stands in a tag on everything that takes tags
    prefix: str  # every name we give begins with it, unique to the run: vrb-1a2b3c4d
    zone: str
    network_offering: str
    service_offering: str
    template: str
    vms: int
    public_ips: int
    access: str  # port-forwarding | static-nat
    source_cidr: str  # the only sources the firewall lets in: "a.b.c.d/n", several with commas; "auto" is this machine
    public_keys: tuple[str, ...]  # of the run's key pairs; the cloud is given the first one that it takes
    user_data: str  # cloud-config that readies the guest's sshd for probing; empty: none
    job_timeout_s: float  # one API job, the operation's included
    poll_s: float = 0.5  # between looks at a job
    ssh_key: str = "auto"  # the kind of key that was asked for
    ssh_port: int = 22  # where the guests' sshd listens
    network: str = DEFAULT_NETWORK  # its kind
    operation: str = DEFAULT  # what will be measured: the account must be allowed to ask for it
    settle_s: float = SETTLE_S  # how long an object is looked for whose creating call got no answer
    project: str = ""  # name or id; empty: none
    domain: str = ""  # of the account or the project; path, name or id
    account: str = ""  # for whom it is built; empty: the caller's own


def name_prefix(run_id: str) -> str:
    """Return what every name begins with that a run gives: vrb-1a2b3c4d for 20261124T131500Z-1a2b3c4d-lab-parallel."""
    return f"{NAMES}{run_id.partition('-')[2].partition('-')[0]}"


def is_our_name(name: str) -> bool:
    """Return whether a run of vrbench gave this name, this run or another."""
    return bool(_NAME.match(name))
