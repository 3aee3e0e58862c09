"""Run directories: written as the run goes, readable after a crash, re-analysable.

    <reports>/<run_id>/
        run.json            profile, context, method, state (``RunState``), versions
        run.lock            held by the process that works on the run
        journal.jsonl       what was created in the cloud and what of it is gone (room ``cloud``)
        key, key-*          the run's SSH keys (0600, deleted once all is removed), one of each kind
        known_hosts         the host keys pinned
        environment.json    the network, guests and addresses
        trial-01/facts.json when the operation was requested, clocks, job; first as of an interrupted trial, then whole
        trial-01/*.raw      raw sample logs, one per prober
        trial-01/truth.json of a calibration: what was injected, and how it truly was
        plan.json           of a run on an embedded lab: what the process inside it is to do (0600)
        ending.json         the same: how that process says it ended
        lab/                the embedded lab's state, where there is one

A file is replaced whole or not at all. Nothing computed is kept: figures come from ``analyze``.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from vrbench import __version__
from vrbench.core.facts import Context, TrialFacts
from vrbench.core.figures.results import RunState
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.model import Environment
from vrbench.core.plan.method import Method
from vrbench.core.text import few
from vrbench.core.values import quoted
from vrbench.private import check_folder, make_folder
from vrbench.store.codec import FORMAT, decode, encode, trial_name
from vrbench.store.files import NoSuchRun, RunInUse, StoreError, failure, read_json, replace_json

if sys.platform != "win32":
    import fcntl


def new_run_id(now: datetime, name: str) -> str:
    """Return a new name such as 20261124T131500Z-1a2b3c4d-lab-parallel: sorts by time, unique, safe in file names."""
    safe = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "run"
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}-{safe[:40]}"


class RunDir:
    """One run's directory, being written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, reports: Path, run_id: str, needed_bytes: int) -> RunDir:
        """Make the directory (0700). Raises StoreError when it can't be, or when the disk has less than needed.

        Raises NotPrivate when others could swap it, or what lies in it.
        """
        path = reports / run_id
        try:
            make_folder(path)
            disk = os.statvfs(path)
        except OSError as error:
            raise StoreError(f"can't make {path}: {error.strerror}; choose another place with --reports DIR") from error
        free = disk.f_bavail * disk.f_frsize
        if free < needed_bytes:
            raise StoreError(
                f"{path} is on a disk with {free / 1e6:.0f} MB left, and this run may write "
                f"{needed_bytes / 1e6:.0f} MB; free some, or choose another place with --reports DIR"
            )
        return cls(path)

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def key(self) -> Path:
        return self.path / "key"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def lab(self) -> Path:
        return self.path / "lab"

    def trial(self, number: int) -> Path:
        """Return the directory of one trial, made if need be."""
        path = self.path / trial_name(number)
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the run's lock during the block: this process (and what it starts) is the one that works on the run.

        Raises RunInUse when another one does, StoreError when the lock can't be had at all, and NotPrivate when others
        can reach into the directory. The kernel releases the lock with the process, however that ends.
        """
        lock = self.path / "run.lock"
        try:
            check_folder(self.path)
            fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise failure("write", lock, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise RunInUse(f"{self.path.name} is still going on (or being cleaned up): left alone") from None
        try:
            yield
        finally:
            os.close(fd)

    def write_run(
        self,
        state: RunState,
        context: Context,
        method: Method,
        profile: object,
        calibrated: MachineCalibration | None = None,
    ) -> None:
        """Note what the run is and how far it has come, and what is known of the instrument on this machine."""
        replace_json(
            self.path / "run.json",
            {
                "format": FORMAT,
                "vrbench_version": __version__,
                "run_id": self.path.name,
                "state": state,
                "context": encode(context),
                "method": encode(method),
                "method_id": method.id,
                "profile": profile,
                "calibrated": encode(calibrated) if calibrated else None,
            },
        )

    def write_facts(self, facts: TrialFacts) -> None:
        """Note a trial's facts: from now on it counts as whole."""
        replace_json(self.trial(facts.number) / "facts.json", encode(facts))

    def in_lab(self) -> bool:
        """Return whether the run was measured on an embedded lab of its own."""
        if self.lab.is_dir():
            return True
        try:
            return bool(read_json(self.path / "run.json")["context"]["lab"])
        except (StoreError, KeyError, TypeError):
            return False

    def endpoint(self) -> str:
        """Return the API address that the run's profile named; '' when it named none, or can't be read any more."""
        try:
            return str(read_json(self.path / "run.json")["profile"]["cloud"]["endpoint"])
        except (StoreError, KeyError, TypeError):
            return ""

    def write_environment(self, environment: Environment) -> None:
        """Note what was built, so that a kept environment can be measured again."""
        replace_json(self.path / "environment.json", encode(environment))

    def has_environment(self) -> bool:
        """Return whether the build got as far as an environment that can be measured."""
        return (self.path / "environment.json").is_file()

    def read_environment(self) -> Environment:
        """Read back what ``write_environment`` noted. Raises StoreError."""
        path = self.path / "environment.json"
        return decode(Environment, read_json(path), path)

    def forget_secrets(self) -> None:
        """Delete the run's private key and pinned host keys: what they opened is gone."""
        for key in (self.key, *self.path.glob(f"{self.key.name}-*")):
            key.unlink(missing_ok=True)
        self.known_hosts.unlink(missing_ok=True)


def find_run(reports: Path, name: str) -> Path:
    """Find the directory of a run, given by path, by id, or by a unique beginning of its id. Raises NoSuchRun."""
    direct = Path(name)
    if is_run(direct):
        return direct
    matching = [p for p in run_paths(reports) if p.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise NoSuchRun(f"{quoted(name)} could be any of: {few([p.name for p in matching])}; write more of it")
    known = ", ".join(p.name for p in run_paths(reports)[-3:]) or "none"
    raise NoSuchRun(f"no run {quoted(name)} under {reports}; the newest there: {known}")


def run_paths(reports: Path) -> list[Path]:
    """Return all run directories under ``reports``, oldest first; where that is not there, none was made in it.

    Raises StoreError where nobody can tell which there are.
    """
    try:
        names = os.listdir(reports)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failure("read", reports, error) from error
    return sorted(path for name in names if is_run(path := reports / name))


def is_run(path: Path) -> bool:
    """Return whether that is a run's directory; its journal alone makes it one.

    Another user's directory counts as well: whoever reads it is told whose it is.
    """
    return any(_may_be_there(path / name) for name in ("run.json", "journal.jsonl"))


def _may_be_there(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
