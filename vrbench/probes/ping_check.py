"""Who answers a ping from here, once. The only importer of icmplib; streams are probed by ``engine``, not by this."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import icmplib

from vrbench.probes.config import ProbeError

ROUND_S = 0.5  # how long one round waits for its answers


@dataclass(frozen=True, slots=True)
class Reached:
    """Which addresses answered and which did not, each in the order asked."""

    up: tuple[str, ...]
    down: tuple[str, ...]


def reach(addresses: Iterable[str], deadline_s: float) -> Reached:
    """Ping every address until it answers or ``deadline_s`` is over; ProbeError when this user may not send ICMP."""
    asked = tuple(dict.fromkeys(addresses))
    missing, end = set(asked), time.monotonic() + deadline_s
    while missing:
        began = time.monotonic()
        missing -= _answering(sorted(missing), max(0.05, min(ROUND_S, end - began)))
        rest = end - time.monotonic()
        if rest <= 0:
            break
        if missing:  # a refusal comes at once: don't ask again before this round is over
            time.sleep(max(0.0, min(rest, began + ROUND_S - time.monotonic())))
    return Reached(tuple(a for a in asked if a not in missing), tuple(a for a in asked if a in missing))


def _answering(addresses: list[str], timeout_s: float) -> set[str]:
    """Return those that answer one echo request each, raw where allowed, else by datagram socket."""
    for privileged in (True, False):
        try:
            hosts = icmplib.multiping(addresses, count=1, timeout=timeout_s, privileged=privileged)
        except icmplib.SocketPermissionError:
            continue
        return {host.address for host in hosts if host.is_alive}
    raise ProbeError("may not send ICMP: run as root, or set sysctl net.ipv4.ping_group_range='0 2147483647'")
