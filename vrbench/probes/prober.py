"""The harness's prober process: nothing but the engine and one of PROBERS.

Its argument is that one's name, so that all it needs is loaded before it is told what to probe. Its standard input is
the configuration as one line of JSON, then a lifeline: whatever comes next, and its end above all, stops it in good
order, so it never outlives the harness. Its standard output is one line: "started", or why not.
"""

from __future__ import annotations

import importlib
import json
import select
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrbench.probes.banner import TcpConnectProber
from vrbench.probes.echo import open_echo
from vrbench.probes.engine import CannotProbe, Log, Prober, on_signal
from vrbench.probes.pacing import probe
from vrbench.probes.syn import SynProber

if TYPE_CHECKING:
    from vrbench.remote.identity import Identity

MIN_CONNECT_NS = 100_000_000  # what a full connection per slot may cost the guest

Config = dict[str, Any]
Streams = list[dict[str, Any]]


def _banner(config: Config, streams: Streams, log: Log) -> Prober:
    return TcpConnectProber(streams, log, config["threshold_ns"], greeted=True)


def _syn(config: Config, streams: Streams, log: Log) -> Prober:
    try:
        return SynProber(streams, log, config["threshold_ns"])
    except PermissionError as error:
        if min(stream["interval_ns"] for stream in streams) < MIN_CONNECT_NS:
            raise CannotProbe("SYN probes under 100 ms need raw sockets: run as root, or use 100 ms or more") from error
        return TcpConnectProber(streams, log, config["threshold_ns"], greeted=False)


def _session(config: Config, streams: Streams, log: Log) -> Prober:
    from vrbench.probes.session import EchoedSessions

    return EchoedSessions(streams, log, _identity(config))


def _auth(config: Config, streams: Streams, log: Log) -> Prober:
    from vrbench.probes.auth import Logins

    return Logins(streams, log, config["threshold_ns"], _identity(config))


def _identity(config: Config) -> Identity:
    from vrbench.remote.host_keys import HostKeyPins
    from vrbench.remote.identity import Identity

    return Identity(config["user"], Path(config["key"]), HostKeyPins(Path(config["pins"])))


# By the name that the table of kinds (core.kinds) gives: what opens the prober; each may raise CannotProbe.
PROBERS: dict[str, Callable[[Config, Streams, Log], Prober]] = {
    "icmp": lambda _, streams, log: open_echo(streams, log),
    "syn": _syn,
    "banner": _banner,
    "session": _session,
    "auth": _auth,
}


# These speak SSH, which only their own processes need to know of.
LOADED_LATER = {"session": "vrbench.probes.session", "auth": "vrbench.probes.auth"}


def main(arguments: Sequence[str]) -> int:
    """Probe as configured on standard input until that is closed; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminated = on_signal(signal.SIGTERM)
    for module in filter(None, map(LOADED_LATER.get, arguments)):
        importlib.import_module(module)
    try:
        with open(0, "rb", buffering=0, closefd=False) as stdin:  # unbuffered: what follows must stay in the pipe
            line = stdin.readline()
        if not line:
            return 0  # nothing was to be probed
        config = json.loads(line)
        open_prober = PROBERS[config["prober"]]
        probe(
            config,
            lambda streams, log: open_prober(config, streams, log),
            lambda: terminated() or bool(select.select([0], [], [], 0)[0]),
            lambda: print("started", flush=True),
        )
    except (CannotProbe, OSError) as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
