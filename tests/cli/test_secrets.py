"""No secret leaves its place: not in a file, a stream, a command line or an environment, whatever becomes of a run."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.cli.leaks import Secrets, key_lines, leaks, leaks_in_files, watched
from tests.cli.zone import MEASURED, PROFILE, ROOT, VRBENCH, Zone, hear, wait_for
from vrbench.lab import lifecycle

PROFILE_NAME = "small.toml"
OWN = f"-m\0vrbench\0run\0{PROFILE_NAME}\0--plain\0".encode()
SECRET = "a/secret+of=37 characters, with signs"
WRITABLE = ("/run", "/run/home", "/tmp", "/var/tmp")  # in a guest
QUICK = PROFILE.replace('"2s"', '"1s"').replace("= 2", "= 1").replace("[probes]", '[probes]\nold_flow_grace = "1s"')


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        f"GET /client/api?apikey=x&secret={quote(SECRET, safe='')}&more",
        base64.b64encode(f"x:{SECRET}:y".encode()).decode(),
        base64.urlsafe_b64encode(f"xy:{SECRET}:yz".encode()).decode(),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_a_secret_is_found_in_any_dress(shown: str, tmp_path: Path) -> None:
    """As it is, quoted, in base64 or hexadecimal, in a file's content: what finds nothing must be able to find."""
    (tmp_path / "file").write_text(f"before {shown} after")
    assert leaks_in_files(tmp_path, {"the secret": SECRET}) == [f"{tmp_path / 'file'}: the secret"]
    assert leaks_in_files(tmp_path, {"another": SECRET[::-1]}) == []


@pytest.mark.parametrize("place", ["cmdline", "environ"])
def test_a_secret_that_a_process_shows_is_found(place: str) -> None:
    """On the command line and in the environment."""
    argv, environ = ([SECRET], {}) if place == "cmdline" else ([], {"PASSED_ON": SECRET})
    command = [sys.executable, "-c", "input()", *argv]
    with watched() as watch, subprocess.Popen(command, stdin=subprocess.PIPE, env=environ) as process:
        wait_for("what it shows", lambda: watch.leaks({"the secret": SECRET}))
        process.communicate(b"\n")
    assert {leak.partition(" ")[0] for leak in watch.leaks({"the secret": SECRET})} == {place}


@pytest.mark.lab
@pytest.mark.slow
def test_a_run_on_a_lab_of_its_own_shows_none(tmp_path: Path) -> None:
    """Neither the operator's own keys, which the lab has no use for, nor the lab's, nor the key to its guests."""
    (tmp_path / PROFILE_NAME).write_text(QUICK.replace("[environment]", "[lab]\ntime_scale = 0.02\n[environment]"))
    ours = {"KEY": "the-operators+own/key", "SECRET": SECRET, "ENDPOINT": "https://cloud.example.org/client/api"}
    environ = {f"CLOUDSTACK_{name}": value for name, value in ours.items()}
    run = Observed(tmp_path, environ, lambda command: [*VRBENCH, *command])
    run.measure(lambda: only_path(tmp_path) / "lab")
    assert run.code in MEASURED, run.said
    shown = run.shown({"the operator's key": ours["KEY"], "the operator's secret": SECRET})
    assert not shown, "\n".join(shown)


@pytest.mark.lab
@pytest.mark.slow
def test_a_run_that_fails_on_a_cloud_shows_none(zone: Zone) -> None:
    """The restart is refused with a reason, which is told; what the run was given in its environment is not."""
    root = zone.status.callers["root"]
    ours = {"KEY": root.apikey, "SECRET": root.secretkey, "ENDPOINT": zone.status.endpoint}
    environ = {f"CLOUDSTACK_{name}": value for name, value in ours.items()}
    zone.profile(QUICK)
    lifecycle.fault(zone.state, "job-fails", {"command": "restartNetwork"})
    run = Observed(zone.here, environ, lambda command: lifecycle.enter(zone.state, "upstream", [*VRBENCH, *command]))
    run.measure(lambda: zone.state)
    lifecycle.fault(zone.state, "", on=False)
    assert run.code == 3, run.said
    shown = run.shown({})
    assert not shown, "\n".join(shown)
    assert leaks_in_files(zone.state, run.secrets, lambda path: path.name == "cloudstack.ini") == []


def only_path(here: Path) -> Path:
    (path,) = (here / "reports").glob("*/")
    return path


class Observed:
    """A run under the eyes of whoever looks for secrets."""

    def __init__(self, here: Path, environ: dict[str, str], command: Callable[[list[str]], list[str]]) -> None:
        self.here, self.secrets, self.code, self.said = here, dict[str, str](), -1, ""
        self._environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(here / "tmp"), **environ}
        self._command = command(["run", PROFILE_NAME, "--plain"])
        (here / "tmp").mkdir()
        (here / "tmp" / "was-here").touch()

    def measure(self, lab: Callable[[], Path]) -> None:
        """Carry the run out, and look into everything meanwhile; ``lab`` tells where the lab's state is by then."""
        process = subprocess.Popen(
            self._command, cwd=self.here, env=self._environ, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        with watched() as self.watch:
            said = hear(process, "trial 1: baseline")
            with self._stopped():
                self._learn(lab())
                files_of_guests(lab(), self.here / "guests")
            out, err = process.communicate(timeout=150)
        self.code, self.said = process.returncode, said + err + out

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Have vrbench stand still during the block, so that everything it made is there as long as that takes."""
        self.watch.look()
        own = self.watch.processes(lambda words: b"vrbench.cli.lab_process" in words or words.endswith(OWN))
        _send(own, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(own, signal.SIGCONT)

    def _learn(self, state: Path) -> None:
        """Note every secret that there is while it runs."""
        for name, keys in lifecycle.status(state).callers.items():
            self.secrets |= {f"the lab's {name} key": keys.apikey, f"the lab's {name} secret": keys.secretkey}
        self.secrets |= key_lines((only_path(self.here) / "key").read_text())

    def shown(self, more: Secrets) -> list[str]:
        """Name every secret that shows where none may."""
        secrets = {**self.secrets, **more}
        assert len(secrets) >= 9, "the secrets themselves are not known"
        assert list((self.here / "guests").rglob("authorized_keys")), "no file of a guest was seen"
        found = leaks(self.said.encode(), "what it says", secrets) + self.watch.leaks(secrets, given)
        return found + [
            leak for place in ("reports", "tmp", "guests") for leak in leaks_in_files(self.here / place, secrets)
        ]


def _send(pids: set[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def given(words: bytes) -> bool:
    """Whether that is a process to which the operator handed the keys over, in its environment: vrbench itself."""
    return words.endswith(OWN)


def files_of_guests(state: Path, place: Path) -> None:
    """Copy all that lies in every guest where it may write, but for its own host key."""
    vms = [node.name for node in lifecycle.status(state).nodes if node.kind == "vm"]
    assert vms, "there is no guest"
    for vm in vms:
        packed = subprocess.run(
            lifecycle.enter(state, vm, ["tar", "-c", "--one-file-system", *WRITABLE]), capture_output=True, check=False
        )
        (place / vm).mkdir(parents=True)
        unpack = ["tar", "-x", "--no-same-owner", "-C", str(place / vm)]
        subprocess.run(unpack, input=packed.stdout, capture_output=True, check=False)
