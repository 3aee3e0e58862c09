"""What the baseline shows before a router is restarted."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.field.case import DOCTOR, NOTHING, RUN, Case
from tests.field.conftest import Hold
from tests.field.place import Place
from vrbench.lab import lifecycle

pytestmark = pytest.mark.lab

PINGS = "icmp type echo-request"
TABLE = "field"
Around = Callable[[Place], AbstractContextManager[Mapping[str, str]]]


def filtered(node: str, rule: str, hook: str = "input") -> Around:
    """Put a rule into a node of the lab for the time of a case."""

    @contextmanager
    def around(place: Place) -> Iterator[Mapping[str, str]]:
        script = f"table ip {TABLE} {{ chain c {{ type filter hook {hook} priority -10; {rule}; }}; }}"
        _nft(place, node, script)
        try:
            yield NOTHING
        finally:
            _nft(place, node, f"delete table ip {TABLE}")

    return around


def _nft(place: Place, node: str, script: str) -> None:
    subprocess.run(lifecycle.enter(place.zone.state, node, ["nft", script]), check=True, capture_output=True)


LIMITED = f"ip daddr 203.0.113.1 {PINGS} limit rate over 20/second drop"
RESTARTS = ("restartNetwork",)
STOPPED = ("Nothing was restarted.", "no figure")
QUICK = ("--set", "trials.baseline=3s", "--set", "probes.auth=false", "--set", "probes.session=false")
ONE = (*QUICK, "--set", "environment.vms=1", "--set", "environment.public_ips=1")

CASES = (
    Case(
        "a control target that never answers",
        "`probes.control_target` is an address where nobody is",
        code=0,
        said=("198.51.100.250", "no control", "void no trial"),
        argv=(*DOCTOR, "--set", "probes.control_target=198.51.100.250"),
    ),
    Case(
        "a limited target, seen by doctor",
        "nft in upstream: echo-requests to 203.0.113.1 over 20/second dropped; 10 VMs",
        code=0,
        said=("at 200 a second, the plan's rate", "it may limit them", "raise probes.interval"),
        argv=(*DOCTOR, "--set", "environment.vms=10"),
        around=filtered("upstream", LIMITED),
    ),
    Case(
        "a target that limits pings",
        "nft in upstream: echo-requests to 203.0.113.1 over 20/second dropped",
        code=3,
        never=RESTARTS,
        said=(*STOPPED, "pings to 203.0.113.1 a second are sent by 4 streams of 2 VMs", "limit", "probes.interval="),
        changes=True,
        argv=(*RUN, *QUICK),
        around=filtered("upstream", LIMITED),
    ),
    Case(
        "a silent control target",
        "nft in neighbour: echo-requests dropped",
        code=0,
        said=("no control: 198.51.100.2", "0 of", "198.51.100.2 did not answer before the operation"),
        unsaid=("invalid",),
        changes=True,
        argv=(*RUN, *ONE),
        around=filtered("neighbour", f"{PINGS} drop"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, hold: Hold) -> None:
    """What comes of it, in the right words, and no call that changes anything before it must be."""
    hold(case)
