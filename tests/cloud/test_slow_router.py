"""A router that takes its time for each rule: a build and its removal go on, say how far they are, and can be ended."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.lab import DEADLINES, FAST, Lab, is_clean, planned, running_lab, silent
from vrbench.cloud.api.calls import ON_ROUTER
from vrbench.cloud.api.facade import Answer, Cloud, Job, Param
from vrbench.cloud.build.environment import build
from vrbench.cloud.credentials.credentials import Credentials
from vrbench.cloud.remove.steps import remove_journaled

COST_S = 0.05


class Counting(Cloud):
    """A cloud that counts how many rules are under way at once, from the call to the end of its job."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self.most = 0
        self.deadlines: dict[str, float] = {}
        self._now = 0
        self._lock = threading.Lock()

    def submit(self, command: str, /, **params: Param) -> Job:
        self._count(command, 1)
        return super().submit(command, **params)

    def wait(
        self, job: Job, deadline_s: float, poll_s: float = 0.5, after_poll: Callable[[], None] = lambda: None
    ) -> Answer:
        self.deadlines[job.command] = deadline_s
        answer = super().wait(job, deadline_s, poll_s, after_poll)
        self._count(job.command, -1)
        return answer

    def _count(self, command: str, more: int) -> None:
        with self._lock:
            self._now += more if command.endswith("Rule") or command == "disassociateIpAddress" else 0
            self.most = max(self.most, self._now)


def test_ten_vms_ten_addresses_and_31_rules(tmp_path: Path) -> None:
    """All of it is built, a few rules at once, each is told when it is in place, and all of it goes."""
    told: list[str] = []
    with running_lab(replace(FAST, rule_cost_s=COST_S)) as lab, lab.journal(tmp_path / "j") as journal:
        cloud, plan = Counting(lab.cloud()._credentials), planned(vms=10, public_ips=10)
        begun = time.monotonic()
        environment = build(cloud, plan, lab.resolve(plan), journal, told.append)
        waits = {cloud.deadlines[f"create{kind}Rule"] for kind in ("Firewall", "PortForwarding", "EgressFirewall")}
        assert waits == {plan.job_timeout_s * ON_ROUTER}, "as many rules may come first"
        assert time.monotonic() - begun >= 31 * COST_S
        assert len(environment.endpoints) == 10
        assert is_clean(remove_journaled(cloud, journal, silent, DEADLINES))
        assert lab.objects() == []
    assert cloud.most <= ON_ROUTER
    for one, does, total in (("VM", "runs", 10), ("address", "is ours", 10), ("rule", "is in place", 31)):
        steps = [re.match(rf"{one} (\d+) of {total} {does}", line) for line in told]
        assert [int(step[1]) for step in steps if step] == list(range(1, total + 1))


def test_a_build_that_waits_for_a_router_ends_at_once(tmp_path: Path) -> None:
    """Ctrl-C while a submission waits for its turn, which would take a minute; addresses and VMs are known."""
    with running_lab(replace(FAST, rule_cost_s=60.0)) as lab, lab.journal(tmp_path / "j") as journal:
        threading.Thread(target=_interrupt_once, args=(lab,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            build(lab.cloud(), planned(), lab.resolve(planned()), journal, silent)
        rules = lab.rows("listFirewallRules", "firewallrule")
        assert [rule["state"] for rule in rules] == ["Add"], "the first one is not on the router yet"
        made = journal.pending()
        assert {entry.kind for entry in made} >= {"keypair", "network", "vm", "address", "firewall"}
        assert all(entry.id for entry in made if entry.kind in ("vm", "address"))


def _interrupt_once(lab: Lab) -> None:
    """Press Ctrl-C once a rule is on its way to the router."""
    while not lab.rows("listFirewallRules", "firewallrule"):
        time.sleep(0.01)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
