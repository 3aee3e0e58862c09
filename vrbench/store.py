"""Run directories: written as the run goes, readable after a crash, re-analysable.

    <reports>/<run_id>/
        run.json            profile, context, method, state (building, measuring, done, failed), versions
        run.lock            held by the process that works on the run
        journal.jsonl       what was created in the cloud and what of it is gone (room ``cloud``)
        key, known_hosts    the run's SSH key (0600, deleted at the end) and the host keys pinned
        environment.json    the network, guests and addresses
        trial-01/facts.json when the operation was requested, clocks, job; first as of an interrupted trial, then whole
        trial-01/*.raw      raw sample logs, one per prober
        lab/                the embedded lab's state, where there is one

A file is replaced whole or not at all. Nothing computed is kept: figures come from ``analyze``.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vrbench import __version__
from vrbench.core.caveats import Caveat, CaveatKind
from vrbench.core.facts import Context, NodeClock, TrialFacts
from vrbench.core.figures.results import Run, TrialResult
from vrbench.core.figures.windows import ESTIMATOR
from vrbench.core.log.failures import Failure, count_failures
from vrbench.core.log.rawlog import RawLogError
from vrbench.core.machine_verdict import MachineVerdict
from vrbench.core.model import Direction, Endpoint, Environment, Guest, Stream
from vrbench.core.plan.method import Method
from vrbench.core.plan.profile import LimitsTable

FORMAT = "vrbench-run/1"


class StoreError(RuntimeError):
    """A run directory can't be written or read; says which, why and what to do."""


class NoSuchRun(StoreError):
    """There is no run of that name, or more than one."""


class RunInUse(StoreError):
    """Another process works on this run right now."""


def new_run_id(now: datetime, name: str) -> str:
    """20261124T131500Z-1a2b3c4d-lab-parallel: sorts by time, tells runs apart, safe in file names."""
    safe = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "run"
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}-{safe[:40]}"


class RunDir:
    """One run's directory, being written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, reports: Path, run_id: str, needed_bytes: int) -> RunDir:
        """Make the directory (0700). Raises StoreError when it can't be, or when the disk has less than needed."""
        path = reports / run_id
        try:
            path.mkdir(parents=True, mode=0o700, exist_ok=True)
            free = shutil.disk_usage(path).free
        except OSError as error:
            raise StoreError(f"can't make {path}: {error.strerror}; choose another place with --reports DIR") from error
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
        """The directory of one trial, made if need be."""
        path = self.path / f"trial-{number:02d}"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @contextmanager
    def owned(self) -> Iterator[None]:
        """While the block lasts, this process (and what it starts) is the one that works on the run.

        Raises RunInUse when another one does; the kernel ends it with the process, however that ends.
        """
        fd = os.open(self.path / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
        state: str,
        context: Context,
        method: Method,
        profile: object,
        calibrated: MachineVerdict | None = None,
    ) -> None:
        """Note what the run is and how far it has come, and what is known of the instrument on this machine."""
        replace_json(
            self.path / "run.json",
            {
                "format": FORMAT,
                "vrbench_version": __version__,
                "run_id": self.path.name,
                "state": state,
                "context": asdict(context),
                "method": asdict(method),
                "method_id": method.id,
                "profile": profile,
                "calibrated": asdict(calibrated) if calibrated else None,
            },
        )

    def write_facts(self, facts: TrialFacts) -> None:
        """Note a trial's facts: from now on it counts as whole."""
        replace_json(self.trial(facts.number) / "facts.json", asdict(facts))

    def in_lab(self) -> bool:
        """Whether the run was measured on an embedded lab of its own."""
        if self.lab.is_dir():
            return True
        try:
            return bool(_read_json(self.path / "run.json")["context"]["lab"])
        except (StoreError, KeyError, TypeError):
            return False

    def endpoint(self) -> str:
        """The API address that the run's profile named; '' when it named none, or can't be read any more."""
        try:
            return str(_read_json(self.path / "run.json")["profile"]["cloud"]["endpoint"])
        except (StoreError, KeyError, TypeError):
            return ""

    def write_environment(self, environment: Environment) -> None:
        """Note what was built, so that a kept environment can be measured again."""
        replace_json(self.path / "environment.json", asdict(environment))

    def has_environment(self) -> bool:
        """Whether the build got as far as an environment that can be measured."""
        return (self.path / "environment.json").is_file()

    def read_environment(self) -> Environment:
        """What ``write_environment`` noted. Raises StoreError."""
        stored = _read_json(self.path / "environment.json")
        try:
            stored["guests"] = tuple(Guest(**g) for g in stored["guests"])
            stored["endpoints"] = tuple(Endpoint(**e) for e in stored["endpoints"])
            return Environment(**{**stored, "routers": tuple(stored["routers"])})
        except (KeyError, TypeError) as error:
            raise StoreError(f"{self.path / 'environment.json'} can't be read: {error}") from error

    def forget_secrets(self) -> None:
        """Delete the run's private key and pinned host keys: what they opened is gone."""
        self.key.unlink(missing_ok=True)
        self.known_hosts.unlink(missing_ok=True)


def replace_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half. Raises StoreError."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"can't write {path}: {error.strerror}; free some space, then run again") from error


def find_run(reports: Path, name: str) -> Path:
    """The directory of a run given by path, by id, or by a unique beginning of its id. Raises NoSuchRun."""
    direct = Path(name)
    if is_run(direct):
        return direct
    matching = [p for p in run_paths(reports) if p.name.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise NoSuchRun(f"{name!r} could be any of: {', '.join(p.name for p in matching)}; write more of it")
    known = ", ".join(p.name for p in run_paths(reports)[-3:]) or "none"
    raise NoSuchRun(f"no run {name!r} under {reports}; the newest there: {known}")


def run_paths(reports: Path) -> list[Path]:
    """All run directories under ``reports``, oldest first."""
    return sorted(p for p in reports.glob("*/") if is_run(p))


def is_run(path: Path) -> bool:
    """Whether that is a run's directory; its journal alone makes it one."""
    return any((path / name).is_file() for name in ("run.json", "journal.jsonl"))


def state_of(path: Path) -> str:
    """How far a run came, '' where that can't be read."""
    try:
        return str(_read_json(path / "run.json").get("state", ""))
    except StoreError:
        return ""


def load_run(path: Path) -> Run:
    """Read a run and analyse all its whole trials. Raises StoreError."""
    header = _read_json(path / "run.json")
    if header.get("format") != FORMAT:
        raise StoreError(f"{path} has format {header.get('format')!r}; this version reads {FORMAT!r}")
    try:
        recorded, context = _method(header["method"]), Context(**header["context"])
        run_id, state = str(header["run_id"]), str(header["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path / 'run.json'} is not whole ({error}): the run can't be analysed") from error
    method = replace(recorded, estimator=ESTIMATOR)  # it is this one that computes, whatever computed then
    trials, unreadable = _load_trials(path, method)
    ways = sorted({way for trial in trials for way in trial.without_python})
    seen = replace(method, without_python="+".join(ways))
    planned, limits = _asked(header.get("profile"))
    return Run(
        run_id,
        str(path),
        context,
        seen,
        state,
        trials,
        unreadable,
        calibrated=_verdict(header.get("calibrated")),
        planned=planned,
        limits=limits,
        recorded_under=recorded.estimator if recorded.estimator != ESTIMATOR else "",
    )


def _method(stored: dict[str, Any]) -> Method:
    """The method that a run was recorded under. Raises TypeError or ValueError when it can't be one."""
    method = Method(**stored)
    for name in ("interval_s", "banner_interval_s", "threshold_s", "merge", "baseline_s", "validation_s"):
        value = getattr(method, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise ValueError(f"method.{name} is {value!r}")
    if method.merge < 1 or not isinstance(method.merge, int):
        raise ValueError(f"method.merge is {method.merge!r}")
    return method


def _asked(profile: Any) -> tuple[int, LimitsTable | None]:
    """How many trials a stored profile asked for, and its limits; none where it can't be read."""
    try:
        return int(profile["trials"]["count"]), LimitsTable(**profile["limits"])
    except (KeyError, TypeError, ValueError):
        return 0, None


def _verdict(stored: object) -> MachineVerdict | None:
    """The machine's calibration; None in runs without one, and in those of a version that kept other figures."""
    try:
        return MachineVerdict(**stored) if isinstance(stored, dict) else None
    except TypeError:
        return None


def _load_trials(path: Path, method: Method) -> tuple[tuple[TrialResult, ...], tuple[str, ...]]:
    """All trials that can be analysed, and what is wrong with the others: one bad file hides no good trial."""
    trials, unreadable = [], []
    for facts_path in sorted(path.glob("trial-*/facts.json")):
        try:
            trials.append(load_trial(facts_path, method))
        except StoreError as error:
            unreadable.append(str(error))
    return tuple(trials), tuple(unreadable)


def load_trial(facts_path: Path, method: Method) -> TrialResult:
    """Analyse one stored trial. Raises StoreError."""
    from vrbench.core.analysis import analyze_trial  # numpy takes its time to load, and few commands analyse

    try:
        facts = _facts(_read_json(facts_path))
        return analyze_trial(facts, list(_logs(facts_path.parent)), method)
    except (RawLogError, TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{facts_path.parent} can't be analysed: {error}") from error


def load_method(path: Path) -> Method:
    """The method by which a run's samples are analysed: its own rules, and today's estimator. Raises StoreError."""
    try:
        return replace(_method(_read_json(path / "run.json")["method"]), estimator=ESTIMATOR)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path / 'run.json'} is not whole ({error}): the run can't be analysed") from error


def load_failures(path: Path) -> Iterator[tuple[int, Stream, Failure, int]]:
    """Why probes of ingress failed in each trial of a run, after the request: (trial, stream, reason, how often).

    Raises StoreError.
    """
    try:
        threshold_s = load_method(path).threshold_s
        for facts_path in sorted(path.glob("trial-*/facts.json")):
            facts = _facts(_read_json(facts_path))
            for log in _logs(facts_path.parent):
                for stream, counted in count_failures(log, threshold_s, facts.requested_ns).items():
                    for failure, count in sorted(counted.items()):
                        yield facts.number, stream, failure, count
    except (RawLogError, TypeError, KeyError, ValueError) as error:
        raise StoreError(f"{path} can't be analysed: {error}") from error


def _logs(trial: Path) -> Iterator[bytes]:
    """The trial's raw logs in a fixed order; a log that never got its header holds nothing to analyse."""
    for path in sorted(trial.glob("*.raw")):
        log = path.read_bytes()
        if b"\n" in log:
            yield log


def _facts(stored: dict[str, Any]) -> TrialFacts:
    fields = dict(stored)
    fields["clocks"] = {node: NodeClock(**clock) for node, clock in stored["clocks"].items()}
    for several in ("agents_lost", "guests_rebooted", "probers_failed", "rivals"):
        fields[several] = tuple(stored.get(several, ()))
    fields["gateways"] = {node: tuple(macs) for node, macs in stored.get("gateways", {}).items()}
    fields["expected"] = tuple((node, _stream(stream)) for node, stream in stored.get("expected", ()))
    fields["doubts"] = tuple(Caveat(CaveatKind.of(c["kind"]), c["detail"]) for c in stored.get("doubts", ()))
    return TrialFacts(**fields)


def _stream(stored: dict[str, Any]) -> Stream:
    return Stream(**{**stored, "direction": Direction(stored["direction"])})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path} is not JSON ({error}); the run it belongs to can't be read") from error
    if not isinstance(stored, dict):
        raise StoreError(f"{path} does not hold a JSON object")
    return stored
