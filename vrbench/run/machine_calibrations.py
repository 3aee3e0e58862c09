"""What the last calibration on this machine found, kept per user below $XDG_STATE_HOME.

It counts for the same machine, kernel, vrbench and estimator only: another of these is another instrument.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from vrbench import __version__
from vrbench.core.calibrate.calibration import Calibration
from vrbench.core.machine_calibration import MachineCalibration
from vrbench.core.plan.method import ESTIMATOR
from vrbench.core.text import utc_text
from vrbench.private import make_folder
from vrbench.store.codec import decode_calibration
from vrbench.store.files import StoreError, read_json, replace_json

MACHINE_ID = Path("/etc/machine-id")


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return where vrbench keeps what it knows of this machine (XDG base directories). Raises StoreError."""
    given = environ.get("XDG_STATE_HOME", "")
    base = Path(given if given.startswith("/") else os.path.expanduser("~/.local/state"))
    if not base.is_absolute():
        raise StoreError("this user has no home directory: set HOME, or XDG_STATE_HOME")
    return base / "vrbench"


def machine_key() -> str:
    """Return a digest of this machine's id (its name where it has none), kernel, vrbench and estimator."""
    try:
        machine = MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = socket.gethostname()
    parts = (machine, os.uname().release, __version__, ESTIMATOR)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def summarize(calibration: Calibration, seed: int, now: datetime) -> MachineCalibration:
    """Return the figures to keep of a calibration made here."""
    total, steady = calibration.total, calibration.steady
    return MachineCalibration(
        calibrated_utc=utc_text(now, "seconds"),
        machine=machine_key(),
        kernel=os.uname().release,
        vrbench_version=__version__,
        estimator=ESTIMATOR,
        good=calibration.good,
        seed=seed,
        interval_s=calibration.interval_s,
        bias_s=calibration.bias_s,
        worst_s=calibration.worst_s,
        seen=steady.seen,
        held=steady.held,
        missed=total.missed,
        false=calibration.false,
        vague=total.vague,
        outages=len({c.outage.number for c in calibration.comparisons}),
        longest_s=max((c.outage.longest_s for c in calibration.comparisons), default=0.0),
    )


def save_calibration(found: MachineCalibration, environ: Mapping[str, str]) -> Path:
    """Keep it, for this user's eyes only. Raises OSError, StoreError or NotPrivate when that fails."""
    path = _path(found.machine, environ)
    make_folder(path.parent)
    replace_json(path, asdict(found), mode=0o600)
    return path


def load_calibration(environ: Mapping[str, str]) -> MachineCalibration | None:
    """Return the calibration that counts here; None when there is none, or none that can be read."""
    try:
        path = _path(machine_key(), environ)
        return decode_calibration(read_json(path), path)
    except StoreError:
        return None


def _path(machine: str, environ: Mapping[str, str]) -> Path:
    return state_directory(environ) / f"calibration-{machine}.json"
