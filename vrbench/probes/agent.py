"""The prober inside guests, as commands. With the modules that ``bundle`` names it travels as one file.

    start CONFIG | run CONFIG | stop CONFIG | follow LOG OFFSET [SECONDS] | clock | facts | claims | remove DIR
    silence CONFIG SECONDS STREAM [STREAM ...]

CONFIG is JSON: ``{"log", "node", "max_s", "lane": [number, of how many], "streams": [{"name", "direction", "probe",
"flow": "fresh"|"persistent"|"resolver", "target", "interval_ns", "phase_ns"}]}``; "gateway" as a target is the default
gateway, whose neighbour entry is logged in any case, and "resolver" the one that the router offers (``dns``). Standard
library, Python 3.6 or later.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035

import json
import os
import shutil
import signal
import sys
import time
from typing import Any, Callable, Dict, List, TextIO

from vrbench.probes.arp_responders import claimants
from vrbench.probes.dns import CombinedProber, DnsProber, settle
from vrbench.probes.echo import open_echo
from vrbench.probes.engine import END, RECORD, CannotProbe, Log, Prober, monotonic_ns, on_signal, wall_ns
from vrbench.probes.neighbours import default_gateway, default_route, resolved, watch
from vrbench.probes.pacing import probe
from vrbench.probes.rehearsal import holding
from vrbench.probes.silence import Silence, ask

LOOK_S = 0.25  # how often a follower looks for more: an agent that pings writes no more often


def run(path: str, ready: Callable[[], None]) -> None:
    """Probe in the foreground until SIGTERM, SIGINT or the lifetime's end."""
    with open(path) as file:
        config = json.load(file)
    if living(config["log"] + ".pid"):
        raise CannotProbe("a prober with this log runs already: stop it first")
    asked = on_signal(signal.SIGTERM, signal.SIGINT)
    write_pid(config["log"] + ".pid")
    lane, gateway = (config["lane"][0], config["lane"][1]), default_gateway()
    config["streams"], config["remarks"] = settle(resolved(config["streams"], gateway), gateway)
    pings = [stream for stream in config["streams"] if stream["probe"] != "dns"]
    kept = [dict(ping, flow="persistent") for ping in pings]  # so that no router has to track a flow for each try
    every = holding(kept, lambda draft: open_echo(kept, draft, lane))
    if every > 1:
        config["remarks"]["every"] = every
        for stream in pings:
            stream["interval_ns"] *= every
    end = monotonic_ns() + int(config["max_s"] * 1e9)

    def open_prober(streams: List[Dict[str, Any]], log: Log) -> Prober:
        watch(log, [gateway] if gateway else [])
        echo, count = open_echo(pings, log, lane), len(pings)
        prober = echo  # type: Prober
        if count < len(streams):
            asking = DnsProber(streams[count:], log, config["remarks"]["name"], count)
            prober = CombinedProber(echo, asking, count)
        Silence(prober, streams, log)
        return prober

    probe(config, open_prober, lambda: asked() or monotonic_ns() >= end, ready)


def start(path: str) -> int:
    """Detach a prober; returns 0 when its first probe is out, 1 after saying why it never was."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader) as pipe:
            answer = pipe.read() or "the prober died before its first probe"
        print(answer)
        return 0 if answer == "started" else 1
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, writer)
    os.closerange(writer + 1, 256)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os._exit(_run_and_tell(path, os.fdopen(writer, "w")))


def _run_and_tell(path: str, parent: TextIO) -> int:
    """Run, and tell ``parent`` the first words (and no more): "started", or what went wrong."""

    def ready() -> None:
        parent.write("started")
        parent.close()

    try:
        run(path, ready)
    except (CannotProbe, OSError, KeyError, ValueError) as error:
        if not parent.closed:
            print(f"{type(error).__name__}: {error}", end="", file=parent, flush=True)
        return 1
    return 0


def birth(pid: int) -> str:
    """Return when process ``pid`` started (clock ticks since boot), its identity with the pid; empty for none."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
            return "" if fields[0] == "Z" else fields[19]  # a zombie has ended, whoever should reap it
    except OSError:
        return ""


def write_pid(path: str) -> None:
    with open(path, "w") as file:
        file.write(f"{os.getpid()} {birth(os.getpid())}")


def living(pid_file: str) -> int:
    """Return the process that wrote ``pid_file``, 0 when it is gone."""
    try:
        with open(pid_file) as file:
            pid, born = file.read().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if birth(int(pid)) == born else 0


def stop(log: str) -> None:
    """End the prober of ``log`` in good order, by force when it does not follow; nothing to do is fine."""
    pid, end = living(log + ".pid"), time.monotonic() + 5
    if pid:
        os.kill(pid, signal.SIGTERM)
    while pid and living(log + ".pid"):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    if living(log + ".follower.pid"):
        os.kill(living(log + ".follower.pid"), signal.SIGUSR1)  # there is no more to wait for


def silence(log: str, seconds: float, streams: List[str]) -> int:
    """Have the prober of ``log`` leave streams silent for so long; 1 when it has ended."""
    pid = living(log + ".pid")
    if pid:
        ask(log, pid, seconds, streams)
    return 0 if pid else 1


def follow(path: str, offset: int, seconds: int) -> int:
    """Copy the log from ``offset`` to stdout as it grows; 0 after END, 3 when its prober died without one."""
    follower = path + ".follower.pid"
    if living(follower):  # its connection broke, and it may not know yet
        os.kill(living(follower), signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])  # waited for below
    write_pid(follower)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.alarm(seconds)
    with open(path, "rb", buffering=0) as log:
        first_record = len(log.readline())
        log.seek(offset)
        while True:
            chunk = log.read(1 << 16)
            if not chunk and not living(path + ".pid"):
                chunk = log.read(1 << 16)  # it may have written, and then ended, since we looked
                if not chunk and not ended(path, first_record):
                    return 3
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            if chunk[-RECORD.size :][:1] in (b"", bytes([END])) and ended(path, first_record):
                return 0
            if len(chunk) < 1 << 16:
                signal.sigtimedwait([signal.SIGUSR1], LOOK_S)


def ended(path: str, first_record: int) -> bool:
    """Return whether the log's last record is END."""
    with open(path, "rb") as log:
        size = log.seek(0, os.SEEK_END) - first_record
        if size < RECORD.size or size % RECORD.size:
            return False
        log.seek(-RECORD.size, os.SEEK_END)
        return log.read(1) == bytes([END])


def clock() -> None:
    """Answer each line on stdin with the monotonic clock, in nanoseconds."""
    for _ in iter(sys.stdin.buffer.readline, b""):
        os.write(1, b"%d\n" % monotonic_ns())


def facts() -> Dict[str, Any]:
    """Return what this machine is, and what it knows of its default gateway."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()
    return {
        "boot_id": boot_id,
        "python": sys.version.split()[0],
        "kernel": os.uname().release,
        "monotonic_ns": monotonic_ns(),
        "wall_ns": wall_ns(),
        "gateway": default_gateway(),
    }


def remove(directory: str) -> None:
    """Stop every prober that logs to ``directory``, the home of this very agent, and delete it."""
    if os.path.realpath(directory) != os.path.dirname(os.path.realpath(sys.argv[0])):
        sys.exit(f"remove: {directory} is not where this agent lives")
    for name in os.listdir(directory):
        if name.endswith(".pid"):
            stop(os.path.join(directory, name[: -len(".pid")]))
    shutil.rmtree(directory)


def main(arguments: List[str]) -> int:
    verb, values = arguments[0] if arguments else "", arguments[1:]
    if verb == "start":
        return start(values[0])
    if verb == "run":
        run(values[0], lambda: print("started", flush=True))
    elif verb == "follow":
        return follow(values[0], int(values[1]), int(values[2]) if len(values) > 2 else 86400)
    elif verb == "clock":
        clock()
    elif verb == "facts":
        print(json.dumps(facts()))
    elif verb == "claims":
        print(" ".join(claimants(*default_route())))
    elif verb == "silence":
        with open(values[0]) as file:
            return silence(json.load(file)["log"], float(values[1]), values[2:])
    elif verb == "stop":
        with open(values[0]) as file:
            stop(json.load(file)["log"])
    elif verb == "remove":
        remove(values[0])
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
