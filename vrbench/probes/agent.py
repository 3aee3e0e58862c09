"""The prober inside guests, as commands. With the modules that ``bundle`` names it travels as one file.

    run CONFIG | follow LOG OFFSET [SECONDS] | talk
    start CONFIG | stop CONFIG | end CONFIG | forget CONFIG | put FILE TEXT | facts | claims | remove DIR
    silence CONFIG SECONDS STREAM [STREAM ...]

CONFIG is JSON: ``{"log", "node", "max_s", "lane": [number, of how many], "streams": [{"name", "direction", "probe",
"flow": "fresh"|"persistent"|"resolver", "target", "interval_ns", "phase_ns"}]}``; "gateway" as a target is the default
gateway, whose neighbour entry is logged in any case, and "resolver" the one that the router offers (``dns``).

``talk`` does what the lines after the first list, for as long as its connection lives: each line of JSON on standard
input is a command, and gets a line with its exit code and its words. An empty line gets the clock. Standard library,
Python 3.6 or later.
"""

# Runs in guests on Python 3.6 as well: what pyupgrade would rewrite does not exist there.
# ruff: noqa: UP006, UP035

import json
import os
import shutil
import signal
import sys
import time
from typing import Any, Callable, Dict, List, TextIO, Tuple

from vrbench.probes.arp_responders import claimants
from vrbench.probes.dns import CombinedProber, DnsProber, settle
from vrbench.probes.echo import open_echo
from vrbench.probes.engine import END, RECORD, CannotProbe, Log, Prober, monotonic_ns, on_signal, wall_ns
from vrbench.probes.neighbours import default_gateway, default_route, resolved, watch
from vrbench.probes.pacing import probe
from vrbench.probes.rehearsal import holding
from vrbench.probes.silence import REQUEST, Silence, ask

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


Answer = Tuple[int, str]  # an exit code and words


def start(path: str) -> Answer:
    """Detach a prober; returns when its first probe is out, or why it never was."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            words = pipe.read() or "the prober died before its first probe"
        os.waitpid(child, 0)
        return 0 if words == "started" else 1, words
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
    follower = living(log + ".follower.pid")
    if follower:
        os.kill(follower, signal.SIGUSR1)  # there is no more to wait for


def silence(path: str, seconds: float, *streams: str) -> Answer:
    """Have a prober leave streams silent for so long; 1 when it has ended."""
    log = log_of(path)
    pid = living(log + ".pid")
    if pid:
        ask(log, pid, float(seconds), list(streams))
    return 0 if pid else 1, ""


def log_of(path: str) -> str:
    """Return where the prober that ``path`` configures logs."""
    with open(path) as file:
        log = json.load(file)["log"]  # type: str
        return log


def stop_configured(path: str) -> Answer:
    stop(log_of(path))
    return 0, ""


def end(path: str) -> Answer:
    """Stop, and find out meanwhile who answers for the gateway: both take their time."""
    log = log_of(path)
    pid = living(log + ".pid")
    if pid:
        os.kill(pid, signal.SIGTERM)
    try:
        return claims()
    finally:
        stop(log)


def forget(path: str) -> Answer:
    """Delete a prober's log and whatever else it needed; it is stopped, should it still run."""
    log = log_of(path)
    stop(log)
    for name in (log, log + ".pid", log + ".follower.pid", log + REQUEST, path):
        if os.path.exists(name):
            os.unlink(name)
    return 0, ""


def put(path: str, text: str) -> Answer:
    with open(path, "w") as file:
        file.write(text)
    return 0, ""


def follow(path: str, offset: int, seconds: int) -> int:
    """Copy the log from ``offset`` to stdout as it grows; 0 after END, 3 when its prober died without one."""
    follower = path + ".follower.pid"
    before = living(follower)
    if before:  # its connection broke, and it may not know yet
        os.kill(before, signal.SIGTERM)
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


def talk() -> None:
    """Carry out what standard input says, line by line; one process does so, the newest.

    Its first words tell where a login script's end.
    """
    here = os.path.join(os.path.dirname(os.path.realpath(sys.argv[0])), "talk.pid")
    before = living(here)
    if before:  # its connection broke, and it may not know yet
        os.kill(before, signal.SIGTERM)
    write_pid(here)
    os.umask(0o077)
    os.write(1, b"talking\n")
    for line in iter(sys.stdin.buffer.readline, b""):
        os.write(1, b"%d\n" % monotonic_ns() if line == b"\n" else json.dumps(answered(line)).encode() + b"\n")


def answered(line: bytes) -> Answer:
    """Carry out one line; what goes wrong is told."""
    try:
        verb, *values = json.loads(line.decode())
        return ANSWERS[verb](*values)
    except (CannotProbe, OSError, KeyError, TypeError, ValueError) as error:
        return 1, f"{type(error).__name__}: {error}"


def claims() -> Answer:
    return 0, " ".join(claimants(*default_route()))


def facts() -> Answer:
    """Tell what this machine is, and what it knows of its default gateway."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot_id = file.read().strip()
    found = {
        "boot_id": boot_id,
        "python": sys.version.split()[0],
        "kernel": os.uname().release,
        "monotonic_ns": monotonic_ns(),
        "wall_ns": wall_ns(),
        "gateway": default_gateway(),
    }
    return 0, json.dumps(found)


def remove(directory: str) -> Answer:
    """Stop every prober that logs to ``directory``, the home of this very agent, and delete it."""
    if os.path.realpath(directory) != os.path.dirname(os.path.realpath(sys.argv[0])):
        return 1, f"remove: {directory} is not where this agent lives"
    for name in os.listdir(directory):
        log, suffix = os.path.splitext(os.path.join(directory, name))
        if suffix == ".pid" and living(log + suffix) != os.getpid():
            stop(log)
    shutil.rmtree(directory)
    return 0, ""


ANSWERS = {
    "start": start,
    "stop": stop_configured,
    "end": end,
    "forget": forget,
    "silence": silence,
    "put": put,
    "facts": facts,
    "claims": claims,
    "remove": remove,
}  # type: Dict[str, Callable[..., Answer]]


def main(arguments: List[str]) -> int:
    verb, values = arguments[0] if arguments else "", arguments[1:]
    if verb == "run":
        run(values[0], lambda: print("started", flush=True))
    elif verb == "follow":
        return follow(values[0], int(values[1]), int(values[2]) if len(values) > 2 else 86400)
    elif verb == "talk":
        talk()
    elif verb in ANSWERS:
        code, words = ANSWERS[verb](*values)
        if words:
            print(words)
        return code
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
