"""Whether something on the way accepts connections by itself: asked at ports behind which nobody listens.

A SYN proxy, or a load balancer with nobody behind it, answers every connection. Half-open probes then see a path that
is up for ever. Two ports are asked at each address, since one may be anybody's.
"""

from __future__ import annotations

import contextlib
import errno
import random
import select
import socket
import time
from collections.abc import Iterable

from vrbench.core.model import Endpoint
from vrbench.probes.banner import tcp_socket

PORTS = range(20_000, 60_000)
ASKED = 2
WAIT_S = 1.0


def always_up(endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """Return the public ends, as probes call them, at whose addresses any port accepts a connection."""
    listed = tuple(endpoints)
    taken = {(e.public_ip, e.port) for e in listed}
    asked = [end for ip in sorted({e.public_ip for e in listed}) for end in _nobodys(ip, taken)]
    accepted = accepting(asked, WAIT_S)
    faked = {ip for ip, _ in asked if all(end in accepted for end in asked if end[0] == ip)}
    return frozenset(f"{e.public_ip}:{e.port}" for e in listed if e.public_ip in faked)


def _nobodys(ip: str, taken: set[tuple[str, int]]) -> list[tuple[str, int]]:
    free = [(ip, port) for port in random.SystemRandom().sample(PORTS, ASKED + 1)]
    return [end for end in free if end not in taken][:ASKED]


def accepting(ends: Iterable[tuple[str, int]], wait_s: float) -> frozenset[tuple[str, int]]:
    """Return which of these accept a connection in that time; each is closed with a reset."""
    poller, waiting, accepted = select.poll(), {}, set()
    with contextlib.ExitStack() as held:
        for end in ends:
            sock = held.enter_context(tcp_socket())
            if sock.connect_ex(end) in (0, errno.EINPROGRESS):
                waiting[sock.fileno()] = (sock, end)
                poller.register(sock, select.POLLOUT)
        until = time.monotonic() + wait_s
        while waiting and (rest := until - time.monotonic()) > 0:
            for fd, _ in poller.poll(rest * 1000):
                sock, end = waiting.pop(fd)
                poller.unregister(fd)
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    accepted.add(end)
    return frozenset(accepted)
