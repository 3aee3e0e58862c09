"""The program that tries probers, in a process as theirs are (``trying``). Standard library, as probers need no other.

It is told on standard input what would be probed. It opens each prober, has it send its first probe where ``send`` says
so, and answers in one line. Only the first probe of each leaves, and nobody waits for its answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from vrbench.probes.banner import TcpConnectProber
from vrbench.probes.engine import FAILED, RECORD, CannotProbe, Log, Prober
from vrbench.probes.prober import PROBERS


def main() -> int:
    """Try what standard input names; answer on standard output."""
    wanted = json.loads(sys.stdin.readline())
    found = {name: _tried(name, tried, wanted["threshold_ns"]) for name, tried in wanted["probers"].items()}
    print(json.dumps(found))
    return 0


def _connects(config: dict[str, Any], streams: list[dict[str, Any]], log: Log) -> Prober:
    return TcpConnectProber(streams, log, config["threshold_ns"], greeted=False)


# Those that speak SSH connect as this one does, which needs nobody to speak to.
OPENERS: Mapping[str, Callable[[dict[str, Any], list[dict[str, Any]], Log], Prober]] = {
    **PROBERS,
    "session": _connects,
    "auth": _connects,
}


def _tried(name: str, tried: Mapping[str, Any], threshold_ns: int) -> dict[str, Any]:
    log, streams = Log(""), tried["streams"]
    try:
        prober = OPENERS[name]({"threshold_ns": threshold_ns}, streams, log)
        if tried["send"]:
            _send(prober)
    except (CannotProbe, OSError) as error:
        cause = error.__cause__ or error
        return {"reason": str(error), "denied": isinstance(cause, PermissionError)}
    failed = [detail for kind, _, detail, _, _ in RECORD.iter_unpack(log.buffer) if kind == FAILED]
    return {"method": prober.method, "unsent": next(iter(failed), 0)}


def _send(prober: Prober) -> None:
    made = prober.made(0, 0)
    if made is None:
        prober.send(0, 0)
        return
    code = 0
    try:
        prober.fire(*made)
    except OSError as error:
        code = error.errno or 0
    prober.log_sent(0, 0, 0, code)


if __name__ == "__main__":
    sys.exit(main())
