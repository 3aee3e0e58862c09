"""Gates in the data path: rules of our own at the router's interfaces, with the clock read around each commit.

They have tables of their own, apart from the router's rules and from what the lab injects. Packets are dropped as they
enter by an interface (netdev ingress: before connection tracking and address translation), or refused where they are
forwarded, or in a guest as they arrive.

As a process in the lab's outer namespace (ROUTER GUEST=NODE…) it says ``ready``. Each line of
JSON on standard input is a list of beats: [due, node, script, label]. Each is committed when due, and told with the
clock readings before and after: [label, before, after].
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

CLONE_NEWNET = 0x40000000
WAKE_EARLY_NS = 300_000
GUEST_IF, PUBLIC_IF = "eth0", "eth2"
OUTSIDE = "203.0.113.1"
_NEW_CONNECTION = "tcp dport 22 tcp flags & (syn | ack) == syn"
_ECHO = "icmp type echo-request"
TABLES = f"""
table netdev scenes {{
  chain guest {{ type filter hook ingress device "{GUEST_IF}" priority 0; }}
  chain public {{ type filter hook ingress device "{PUBLIC_IF}" priority 0; }}
}}
table ip scenes {{
  chain forward {{ type filter hook forward priority -300; }}
}}
"""
GUEST_TABLES = """
table ip scenes {
  chain input { type filter hook input priority -300; }
}
"""
CLOSE = "flush chain netdev scenes guest; flush chain netdev scenes public; flush chain ip scenes forward"
CLOSE_GUEST = "flush chain ip scenes input"
ROUTER = "router"


def rules(gate: str, guest: str) -> list[str]:
    """Return the rules of a gate, each with its chain; ``guest`` is the address of the one guest that it shuts out."""
    return {
        "router": [
            "netdev scenes guest ip protocol { icmp, tcp, udp } drop",
            "netdev scenes public ip protocol { icmp, tcp, udp } drop",
        ],
        "guest side": ["netdev scenes guest ip protocol { icmp, tcp, udp } drop"],
        "public side": ["netdev scenes public ip protocol { icmp, tcp, udp } drop"],
        "egress, way out": [f"netdev scenes guest ip daddr {OUTSIDE} {_ECHO} drop"],
        "egress, way back": ["netdev scenes public icmp type echo-reply drop"],
        "ingress, way in": ["netdev scenes public tcp dport 22 drop"],
        "ingress, way back": ["netdev scenes guest tcp sport 22 drop"],
        "one guest": [f"netdev scenes guest ip saddr {guest} ip protocol {{ icmp, tcp, udp }} drop"],
        "reset by router": [f"ip scenes forward {_NEW_CONNECTION} reject with tcp reset"],
        "prohibited": [
            f"ip scenes forward {_NEW_CONNECTION} reject with icmp admin-prohibited",
            f"ip scenes forward {_ECHO} reject with icmp admin-prohibited",
        ],
        "reset by guest": [f"ip scenes input {_NEW_CONNECTION} reject with tcp reset"],
    }[gate]


def opening(gate: str, guest: str) -> str:
    """Return the script that shuts a gate."""
    return "; ".join(f"add rule {rule}" for rule in rules(gate, guest))


class Filter:
    """A conversation with the packet filter of one network namespace."""

    def __init__(self, library: ctypes.CDLL, netns: str) -> None:
        self._library = library
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            _enter(netns)
            self._context = ctypes.c_void_p(library.nft_ctx_new(0))
            library.nft_ctx_buffer_error(self._context)
        finally:
            ctypes.CDLL(None, use_errno=True).setns(home, CLONE_NEWNET)
            os.close(home)

    def commit(self, script: str) -> tuple[int, int]:
        """Apply a script as one transaction; return the clock before and after."""
        said = script.encode()
        before = time.monotonic_ns()
        failed = self._library.nft_run_cmd_from_buffer(self._context, said)
        after = time.monotonic_ns()
        if failed:
            raise SystemExit(f"{script}: {self._library.nft_ctx_get_error_buffer(self._context).decode()}")
        return before, after


def _enter(netns: str) -> None:
    fd = os.open(netns, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter {netns}")
    finally:
        os.close(fd)


def play(filters: Mapping[str, Filter], beats: Sequence[tuple[int, str, str, str]]) -> None:
    """Commit each beat when it is due; afterwards tell when that was."""
    told = []
    for due, node, script, label in beats:
        while (left := due - time.monotonic_ns()) > WAKE_EARLY_NS:
            time.sleep((left - WAKE_EARLY_NS // 2) / 1e9)
        told.append((label, *filters[node].commit(script)))
    print(json.dumps(told), flush=True)


def main() -> int:
    router, *guests = sys.argv[1:]
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    filters = {ROUTER: Filter(library, f"/run/netns/{router}")}
    filters[ROUTER].commit(TABLES)
    for each in guests:
        name, _, node = each.partition("=")
        with open(f"/run/vrlab/vm/{node}/pid", encoding="ascii") as file:
            filters[name] = Filter(library, f"/proc/{file.read().strip()}/ns/net")
        filters[name].commit(GUEST_TABLES)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    gc.freeze()
    gc.disable()
    print("ready", flush=True)
    for line in sys.stdin:
        play(filters, json.loads(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
