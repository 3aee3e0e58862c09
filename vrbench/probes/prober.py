"""The harness's prober process: nothing but the engine and one kind of probe.

Its standard input is the configuration as one line of JSON, then a lifeline: whatever comes next, and its end above
all, stops it in good order, so it never outlives the harness. Its standard output is one line: "started", or why not.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from pathlib import Path
from typing import Any

from vrbench.probes.banner import TcpConnectProber
from vrbench.probes.echo import open_echo
from vrbench.probes.engine import CannotProbe, Log, Prober, on_signal, probe
from vrbench.probes.syn import SynProber

MIN_CONNECT_NS = 100_000_000  # what a full connection per slot may cost the guest


def open_prober(config: dict[str, Any], streams: list[dict[str, Any]], log: Log) -> Prober:
    """Return the prober of the configured kind. Raises CannotProbe."""
    if config["kind"] == "icmp":
        return open_echo(streams, log)
    if config["kind"] == "banner":
        return TcpConnectProber(streams, log, config["threshold_ns"], greeted=True)
    if config["kind"] in ("session", "auth"):
        return _logging_in(config, streams, log)
    try:
        return SynProber(streams, log, config["threshold_ns"])
    except PermissionError as error:
        if min(stream["interval_ns"] for stream in streams) < MIN_CONNECT_NS:
            raise CannotProbe("SYN probes under 100 ms need raw sockets: run as root, or use 100 ms or more") from error
        return TcpConnectProber(streams, log, config["threshold_ns"], greeted=False)


def _logging_in(config: dict[str, Any], streams: list[dict[str, Any]], log: Log) -> Prober:
    """Return the prober of a kind that speaks SSH, which only its own process needs to know of."""
    from vrbench.probes.auth import Logins
    from vrbench.probes.session import Sessions
    from vrbench.remote.identity import HostKeyPins, Identity

    identity = Identity(config["user"], Path(config["key"]), HostKeyPins(Path(config["pins"])))
    if config["kind"] == "session":
        return Sessions(streams, log, identity)
    return Logins(streams, log, config["threshold_ns"], identity)


def main() -> int:
    """Probe as configured on standard input until that is closed; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminated = on_signal(signal.SIGTERM)
    try:
        with open(0, "rb", buffering=0, closefd=False) as stdin:  # unbuffered: what follows must stay in the pipe
            config = json.loads(stdin.readline())
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
    sys.exit(main())
