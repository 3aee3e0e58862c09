"""Whether this machine lets probers open what they need, tried as they do it, in a process as theirs are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vrbench.core.model import Stream
from vrbench.private import child_environment
from vrbench.probes.config import ProbeError

ANSWER_S = 30.0  # a busy machine's interpreter may take its time to start


@dataclass(frozen=True, slots=True)
class Opened:
    """How one prober fared: how it would probe (``method``), or why it can't; and with which error a send failed."""

    method: str = ""
    reason: str = ""
    denied: bool = False  # it is a right that lacks
    unsent: int = 0


def try_probers(
    streams: Mapping[str, Sequence[Stream]], threshold_s: float, send: frozenset[str] = frozenset()
) -> dict[str, Opened]:
    """Return how each prober fares here that would probe ``streams``; those of ``send`` send one probe.

    Raises ProbeError where no process can try it.
    """
    wanted = {
        "threshold_ns": round(threshold_s * 1e9),
        "probers": {
            name: {"send": name in send, "streams": [_as_json(stream) for stream in some]}
            for name, some in streams.items()
        },
    }
    return {name: Opened(**found) for name, found in _ask(json.dumps(wanted)).items()}


def _as_json(stream: Stream) -> dict[str, Any]:
    return {"target": stream.target, "flow": stream.flow, "interval_ns": round(stream.interval_s * 1e9)}


def _ask(wanted: str) -> dict[str, Any]:
    """Return what the process answers. Raises ProbeError with what became of it."""
    command = [sys.executable, "-S", "-m", "vrbench.probes.opening"]  # as probers are started
    try:
        done = subprocess.run(
            command,
            input=wanted,
            env=child_environment(PYTHONPATH=str(Path(__file__).parents[2])),
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProbeError(f"a process that tried it gave no answer within {ANSWER_S:.0f} s") from None
    except OSError as error:
        raise ProbeError(f"{sys.executable} can't be started again: {error.strerror}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it died without a word"])[-1]
        raise ProbeError(f"a process that tried it ended with {done.returncode}: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
