"""The campaign of faults: what it must be able to find, and its short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.campaign_faults import ANSWERS, KINDS, draw_cleanup, draw_faults
from tests.bench.campaign_front import Front, Trap
from tests.bench.campaign_judge import Verdict, count_samples, new, touched, unread
from tests.bench.campaign_scene import Ended
from tests.bench.test_short import run_bench
from tests.cli.zone import ROOT
from tests.packed import unpack
from vrbench.core.log.rawlog import RawLogError

NETWORK, OURS = {"network 1": '{"name": "vrbench-net"}'}, {"network 2": '{"name": "vrb-1a-net"}'}


def test_what_is_left_is_found() -> None:
    """An object more than before; a look-alike that the campaign made itself is none."""
    assert new(NETWORK, {**NETWORK, **OURS}, {"vrb-1a-net2"}) == ['network 2: {"name": "vrb-1a-net"}']
    assert new(NETWORK, {**NETWORK, **OURS}, {"vrb-1a-net"}) == []


@pytest.mark.parametrize("now", [{}, {"network 1": '{"name": "vrbench-net", "state": "Allocated"}'}])
def test_what_was_touched_is_found(now: dict[str, str]) -> None:
    """Another's object that is gone, or is no longer what it was."""
    assert len(touched(NETWORK, now)) == 1
    assert touched(NETWORK, NETWORK) == []


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        (Ended(3), "run ended with 3"),
        (Ended(0, "Traceback (most recent call last)"), "run says 'Traceback'"),
        (Ended(0, hung=True), "run was not over"),
        (Ended(70, "a bug in vrbench"), "run ended with 70"),
    ],
)
def test_a_bad_end_is_found(ended: Ended, wrong: str) -> None:
    """A code that is not of the fault, a traceback, a hang."""
    verdict = Verdict(0, [], None)
    verdict.note("run", Ended(0), {0})
    assert verdict.wrong == []
    verdict.note("run", ended, {0})
    assert verdict.wrong[0].startswith(wrong)


def test_samples_that_cannot_be_read_are_found(tmp_path: Path) -> None:
    """A trial that analyze leaves out, and a log with nothing but noise behind its header."""
    run = unpack(ROOT / "tests/stored/one-vm/run.tar.xz", tmp_path)
    assert count_samples(run) > 0
    assert list(unread(run, '{"trials": []}'))
    log = next(run.glob("trial-*/*.raw"))
    for other in run.glob("trial-*/*.raw"):
        other.unlink()
    log.write_bytes(b"{}\n" + b"x" * 10_000)
    with pytest.raises(RawLogError):
        count_samples(run)


def test_a_trap_springs_at_its_call() -> None:
    """At the second list and the third, whatever else is called meanwhile."""
    trap = Trap(lambda command: command.startswith("list"), first=2, times=2, act=Front.honest)
    calls = ["listZones", "createNetwork", "listRouters", "listNetworks", "listZones"]
    assert [trap.springs(call) for call in calls] == [False, False, True, True, False]


def test_a_seed_draws_the_same_again_and_every_kind_has_its_turn() -> None:
    """Any run can be repeated alone; as many runs as there are kinds have all of them."""
    drawn = [draw_faults(number, 7, root=True) for number in range(len(KINDS))]
    assert {faults[0][0].name for faults in drawn} == {kind.name for kind in KINDS}
    words = [fault.words for faults in drawn for _, fault in faults]
    assert words == [f.words for n in range(len(KINDS)) for _, f in draw_faults(n, 7, root=True)]
    assert any(draw_cleanup(number, 7) for number in range(10))
    assert set(ANSWERS) < {kind.name for kind in KINDS}


@pytest.mark.lab
@pytest.mark.slow
def test_a_short_campaign_holds() -> None:
    """Every kind of fault once, from one seed."""
    run_bench("campaign", "--runs", str(len(KINDS)), "--seed", "14", "--labs", "6")
