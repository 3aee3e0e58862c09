"""Bringing routers up to date when many ask at once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tests.lab.box import wait_until
from tests.lab.no_ground import NoGround
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.state.entities import GuestNic, Router, Vpc
from vrbench.lab.api.state.settings import ZoneSettings
from vrbench.lab.api.state.zone import Zone, new_id
from vrbench.lab.ground.port import GroundError
from vrbench.lab.ground.specs import RuleSet


@dataclass
class SlowGround(NoGround):
    """Programs when it is let, and counts."""

    let: threading.Event = field(default_factory=threading.Event)
    rounds: int = 0
    fails: bool = False

    def program_router(self, name: str, rules: RuleSet) -> None:
        self.rounds += 1
        assert self.let.wait(60)
        if self.fails:
            raise GroundError("refused")


def vpc_on(ground: NoGround) -> tuple[Zone, Vpc]:
    """Build a VPC with one running router."""
    zone = Zone(ground, ZoneSettings(api_step_s=0))
    account, offering = zone.accounts[0], zone.built_ins["vpcoffering"][0]
    vpc = Vpc(
        uuid=new_id(), account=account, name="v", displaytext="v", offering=offering, cidr="10.2.0.0/16",
        domain_name="v.example",
    )  # fmt: skip
    legs: list[GuestNic] = []
    zone.add(
        Router(
            uuid=new_id(), account=account, home=vpc, guests=legs, control=zone.new_nic("", ""),
            public=zone.new_nic("198.51.100.12", "06:00:00:00:00:01"), source_nat="198.51.100.12", state="Running",
        )
    )  # fmt: skip
    return zone, vpc


def test_all_who_ask_during_one_round_are_served_by_the_next() -> None:
    """Ten ask while the first round runs: one more round, not ten."""
    ground = SlowGround()
    zone, vpc = vpc_on(ground)
    askers = [threading.Thread(target=reprogram, args=(zone, vpc)) for _ in range(11)]
    askers[0].start()
    assert wait_until(lambda: ground.rounds == 1)
    for asker in askers[1:]:
        asker.start()
    assert wait_until(lambda: vpc.changes == 11)
    ground.let.set()
    for asker in askers:
        asker.join(60)
    assert ground.rounds == 2
    reprogram(zone, vpc)
    assert ground.rounds == 3


def test_a_failed_round_serves_nobody() -> None:
    """Who asks after a failure is not told that all is well: it is tried again."""
    ground = SlowGround(fails=True)
    ground.let.set()
    zone, vpc = vpc_on(ground)
    for _ in range(2):
        try:
            reprogram(zone, vpc)
        except GroundError:
            continue
        raise AssertionError("the failure was swallowed")
    assert ground.rounds == 2
