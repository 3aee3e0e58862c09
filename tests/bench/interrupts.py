"""Nothing is left: after Ctrl-C at many moments, and after kill -9 at many moments followed by a clean-up.

    python -m tests.bench.interrupts [--moments 10]

Three series: a run on its embedded lab gets Ctrl-C; the same gets kill -9 (of the process the operator started, or of
the harness inside the lab, in turn), then ``vrbench cleanup --all``; a run inside a lab that stays gets kill -9, then
a clean-up, and then the lab's API is asked what there still is. Looked for: processes, namespaces, mounts, interfaces,
keys, API objects. Exit 1 when anything is found.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.zone import PROFILE, ROOT, VRBENCH, running_zone
from vrbench.lab.status import LabOptions

LAB = PROFILE.replace("[environment]", "[lab]\ntime_scale = 0.05\n[environment]")
SPAN_S = 15.0  # how long an undisturbed run takes, about: moments are spread over it


def host_view() -> dict[str, object]:
    """Describe what a lab must not change on this machine."""
    names = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    return {"interfaces": sorted(os.listdir("/sys/class/net")), "namespaces": names, "mounts": mounts()}


def mounts() -> list[str]:
    return sorted(Path("/proc/self/mounts").read_text().splitlines())


def processes(here: Path) -> list[str]:
    """Find processes that work in ``here`` or were told of it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        if int(path.name) == os.getpid():
            continue
        try:
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(here) in words or str(here) in str((path / "cwd").readlink()):
                found.append(f"{path.name} {words}")
        except OSError:
            continue
    return found


def secrets_in(here: Path) -> list[str]:
    """Private keys and key files that are still there."""
    kept = [p for p in here.rglob("*") if p.is_file() and p.name in ("key", "cloudstack.ini")]
    kept += [p for p in here.rglob("*") if p.is_file() and b"PRIVATE KEY" in p.read_bytes()[:200]]
    return [str(p) for p in kept]


def settled(look: Callable[[], list[str]], deadline_s: float = 5.0) -> list[str]:
    """Return what is still there after a moment's grace for processes that are ending."""
    end = time.monotonic() + deadline_s
    while (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def in_lab(here: Path, after_s: float, kill: bool, inner: bool) -> list[str]:
    """One run on an embedded lab, disturbed after ``after_s``; returns what is left."""
    before = host_view()
    (here / "small.toml").write_text(LAB)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*VRBENCH, "run", "small.toml", "--plain"],
        cwd=here,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after_s)
    if process.poll() is not None:
        return ["the run was over before it was disturbed: the bench itself is wrong"]
    os.kill(harness_pid(here) or process.pid if inner else process.pid, signal.SIGKILL if kill else signal.SIGINT)
    process.wait(90)
    left = settled(lambda: processes(here))
    if kill:
        done = subprocess.run(
            [*VRBENCH, "cleanup", "--all"], cwd=here, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            left.append(f"cleanup ended with {done.returncode}: {done.stderr.strip()}")
    after = host_view()
    left += [f"{k}: {after[k]} was {before[k]}" for k in before if after[k] != before[k]]
    return left + secrets_in(here)


def harness_pid(here: Path) -> int:
    """Find the harness inside the lab (its parent is the stand-in that entered), or 0 when it isn't there yet."""
    inside = [line for line in processes(here) if "-m vrbench.cli.lab_process" in line and "runpy" not in line]
    return int(inside[-1].split()[0]) if inside else 0


def in_standing_lab(after_s: float) -> list[str]:
    """One run inside a lab that stays, killed after ``after_s`` and cleaned up; returns what the API still has."""
    with tempfile.TemporaryDirectory() as here, running_zone(Path(here), LabOptions(time_scale=0.05)) as zone:
        process = zone.start("run", zone.profile(), "--plain")
        time.sleep(after_s)
        victims = [int(line.split()[0]) for line in processes(Path(here)) if "vrbench run" in line]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)
        time.sleep(0.5)
        done = zone.vrbench("cleanup", "--all")
        left = [] if done.code == 0 else [f"cleanup ended with {done.code}: {done.err.strip()}"]
        left += [] if victims else ["nobody was there to kill: the bench itself is wrong"]
        return left + zone.left() + secrets_in(Path(here) / "reports")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=10)
    moments = parser.parse_args().moments
    bad = 0
    for name in ("Ctrl-C", "kill -9", "kill -9 in a standing lab"):
        for number in range(moments):
            after_s = 0.2 + SPAN_S * number / moments
            if name == "kill -9 in a standing lab":
                left = in_standing_lab(after_s)
            else:
                with tempfile.TemporaryDirectory() as here:
                    left = in_lab(
                        Path(here), after_s, kill=name == "kill -9", inner=name == "kill -9" and number % 2 == 1
                    )
            print(f"{name:28} after {after_s:5.1f} s: {'; '.join(x[:200] for x in left) or 'nothing left'}", flush=True)
            bad += bool(left)
    print(f"{bad} of {3 * moments} left something")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
