"""Removal under faults: one at any call leaves nothing, one that stays ends with the honest list of what stands."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cloud.faulty import FAULTS, Fault, Way, busy, foreign, lost, torn, way_to
from tests.cloud.lab import DEADLINES, QUICK, Lab, is_clean, planned, running_lab, silent
from vrbench.cloud.api import turned_away
from vrbench.cloud.build.environment import build
from vrbench.cloud.journal.journal import Journal
from vrbench.cloud.journal.replay import Head
from vrbench.cloud.remove.looks import LISTS
from vrbench.cloud.remove.removal import Deadlines, RemovalReport
from vrbench.cloud.remove.steps import remove_journaled

PLAN = planned(vms=1, public_ips=1, poll_s=0.01)
WAITS = replace(DEADLINES, network_s=5.0, poll_s=0.01, read_s=0.3, lost_s=2.0, round_s=0.01)
CALLS = 20  # of a removal of one VM and one address, at least
AT_ONCE = 3  # labs; a removal mostly waits


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is turned away be sent again soon."""
    monkeypatch.setattr(turned_away, "FIRST_S", 0.01)


@dataclass(frozen=True)
class Ground:
    """A lab, and the way to it that spoils calls."""

    lab: Lab
    way: Way

    def removed(self, path: Path, waits: Deadlines = WAITS) -> RemovalReport:
        """Build undisturbed, and remove by the way."""
        self._build(path)
        self.way.calls.clear()
        return self.clean_up(path, waits)

    def clean_up(self, path: Path, waits: Deadlines = WAITS) -> RemovalReport:
        with Journal.open(path) as journal:
            return remove_journaled(self.way.cloud(self.lab.cloud()), journal, silent, waits)

    def stands(self, kind: str) -> bool:
        command, rows = LISTS[kind]
        return bool(self.lab.rows(command, rows))

    def _build(self, path: Path) -> None:
        resolved = self.lab.resolve(PLAN)
        head = Head(PLAN.run_id, self.way.endpoint, resolved.account, resolved.domain_id)
        with Journal.create(path, head) as journal:
            build(self.lab.cloud(), PLAN, resolved, journal, silent)


@contextmanager
def ground() -> Iterator[Ground]:
    with running_lab(QUICK) as lab, way_to(lab.endpoint) as way:
        yield Ground(lab, way)


def only(at: int, fault: Fault) -> Callable[[int, str], Fault | None]:
    return lambda number, _: fault if number == at else None


def always(command: str, fault: Fault) -> Callable[[int, str], Fault | None]:
    return lambda _, asked: fault if asked == command else None


def spoil_in_turn(here: Path, faults: tuple[Fault, ...], step: int = 1) -> int:
    """Remove again and again, a later call spoiled each time, by the faults in turn; return how many calls it was."""
    with ground() as place:
        for turn in itertools.count():
            at, fault = turn * step, faults[turn % len(faults)]
            place.way.spoil = only(at, fault)
            report = place.removed(here / f"{fault.__name__}-{at}")
            assert is_clean(report), (at, fault.__name__, place.way.calls[at], report)
            assert place.lab.objects() == [], (at, fault.__name__)
            if len(place.way.calls) <= at:
                return at
    raise AssertionError("nothing ends this")


def test_a_fault_here_and_there_leaves_nothing(tmp_path: Path) -> None:
    """A 503, a reset, a lost answer, another's page or wrapper, here and there: looked at again, or tried again."""
    assert spoil_in_turn(tmp_path, FAULTS, step=4) > CALLS


@pytest.mark.slow
def test_each_fault_at_every_call_leaves_nothing(tmp_path: Path) -> None:
    """One at a time; a page of a proxy's and a swallowed answer are, to a removal, as the others of their kind."""
    turns = [(fault,) for fault in (busy, torn, lost, foreign)]
    with ThreadPoolExecutor(AT_ONCE) as labs:
        assert min(labs.map(lambda turn: spoil_in_turn(tmp_path, turn), turns)) > CALLS


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("listNetworks", busy),
        ("listNetworks", foreign),
        ("listPublicIpAddresses", torn),
        ("disassociateIpAddress", busy),
        ("listVirtualMachines", foreign),
        ("destroyVirtualMachine", busy),
        ("deleteNetwork", torn),
        ("listSSHKeyPairs", busy),
        ("deleteSSHKeyPair", torn),
        ("queryAsyncJobResult", busy),
    ],
)
def test_a_fault_that_stays_ends_with_what_stands(tmp_path: Path, command: str, fault: Fault) -> None:
    """Whatever stands is named with a reason; what can go goes; and without the fault a clean-up finishes it."""
    with ground() as place:
        place.way.spoil, place.way.patience_s = always(command, fault), 0.05
        waits = replace(WAITS, job_s=0.2, network_s=0.2, read_s=0.05, lost_s=0.05)
        report = place.removed(tmp_path / "j", waits=waits)
        told = " ".join(report.left)
        standing = [kind for kind in ("network", "vm", "keypair") if place.stands(kind)]
        assert all(f"{kind} {PLAN.prefix}-" in told for kind in standing), (standing, report)
        assert standing or not report.left or command == "listPublicIpAddresses", report
        place.way.spoil = lambda _number, _command: None
        assert is_clean(place.clean_up(tmp_path / "j"))
        assert place.lab.objects() == []
