"""The harness's side of its prober processes: start one, see that it lives, stop it with a complete log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vrbench.core.kinds import KINDS
from vrbench.core.log.rawlog import RECORD, RecordKind
from vrbench.private import child_environment
from vrbench.probes.config import Login, PhasedStream, ProbeError, SamplesNotKept

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
NEED_LOGIN = frozenset(kind.prober for kind in KINDS if kind.logs_in)


@dataclass(frozen=True, slots=True)
class ProberConfig:
    """One prober process. Targets are an address for icmp, else ``host:port``; ``log`` must not exist.

    ``login`` is for session and auth, which need one.
    """

    prober: str  # one of probes.prober.PROBERS
    node: str
    log: Path
    streams: tuple[PhasedStream, ...]
    threshold_s: float = 0.8
    login: Login | None = None

    @property
    def start_deadline_s(self) -> float:
        """How long it may take until the first probe is out."""
        return max(phased.stream.kind.start_s for phased in self.streams)


class ProberProcess:
    """A running prober process. It ends by itself when this process does, however that happens."""

    def __init__(self, process: subprocess.Popen[bytes], config: ProberConfig) -> None:
        self._process = process
        self.config = config

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> Path:
        return self.config.log

    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, deadline_s: float = 3.0) -> None:
        """Let it end its log and exit. Raises ProbeError when the log has no END. Stopping twice is fine."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        words = self._process.stdout.read().decode(errors="replace").strip()
        self._process.stdout.close()
        if not ends_in_order(self.log):
            reason = words or f"exit code {self._process.returncode}"
            raise ProbeError(f"the {self.config.prober} prober left {self.log} without an end: {reason}")


def spawn(prober: str) -> subprocess.Popen[bytes]:
    """Start a process that waits for the configuration of ``prober``, with all that it needs loaded."""
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    bare = [] if prober in NEED_LOGIN else ["-S"]  # without a login it needs nothing from site-packages
    return subprocess.Popen(
        [sys.executable, *bare, "-m", "vrbench.probes.prober", prober],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=child_environment(PYTHONPATH=path),
        start_new_session=True,  # Ctrl-C on the terminal is the harness's to handle
    )


def start_prober(config: ProberConfig, waiting: subprocess.Popen[bytes] | None = None) -> ProberProcess:
    """Start a prober, in the process that was spawned for it or a new one; return when its first probe is out.

    Raises ProbeError.
    """
    process = waiting or spawn(config.prober)
    running = ProberProcess(process, config)
    answer = _first_words(process, _as_json(config), config.start_deadline_s)
    if answer != "started":
        process.kill()
        process.wait()
        raise _not_started(config, answer)
    return running


def _not_started(config: ProberConfig, answer: str) -> ProbeError:
    """Return what to raise for a prober that died with these words; Python's begin with the error's number."""
    number = re.match(r"\[Errno (\d+)\]", answer)
    if number and int(number[1]) in NO_ROOM:
        reason = os.strerror(int(number[1]))
        return SamplesNotKept(
            f"can't write {config.log}: {reason}; free some space, or choose another place with --reports DIR"
        )
    return ProbeError(f"the {config.prober} prober did not start: {answer}")


def ends_in_order(log: Path) -> bool:
    """Return whether the last whole record of ``log`` is END."""
    try:
        with log.open("rb") as file:
            start = len(file.readline())
            size = file.seek(0, os.SEEK_END) - start
            if size < RECORD.size or size % RECORD.size:
                return False
            file.seek(-RECORD.size, os.SEEK_END)
            return file.read(1)[0] == RecordKind.END
    except FileNotFoundError:
        return False


def how_probed(log: Path) -> tuple[str, ...]:
    """Say what is out of the ordinary in the way ``log`` is made, by its header; nothing before it has one."""
    words = []
    with contextlib.suppress(FileNotFoundError, ValueError), log.open("rb") as file:  # unreadable: analysis says so
        header = json.loads(file.readline(1 << 20))
        if header.get("method") == "connect" and any(s["flow"] == "syn" for s in header["streams"]):
            words.append("no raw sockets: TCP connects instead of SYN probes")
        if "fresh_cycle_s" in header:
            words.append(
                f"fresh ICMP ids come round after {header['fresh_cycle_s']} s, and a router forgets a flow after 30 s: "
                "not all of these flows are new; probe less often or with fewer VMs"
            )
        if "every" in header:
            slowed_ns = min(s["interval_ns"] for s in header["streams"])
            words.append(
                f"{header['node']} can't send every {slowed_ns / header['every'] / 1e6:g} ms: it sends every "
                f"{slowed_ns / 1e6:g} ms, and its bounds are wider"
            )
        grain_ns = max((s.get("grain_ns", 0) for s in header["streams"]), default=0)
        if grain_ns:
            words.append(f"guests without Python: probed by {header['method']}, send times to {grain_ns / 1e6:g} ms")
        if "no_resolver" in header:
            words.append(f"names are not probed where no resolver answers (asked: {header['no_resolver']})")
        for stream, reason in header.get("not_opened", {}).items():
            words.append(f"no session for {stream}: {reason}")
    return tuple(words)


def _as_json(config: ProberConfig) -> bytes:
    line = {
        "prober": config.prober,
        "node": config.node,
        "log": str(config.log),
        "threshold_ns": round(config.threshold_s * 1e9),
        "streams": [phased.as_json() for phased in config.streams],
    }
    if config.login:
        line |= {"user": config.login.user, "key": str(config.login.key), "pins": str(config.login.known_hosts)}
    return json.dumps(line).encode() + b"\n"


def _first_words(process: subprocess.Popen[bytes], config: bytes, deadline_s: float) -> str:
    """Hand over ``config`` and wait for the prober's answer line."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(config)
        process.stdin.flush()
    if not select.select([process.stdout], [], [], deadline_s)[0]:
        return f"no answer within {deadline_s:g} s: is this machine overloaded?"
    first = process.stdout.readline().decode(errors="replace").strip()
    if first == "started":
        return first
    process.stdin.close()
    rest = process.stdout.read().decode(errors="replace").strip()
    return "\n".join(filter(None, (first, rest))) or "it died without a word"
