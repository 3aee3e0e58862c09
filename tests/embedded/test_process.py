"""A command inside a lab: its exit code, the signals that reach it, and the lab that ends with it in any case."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest

from vrbench.core.plan.tables import LabTable
from vrbench.core.values import show_duration
from vrbench.embedded.process import NotStarted, lab_options, run_in_lab
from vrbench.lab import lifecycle
from vrbench.lab.limits import Limits
from vrbench.lab.status import RULE_COST_S, TIME_SCALE, LabOptions, LabStatus
from vrbench.run.interrupts import HANDLED

STATUS = LabStatus("http://127.0.0.1:1/client/api", {}, (), "tester", True, 1, "parallel", 1.0, "", "")


@dataclass
class Lifecycle:
    """A lab that is nothing but its beginning and its end."""

    happened: list[str] = field(default_factory=list)
    on_up: Callable[[], None] = lambda: None

    def up(self, state: Path, options: LabOptions, lifeline: bool = False) -> LabStatus:
        assert lifeline, "the lab must end with the process that started it"
        assert (state, options.strategy) == (Path("state"), "parallel")
        self.happened.append("up")
        self.on_up()
        return STATUS

    def enter(self, state: Path, node: str, argv: Sequence[str]) -> list[str]:
        assert (state, node) == (Path("state"), "upstream")
        return list(argv)

    def down(self, state: Path) -> None:
        assert state == Path("state")
        self.happened.append("down")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lifecycle:
    """In place of the real one."""
    fake = Lifecycle()
    for name in ("up", "enter", "down"):
        monkeypatch.setattr(lifecycle, name, getattr(fake, name))
    return fake


def run(command: Callable[[LabStatus], Sequence[str]], timeout_s: float | None = None) -> int:
    return run_in_lab(LabTable(), Path("state"), command, timeout_s)


def test_the_commands_exit_code_is_passed_on(lab: Lifecycle) -> None:
    """The command is told what the lab is; the lab is gone when it returns."""
    assert run(lambda status: ["sh", "-c", f"test {status.ssh_user} = tester && exit 7"]) == 7
    assert lab.happened == ["up", "down"]


@pytest.mark.usefixtures("lab")
def test_the_operators_cloud_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address and keys don't reach the command inside."""
    monkeypatch.setenv("CLOUDSTACK_SECRET", "9")
    assert run(lambda _: ["sh", "-c", "exit ${CLOUDSTACK_SECRET:-5}"]) == 5


def test_the_lab_ends_also_when_there_is_no_command(lab: Lifecycle) -> None:
    """Whatever is raised."""

    def fail(_: LabStatus) -> Sequence[str]:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(fail)
    assert lab.happened == ["up", "down"]


@pytest.mark.parametrize("number", HANDLED)
def test_a_signal_before_the_command_starts_nothing(lab: Lifecycle, number: int) -> None:
    """The lab comes up first, and goes again; afterwards signals mean what they meant before."""
    before = signal.getsignal(number)
    lab.on_up = lambda: signal.raise_signal(number)
    with pytest.raises(NotStarted):
        run(lambda _: ["false"])
    assert lab.happened == ["up", "down"]
    assert signal.getsignal(number) is before


def test_a_signal_is_passed_on_to_the_command(lab: Lifecycle) -> None:
    """This process waits for what the command makes of it."""
    code = run(lambda _: ["sh", "-c", f"kill -TERM {os.getpid()}; exec sleep 60"])
    assert code == -signal.SIGTERM
    assert lab.happened == ["up", "down"]


@pytest.mark.usefixtures("lab")
def test_a_command_that_takes_too_long_is_asked_to_end() -> None:
    """With SIGTERM, so that it can tear down."""
    assert run(lambda _: ["sleep", "60"], timeout_s=0.0) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("table", "strategy", "own_times"),
    [(LabTable(), "parallel", True), (LabTable(preset="kvm-4.9.3"), "serial", False)],
)
def test_a_lab_starts_as_the_profile_says(table: LabTable, strategy: str, own_times: bool) -> None:
    """With the times of its preset, or the lab's own."""
    options = lab_options(table)
    assert options.strategy == strategy
    assert (options.timing == LabOptions().timing) == own_times
    assert lab_options(replace(table, rule_cost=2.5)).rule_cost_s == 2.5


@pytest.mark.parametrize(
    ("name", "limits", "written"), [("time_scale", TIME_SCALE, float), ("rule_cost", RULE_COST_S, show_duration)]
)
def test_a_profile_allows_what_the_lab_does(name: str, limits: Limits, written: Callable[[float], object]) -> None:
    """Both have the limits, since neither's room may look into the other's."""
    read = {key.name: key for key in fields(LabTable)}[name].metadata["read"]
    assert [read(written(n)) for n in (limits.lowest, limits.highest)] == [limits.lowest, limits.highest]
    for beyond in (limits.lowest - 0.0005, limits.highest + 0.5):
        with pytest.raises(ValueError, match=r"is not a|is out of range"):
            read(written(beyond))
