"""Several runs at once, seen from the command that shows them: what they tell, how it is shown, how all of them end."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.test_live import NOW_NS, state
from tests.replacing import replace
from tests.report.made_runs import fresh, made_run, made_trial
from tests.run.world import PROFILE
from vrbench.cli.demo import shortness
from vrbench.cli.ending import Ending
from vrbench.cli.events import EventScreen, show
from vrbench.cli.exits import Exit
from vrbench.cli.side_by_side import Side, carry_out
from vrbench.cli.side_screen import SideScreen
from vrbench.core.figures.results import Run, RunState
from vrbench.core.kinds import ICMP_FRESH, SSH_SYN
from vrbench.core.log.strip import Seen
from vrbench.core.plan.plan import make_plan
from vrbench.core.plan.profile import load_profile
from vrbench.private import NotPrivate


@dataclass
class Shown:
    """What was shown, in order."""

    told: list[tuple[object, ...]] = field(default_factory=list)

    def phase(self, word: str, name: str, following: str) -> None:
        self.told.append((word, name, following))

    def doing(self, word: str, text: str) -> None:
        self.told.append((word, text))

    def note(self, word: str, text: str) -> None:
        self.told.append((word, text))

    def watch(self, word: str, job: str, sums: str, strips: Mapping[str, Sequence[Seen]]) -> None:
        self.told.append((word, job, sums, strips))


def test_what_a_run_tells_arrives_as_it_was_told() -> None:
    """Through the lines of a pipe; a strip is that of a direction's worst stream."""
    out, shown = io.StringIO(), Shown()
    screen = EventScreen(out)
    screen.phase("baseline", "the operation")
    screen.doing("half of it")
    screen.note("worth keeping")
    screen.watch([state("vm1", ICMP_FRESH), state("vm1", SSH_SYN, False, 90.0)], NOW_NS, "running")
    for line in out.getvalue().splitlines():
        show(json.loads(line), "old", shown)
    *said, (_, job, sums, strips) = shown.told
    assert said == [("old", "baseline", "the operation"), ("old", "half of it"), ("old", "worth keeping")]
    assert (job, sums) == ("running", "egress 1 of 1 up; ingress 0 of 1 up")
    assert isinstance(strips, dict)
    assert {direction: max(cells) for direction, cells in strips.items()} == {"egress": Seen.UP, "ingress": Seen.DOWN}


def screen(width: int = 80, live: bool = False) -> tuple[SideScreen, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=live, height=24, legacy_windows=False)
    return SideScreen(console, ["old", "newer"], lambda: 0.0), out


def test_lines_say_which_run_they_are_about() -> None:
    """One line for each event, and none where nothing has changed."""
    shown, out = screen()
    shown.phase("old", "baseline", "the operation")
    for _ in range(2):
        shown.watch("newer", "running", "egress 1 of 2 up", {})
    shown.note("newer", "worth [keeping]")
    assert [line.split("s  ", 1)[1] for line in out.getvalue().splitlines()] == [
        "old    baseline (next: the operation)",
        "newer    egress 1 of 2 up; job running",
        "newer    worth [keeping]",
    ]


def on_time(*shares: float) -> Run:
    """Make a run with a trial for each share of probes that left in time."""
    trial = made_trial(fresh(1.0))
    return made_run(*(replace(trial, punctual_harness=share) for share in shares))


@pytest.mark.parametrize(
    ("serial", "parallel", "told"),
    [
        ([0.9996, 0.9904], [0.99, 0.99899], "99.0 % (serial) and 99.0 % (parallel)"),
        ([0.9999], [1.0, 0.99899], "99.8 % (parallel)"),
    ],
)
def test_a_demo_says_what_its_shortness_cost(serial: list[float], parallel: list[float], told: str) -> None:
    """The worst trial of each side that had probes leave late, rounded down; and what to do for finer figures."""
    words = shortness([on_time(*serial), on_time(*parallel)], 2)
    assert words.startswith(
        f"Both labs ran at once on 2 processors: in the worst trial {told} of this machine's probes"
    )
    assert words.endswith("\n  vrbench run lab-serial")
    shown, out = screen()
    shown.paragraph(words)
    lines = out.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines).split() == words.split()
    assert lines[-1] == "  vrbench run lab-serial"
    assert max(map(len, lines)) <= 80


def test_a_demo_whose_probes_left_in_time_says_nothing_of_it() -> None:
    """Neither words nor an empty line."""
    assert shortness([on_time(0.999, 1.0), on_time()], 2) == ""
    shown, out = screen()
    shown.paragraph("")
    assert out.getvalue() == ""


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_view_fits_and_says_what_each_run_is_at_and_what_comes_next(width: int) -> None:
    """Two runs, each with its phase, a strip for each direction, and the sums; no line is wrapped."""
    shown, _ = screen(width, live=True)
    strips = {"egress": [Seen.UP] * 60, "ingress": [Seen.DOWN] * 60}
    for word in ("old", "newer"):
        shown.phase(word, "trial 1 of 3: job ended, validating", "collecting samples")
        shown.watch(word, "done after 10.4 s", "egress 2 of 20 up, 18 without news; ingress 20 of 20 up", strips)
    with shown.live():
        plain = io.StringIO()
        Console(file=plain, width=width).print(shown._view())
    lines = plain.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 10
    assert [line for line in lines if "next: coll" in line] == [lines[0], lines[4]]
    assert sum("█" * 50 in line for line in lines) == 2


@dataclass
class Scripted(Side):
    """A side whose process is a Python script."""

    script: str = ""

    @property
    def argv(self) -> list[str]:
        return [sys.executable, "-c", f"import json, os, signal, sys, time\n{self.script}"]


def side(reports: Path, word: str, script: str) -> Scripted:
    plan = make_plan(load_profile(PROFILE + "[lab]\n", "small", ()), f"20261124T120000Z-1a2b3c4d-{word}")
    (reports / plan.run_id).mkdir()
    return Scripted(word, "lab-serial", plan, reports, script=script)


def tell(event: object) -> str:
    return f"print({json.dumps(event)!r}, flush=True)\n"


def noted(reports: Path, word: str, state: RunState) -> str:
    """Return the line of a script that notes how far its run is."""
    path = reports / f"20261124T120000Z-1a2b3c4d-{word}" / "run.json"
    return f"open({str(path)!r}, 'w').write({json.dumps({'state': state})!r})\n"


def test_what_is_measured_is_told_before_the_removal(tmp_path: Path) -> None:
    """Each run is told once, as soon as its trials are on disk."""
    over = tell({"phase": ["removing what was built", ""]}) + tell({"ending": asdict(Ending())})
    sides = [side(tmp_path, word, noted(tmp_path, word, RunState.DONE) + over) for word in ("old", "newer")]
    measured: list[tuple[str, Ending | None]] = []
    carry_out(sides, Shown(), lambda each: measured.append((each.word, each.ending)))
    assert sorted(measured, key=str) == [("newer", None), ("old", None)]
    assert [each.ending for each in sides] == [Ending(), Ending()]


def test_nothing_is_started_where_others_can_swap_it(tmp_path: Path) -> None:
    """It is told once, not by each of the processes."""
    sides = [side(tmp_path, word, "sys.exit(9)") for word in ("old", "newer")]
    tmp_path.chmod(0o777)
    with pytest.raises(NotPrivate, match="everybody may write"):
        carry_out(sides, Shown(), lambda _: pytest.fail("there is nothing to show"))
    assert [each.ending for each in sides] == [None, None]


def test_nothing_is_compared_with_a_run_that_failed(tmp_path: Path) -> None:
    """The other one is told to end in good order; one that dies without a word has failed too."""
    ready = str(tmp_path / "ready")
    waits = f"signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nopen({ready!r}, 'w').close()\n"
    waits += "while True: time.sleep(0.05)\n"  # a signal just before a pause without end would not wake it
    dies = f"while not os.path.exists({ready!r}): time.sleep(0.01)\nsys.exit(9)"
    sides = [side(tmp_path, "old", waits), side(tmp_path, "newer", dies)]
    carry_out(sides, Shown(), lambda _: pytest.fail("there is nothing to show"))
    assert [each.ending.code for each in sides if each.ending] == [Exit.FAILED, Exit.FAILED]
    assert sides[1].ending
    assert "exit code 9" in sides[1].ending.error


def test_a_line_that_is_no_event_is_shown_and_ends_nothing(tmp_path: Path) -> None:
    """Whoever wrote it: what comes after it is read."""
    one = side(tmp_path, "old", "print('two {lines} in one')\n" + tell({"ending": asdict(Ending())}))
    shown = Shown()
    carry_out([one], shown, lambda _: pytest.fail("nothing was measured"))
    assert shown.told == [("old", "two {lines} in one")]
    assert one.ending == Ending()


def test_a_signal_reaches_every_run(tmp_path: Path) -> None:
    """They are in sessions of their own, and end as they do by themselves."""
    last_words = tell({"ending": asdict(Ending(interrupted=True))}).strip()
    # Held back until it is waited for: a handler must not print while the note is being printed.
    held = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
    ends = f"signal.sigwait([signal.SIGINT])\n{last_words}\nsys.exit(2)\n"
    sides = [side(tmp_path, word, held + tell({"note": [word]}) + ends) for word in ("old", "newer")]
    shown = Interrupting()
    carry_out(sides, shown, lambda _: pytest.fail("there is nothing to show"))
    assert [each.ending and each.ending.interrupted for each in sides] == [True, True]


class Interrupting(Shown):
    """Presses Ctrl-C when both runs are there."""

    def note(self, word: str, text: str) -> None:
        super().note(word, text)
        if len(self.told) == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_may_tell_while_something_is_told() -> None:
    """A handler runs in the main thread, in the middle of whatever that says: it must not wait for itself."""
    out = io.StringIO()
    screen = EventScreen(out)
    written = out.write

    def interrupted(text: str) -> int:
        out.write = written  # type: ignore[method-assign]
        screen.note("interrupted")
        return written(text)

    out.write = interrupted  # type: ignore[method-assign]
    teller = threading.Thread(target=screen.doing, args=("something",), daemon=True)
    teller.start()
    teller.join(60)
    assert not teller.is_alive()
    assert [next(iter(json.loads(line))) for line in out.getvalue().splitlines()] == ["note", "doing"]


def test_a_run_that_a_signal_ended_early_was_interrupted(tmp_path: Path) -> None:
    """Before it hears signals, and after: nothing is left behind then, and nothing failed."""
    one = side(tmp_path, "old", "os.kill(os.getpid(), signal.SIGTERM)\n")
    carry_out([one], Shown(), lambda _: pytest.fail("there is nothing to show"))
    assert one.ending is not None
    assert (one.ending.code, one.ending.interrupted) == (Exit.NOT_VALID, True)


def test_a_line_that_is_no_event_is_a_note(tmp_path: Path) -> None:
    """Numbers and empty objects are JSON as well."""
    shown = Shown()
    one = side(tmp_path, "old", "print(5)\nprint('{}')\n" + tell({"ending": asdict(Ending())}))
    carry_out([one], shown, lambda _: pytest.fail("there is nothing to show"))
    assert shown.told == [("old", "5"), ("old", "{}")]
