"""What goes wrong in a campaign, by kind: one row each, with how it is brought about and how a run may end then."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

from tests.bench import campaign_acts as acts
from tests.bench.campaign_front import Act, Front, Trap
from tests.cloud.server import half, reset
from vrbench.cli.exits import Exit


class Scene(Protocol):
    """What a fault can get at: the run under way, and what is around it."""

    reports: Path

    @property
    def front(self) -> Front:
        """What stands before the API."""

    def fault(self, name: str, params: dict[str, str]) -> None:
        """Switch on a fault of the lab."""

    def at(self, words: str, delay_s: float, act: Callable[[], None]) -> None:
        """Have something done so long after vrbench has said these words."""

    def kill(self, role: str) -> None:
        """Kill a process of the run: the harness, a prober, or an agent in a guest."""

    def fault_of_guest(self, name: str) -> None:
        """Switch on a fault of one of the run's own VMs, if there is one."""

    def on_small_disk(self) -> None:
        """Let the run's reports lie on the small disk."""


@dataclass(frozen=True)
class Fault:
    """One fault to come: in words, and what brings it about."""

    words: str
    place: Callable[[Scene], None]


@dataclass(frozen=True)
class Kind:
    """A kind of fault; ``codes`` are the exit codes of a run that it befalls (minus: ended by that signal)."""

    name: str
    draw: Callable[[Random], Fault]
    codes: frozenset[int]
    root_only: bool = False


COPES = frozenset({int(Exit.OK), int(Exit.NOT_VALID), int(Exit.FAILED)})
KILLED = COPES | {-signal.SIGKILL, 128 + signal.SIGKILL}
PHASES = (
    *("deploying", "waiting for SSH", "trial 1: starting probers", "trial 1: baseline", "trial 1: operating"),
    *("validating", "trial 1: collecting"),
)
MEASURING = PHASES[3:6]
JOBS = (
    "deployVirtualMachine",
    "associateIpAddress",
    "createFirewallRule",
    "createPortForwardingRule",
    "createEgressFirewallRule",
    "restartNetwork",
    "disassociateIpAddress",
    "destroyVirtualMachine",
    "deleteNetwork",
)
CALLS = {  # of a run: what a trap may be set to, and how many there are of it, about
    "list": (lambda command: command.startswith("list"), 45),
    "look at a job": (lambda command: command == "queryAsyncJobResult", 60),
    "change": (lambda command: not command.startswith(("list", "query")), 22),
}
ONCE = ("signal", "list empty once")  # a server that says twice that there is nothing is believed
CLEANUP_CALLS = {"list": 25, "look at a job": 8, "change": 6}


def at_call(name: str, choose: Callable[[Random], Act], which: tuple[str, ...], cleaning: bool, rng: Random) -> Fault:
    """Set a trap to a random call, or some in a row, or all from there on."""
    what = rng.choice(which)
    takes_in, count = CALLS[what]
    first = rng.randint(1, CLEANUP_CALLS[what] if cleaning else count)
    times = 1 if name in ONCE else rng.choice((1, 1, 1, 2, 4, 1000))
    act = choose(rng)

    def place(scene: Scene) -> None:
        scene.front.traps.append(Trap(takes_in, first, times, act))

    return Fault(f"{name} at {what} {first} x{times}", place)


def api(name: str, choose: Callable[[Random], Act], *which: str) -> tuple[str, Callable[[bool, Random], Fault]]:
    """Return a kind of trap by its name, for a run or for its clean-up."""
    return name, partial(at_call, name, choose, which or ("change", "change", "list", "look at a job"))


def always(act: Act) -> Callable[[Random], Act]:
    """Leave nothing to chance."""
    return lambda _rng: act


def _signal(rng: Random) -> Act:
    return acts.signalled(rng.choice((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)), rng.choice(("before", "done")))


ANSWERS = dict(
    (
        api("answer lost", always(acts.after(reset)), "change"),
        api("connection reset", always(acts.before(reset))),
        api("page instead", acts.sometimes_done(*acts.PAGES)),
        api("other wrapper", acts.sometimes_done(acts.other_wrapper)),
        api("odd answer", acts.sometimes_done(*acts.ODD, half)),
        api("slow bytes", acts.sometimes_done(acts.dribble)),
        api("carried out late", always(acts.too_late), "change"),
        api("list empty once", always(acts.before(acts.empty_list)), "list"),
    )
)
KILL = api(
    "kill -9 at a call",
    lambda rng: acts.signalled(signal.SIGKILL, rng.choice(("before", "done"))),
    *("change", "change", "list"),
)


def pressed_twice(rng: Random) -> Fault:
    """Press Ctrl-C, and again a moment later."""
    takes_in, count = CALLS["change"]
    first = rng.randint(1, count)
    trap = Trap(takes_in, first, 1, acts.twice_interrupted)
    return Fault(f"Ctrl-C twice from change {first}", lambda scene: scene.front.traps.append(trap))


def address_taken(rng: Random) -> Fault:
    """Let another network have an address whose release vrbench has not heard of."""
    first = rng.choice((1, 1, 2))

    def place(scene: Scene) -> None:
        scene.front.traps.append(Trap(lambda command: command == "disassociateIpAddress", first, 1, acts.taken))

    return Fault(f"address taken at release {first}", place)


def refused(rng: Random) -> Fault:
    """Have the API refuse some calls."""
    params = {
        "status": rng.choice(("401", "429", "503", "530")),
        "times": rng.choice("1125"),
        "command": rng.choice(JOBS),
    }
    return Fault(f"refused {params}", lambda scene: scene.fault("api-error", params))


def job_fails(rng: Random) -> Fault:
    """Have jobs fail though they did their work."""
    params = {"command": rng.choice(JOBS), "times": rng.choice("112"), "text": "Failed: no such luck"}
    return Fault(f"job fails {params}", lambda scene: scene.fault("job-fails", params))


def job_hangs(rng: Random) -> Fault:
    """Have jobs take long."""
    params = {"command": rng.choice(JOBS), "times": "1", "seconds": rng.choice(("3", "9"))}
    return Fault(f"job hangs {params}", lambda scene: scene.fault("job-hangs", params))


def router(rng: Random) -> Fault:
    """Have a router that doesn't come, go or work; from the beginning, or from the restart on."""
    name, params = rng.choice(
        (
            ("router-not-placed", {}),
            ("router-not-stopped", {}),
            ("router-stuck-starting", {"seconds": "8"}),
            ("rules-missing", {"what": rng.choice(("all", "firewall"))}),
            ("packet-loss", {"percent": "10"}),
        )
    )
    words = rng.choice(("", "trial 1: operating"))
    return _lab_fault(name, params, words)


def guest(rng: Random) -> Fault:
    """Have a guest reboot, or lose its SSH server or its address."""
    name, words = rng.choice(("guest-reboot", "sshd-gone", "sshd-slow", "lease-lost")), rng.choice(PHASES[1:6])

    def place(scene: Scene) -> None:
        scene.at(words, 0.0, lambda: scene.fault_of_guest(name))

    return Fault(f"{name} at {words!r}", place)


def _lab_fault(name: str, params: dict[str, str], words: str) -> Fault:
    def place(scene: Scene) -> None:
        act = partial(scene.fault, name, params)
        scene.at(words, 0.0, act) if words else act()

    return Fault(f"{name} {params} from {words or 'the start'!r}", place)


def killed(role: str, phases: tuple[str, ...], rng: Random) -> Fault:
    """Kill a process some time after a phase began."""
    words, delay_s = rng.choice(phases), round(rng.random(), 2)
    return Fault(
        f"kill -9 of {role} {delay_s} s into {words!r}",
        lambda scene: scene.at(words, delay_s, partial(scene.kill, role)),
    )


def disk_full(rng: Random) -> Fault:
    """Fill the disk under the reports, some time after a phase began, up to a few bytes."""
    words, delay_s, spared = rng.choice(PHASES), round(rng.random(), 2), rng.choice((0, 0, 4096, 20_000))

    def place(scene: Scene) -> None:
        scene.on_small_disk()
        scene.at(words, delay_s, lambda: fill(scene.reports.parent, spared))

    return Fault(f"disk full {delay_s} s into {words!r} but for {spared} bytes", place)


def fill(place: Path, spared: int) -> None:
    """Write until there is no room, then give some back."""
    with (place / "filler").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65_536)
        except OSError:
            size = file.tell()
        os.ftruncate(file.fileno(), max(0, size - spared))


KINDS = (
    *(Kind(name, partial(draw, False), COPES) for name, draw in ANSWERS.items()),
    Kind("address taken", address_taken, COPES),
    Kind("refused", refused, COPES),
    Kind("job fails", job_fails, COPES),
    Kind("job hangs", job_hangs, COPES),
    Kind("router", router, COPES),
    Kind("guest", guest, COPES),
    Kind("signal at a call", partial(at_call, "signal", _signal, ("change", "list"), False), COPES),
    Kind("Ctrl-C twice", pressed_twice, COPES),
    Kind(KILL[0], partial(KILL[1], False), KILLED),
    Kind("kill -9", partial(killed, "harness", PHASES), KILLED),
    Kind("prober killed", partial(killed, "prober", MEASURING), COPES),
    Kind("agent killed", partial(killed, "agent", MEASURING), COPES),
    Kind("disk full", disk_full, COPES, root_only=True),
)


def draw_faults(number: int, seed: int, root: bool) -> list[tuple[Kind, Fault]]:
    """Draw the faults of a run: all kinds have their turn, and a third of the runs have a second one."""
    kinds = [kind for kind in KINDS if root or not kind.root_only]
    turn = Random(f"{seed}-{number // len(kinds)}-turn").sample(kinds, len(kinds))
    rng = Random(f"{seed}-{number}")
    chosen = [turn[number % len(kinds)], *rng.choices(kinds, k=rng.random() < 0.33)]
    return [(kind, kind.draw(rng)) for kind in chosen]


def draw_cleanup(number: int, seed: int) -> Fault | None:
    """Draw what goes wrong in a first clean-up; None where there is none but the last, which is spared."""
    rng = Random(f"{seed}-{number}-cleanup")
    if rng.random() > 0.4:
        return None
    draws = [*ANSWERS.values(), KILL[1]]
    return rng.choice(draws)(True, rng)
