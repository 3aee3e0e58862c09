"""One bad input, given to the real command in a child process: with limits of time and memory, and no way out."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIMIT_S, PROCESSOR_S = 60.0, 10  # who waits for nothing, and who computes without end, on a machine that is busy
MEMORY = 1 << 30  # beside what the bench itself has
MOST_SAID = 20_000  # characters: more is read by nobody
TABLE = (0, 1, 2, 3, 64)  # of exit codes; 70 is a bug
CRASHED = 99
# What must never reach a terminal; colours of ours are switched off, since the output is none.
ACTING = {c: repr(c) for c in "\x1b\x07\x08\x00\x7f\x85\x9b\u202e\u200b\u2028\ufeff"}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, and what the answer to it must say: one of ``names``, where it is no good one."""

    what: str
    argv: tuple[str, ...]
    names: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[int, ...] = TABLE
    secrets: tuple[str, ...] = ()
    good: int = 0  # the code that needs no explanation
    trials: int = 0  # so many must be readable all the same (``analyze --json``)


@dataclass(frozen=True, slots=True)
class Answer:
    """How the command ended: its exit code (None: it had to be ended), what it said, and after how long."""

    code: int | None
    out: str
    err: str
    seconds: float


def ask(case: Case, here: Path) -> Answer:
    """Run the command line in a child of this process, in ``here``."""
    sys.stdout.flush()
    begun = time.monotonic()
    out, err = here / ".out", here / ".err"
    child = os.fork()
    if not child:
        _be_the_command(case, here, out, err)
    code = _wait(child)
    said, complained = (path.read_bytes().decode("utf-8", "surrogateescape") for path in (out, err))
    return Answer(code, said, complained, time.monotonic() - begun)


def _wait(child: int) -> int | None:
    """Return the child's exit code; None when it had to be ended."""
    watched = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        ended = bool(poll.poll(LIMIT_S * 1000))
    finally:
        os.close(watched)
    if not ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if ended else None


def _be_the_command(case: Case, here: Path, out: Path, err: Path) -> None:
    """Never returns."""
    code = CRASHED
    try:
        os.chdir(here)
        _settle(out, err)
        os.environ.clear()
        os.environ.update(case.environ)
        sys.argv = ["vrbench", *case.argv]
        from vrbench.cli.main import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else CRASHED
    except BaseException:  # noqa: BLE001  that is what is looked for
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _settle(out: Path, err: Path) -> None:
    """Put files in place of the streams, limit the memory, and close the way to all but this machine."""
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  they last as long as the process
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S, PROCESSOR_S + 1))
    socket.getaddrinfo = _only_here  # type: ignore[assignment]
    time.sleep, time.monotonic = _skip, _monotonic  # type: ignore[assignment]  # whatever it takes is a number


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


_getaddrinfo = socket.getaddrinfo
_clock, _skipped_s = time.monotonic, [0.0]


def _skip(seconds: float) -> None:
    """Let time pass at once: a cloud that does not answer is asked again for half a minute."""
    _skipped_s[0] += seconds


def _monotonic() -> float:
    return _clock() + _skipped_s[0]


def _only_here(host: object, port: object, *more: object, **how: object) -> object:
    """Resolve loopback addresses; every other name is unknown."""
    if host in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", b"::1", b"localhost"):
        return _getaddrinfo(host, port, *more, **how)  # type: ignore[arg-type]
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def problems(case: Case, answer: Answer) -> list[str]:
    """Return what is wrong with an answer."""
    if answer.code is None or answer.code == -signal.SIGXCPU:
        return [f"hangs: not over after {answer.seconds:.0f} s"]
    said = answer.out + answer.err
    found = []
    if answer.code not in case.codes:
        found.append(f"exit code {answer.code}, allowed: {case.codes}")
    if "Traceback" in said or "a bug in vrbench" in said:
        found.append("a traceback, or called a bug")
    if acting := [shown for c, shown in ACTING.items() if c in said] + ["bytes"] * any(
        "\udc80" <= c <= "\udcff" for c in said
    ):
        found.append(f"raw characters: {', '.join(acting)}")
    if any(secret in said for secret in case.secrets):
        found.append("a secret is shown")
    if answer.code not in (0, case.good) and not any(name in said for name in case.names):
        found.append(f"not named: {case.names}")
    if len(answer.err) > MOST_SAID:
        found.append(f"says {len(answer.err)} characters")
    return found
