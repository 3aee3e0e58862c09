"""One run of a campaign: vrbench under the drawn faults, then what it left is read, cleaned up and looked for."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path
from random import Random

from tests.bench.campaign_faults import COPES, KILLED, draw_cleanup, draw_faults
from tests.bench.campaign_judge import Standing, Verdict, count_samples, new, touched, unread
from tests.bench.campaign_scene import RunScene, Starter
from tests.bench.campaign_zone import ROLES, CampaignLab
from tests.bench.interrupts import processes, secrets_in, settled
from vrbench.cli.exits import Exit
from vrbench.core.kinds import KINDS
from vrbench.core.log.rawlog import RawLogError

PROFILE = """
name = "campaign"
[environment]
vms = {vms}
public_ips = {vms}
access = "{access}"
boot_timeout = "8s"
[operation]
kind = "{operation}"
job_timeout = "8s"
[trials]
count = 1
baseline = "1s"
validation = "1s"
settle = "0s"
observe_at_most = "8s"
[probes]
egress_target = "203.0.113.1"
control_target = "198.51.100.2"
old_flow_grace = "1s"
old_flow_silence = "2s"
"""
COSTLY = [kind.switch for kind in KINDS if kind.switch not in ("", "icmp_fresh", "syn")]  # each is on in a third


def play(number: int, seed: int, lab: CampaignLab, starter: Starter) -> Verdict:
    """Carry out one run of the campaign, and judge it."""
    began = time.monotonic()
    verdict = Verdict(number, draw_faults(number, seed, root=lab.small_disk is not None), draw_cleanup(number, seed))
    here = lab.zone.here / f"run-{number:03}"
    here.mkdir()
    scene = RunScene(lab, starter, here, here / "reports")
    before = lab.standing()
    try:
        _measure(scene, verdict, Random(f"{seed}-{number}-profile"))
        _read(scene, verdict)
        _clean(scene, verdict, before)
    finally:
        lab.front.begin()
        scene.clear()
    verdict.took_s = time.monotonic() - began
    _put_away(scene, verdict)
    return verdict


def _measure(scene: RunScene, verdict: Verdict, rng: Random) -> None:
    role = rng.choice(ROLES)
    (scene.here / "cloudstack.ini").write_text(scene.lab.client_file(role))
    access = rng.choice(("port-forwarding", "port-forwarding", "static-nat"))
    operation = rng.choice(("restart-network-cleanup", "restart-network-cleanup", "restart-network"))
    text = PROFILE.format(vms=rng.choice((1, 1, 2)), access=access, operation=operation)
    off = [f"{switch} = false" for switch in COSTLY if rng.random() > 0.33]
    (scene.here / "campaign.toml").write_text("\n".join([text, *off]))
    scene.lab.front.begin()
    scene.lab.front.seen, scene.lab.front.take = partial(scene.lab.make_alike, role), partial(scene.lab.take, role)
    for _, fault in verdict.faults:
        fault.place(scene)
    ended = scene.vrbench("run", "campaign.toml", "--plain", "--reports", str(scene.reports))
    scene.lab.front.seen = lambda _request, _reply: None
    allowed = frozenset().union(*(kind.codes for kind, _ in verdict.faults))
    verdict.note("run", ended, allowed)
    happened = [f"{len(scene.lab.front.sprung)} {' '.join(sorted(set(scene.lab.front.sprung)))}"] * bool(
        scene.lab.front.sprung
    )
    verdict.sprung = f" [{', '.join([*happened, *scene.done]) or 'nothing befell it'}]"


def _read(scene: RunScene, verdict: Verdict) -> None:
    """Have what was measured read again: a disk that was full has room again, nothing else is put right."""
    if scene.lab.small_disk:
        (scene.lab.small_disk / "filler").unlink(missing_ok=True)
    for file in sorted(scene.reports.glob("*/run.json")):
        ended = scene.vrbench("analyze", "--json", str(file.parent))
        verdict.note("analyze", ended, {Exit.OK, Exit.NOT_VALID})
        verdict.wrong += unread(file.parent, ended.out)
        try:
            verdict.samples += count_samples(file.parent)
        except RawLogError as error:
            verdict.wrong.append(f"its samples can't be read: {error}")


def _clean(scene: RunScene, verdict: Verdict, before: Standing) -> None:
    """Clean up: first perhaps with something that goes wrong again, then with nothing that does."""
    verdict.wrong += touched(before, scene.lab.standing())
    everything = ("cleanup", "--all", "--reports", str(scene.reports))
    if verdict.cleanup:
        scene.lab.front.begin()
        verdict.cleanup.place(scene)
        ended = scene.vrbench(*everything)
        verdict.note("faulty cleanup", ended, KILLED if "kill" in verdict.cleanup.words else COPES)
        if ended.code == Exit.OK:
            verdict.wrong += [f"said to be gone: {thing}" for thing in _ours(scene, before)]
    scene.lab.front.begin()
    scene.clear()
    verdict.note("cleanup", scene.vrbench(*everything), frozenset({0}))
    verdict.wrong += [f"left: {thing}" for thing in _ours(scene, before)]
    verdict.wrong += touched(before, scene.lab.standing())
    verdict.wrong += [f"removed, and not ours: {thing}" for thing in scene.lab.lost_alike()]
    verdict.wrong += [f"still runs: {process}" for process in settled(partial(processes, scene.here))]
    verdict.wrong += [f"still lies there: {path}" for path in secrets_in(scene.reports)]


def _ours(scene: RunScene, before: Standing) -> list[str]:
    """Name what is left of the run."""
    return new(before, scene.lab.standing(), {value for _, _, params in scene.lab.alike for value in params.values()})


def _put_away(scene: RunScene, verdict: Verdict) -> None:
    """Keep what is worth a look, and nothing else."""
    if scene.lab.small_disk and scene.reports.is_relative_to(scene.lab.small_disk):
        if verdict.wrong and scene.reports.exists():
            shutil.copytree(scene.reports, scene.here / "reports")
        shutil.rmtree(scene.reports, ignore_errors=True)
    if verdict.wrong and scene.lab.keep:
        scene.lab.keep.mkdir(parents=True, exist_ok=True)
        verdict.kept = Path(shutil.move(scene.here, scene.lab.keep))
    else:
        shutil.rmtree(scene.here)
