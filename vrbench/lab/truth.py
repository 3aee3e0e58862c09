"""Known outages, to hold the instrument against: injected in the router's data path, timed around the commit.

Link toggles are no truth (carrier events are batched for up to a second), so a rule drops the packets. What is
dropped are whole flows, by who opened them: ``egress`` silences every flow that a guest opened, both its packets and
their answers; ``ingress`` every flow opened from outside, answers too; ``both`` everything, tracked or not. So while
egress is out a guest's ping gets no answer, and a connection from outside to that same guest does.

For all traffic the rule stands right behind connection tracking in prerouting, and so silences the router's own
answers to pings of a public address as well. For one VM it stands in the forward path, before any other filter,
where a packet bears the guest's own address in either direction.

An outage is silent, or it refuses: what opens or continues a flow is answered by the router with a reset (TCP) or with
"administratively prohibited" (all else; the kernel sends few of those a second), and the answers are still dropped.

The rules are committed by libnftables over a netlink socket opened beforehand, so that a commit takes a millisecond or
two; the moment given is the middle between the clock readings before and after it.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from types import TracebackType

from vrbench.lab.ground import GroundError
from vrbench.lab.namespaces import inside
from vrbench.lab.nftables import GUEST_IF
from vrbench.lab.status import Moment, Outage

DIRECTIONS = ("egress", "ingress", "both")


class PacketFilter:
    """An open netlink conversation with the packet filter of one node. Not to be used from two threads at once."""

    def __init__(self, library: ctypes.CDLL, netns: str) -> None:
        self._library = library
        # The socket within belongs to the namespace of the thread that opens it.
        self._context = ctypes.c_void_p(inside(netns, lambda: library.nft_ctx_new(0)))
        library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> PacketFilter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._library.nft_ctx_free(self._context)

    def commit(self, script: str) -> None:
        """Apply a script as one transaction; GroundError with nft's words when it is refused."""
        if self._library.nft_run_cmd_from_buffer(self._context, script.encode()) != 0:
            said = self._library.nft_ctx_get_error_buffer(self._context)
            raise GroundError(f"nftables refused: {(said or b'').decode(errors='replace').strip()}")


def load_library() -> ctypes.CDLL:
    """libnftables, which comes with the nft command."""
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise GroundError(f"libnftables is missing ({error}): install the package libnftables1") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    return library


def outage_rules(direction: str, address: str | None) -> list[str]:
    """The matches that drop a direction, for all traffic or for the guest at ``address``."""
    if address is None:
        if direction == "both":
            return [""]
        opened, answers = ("==", "!=") if direction == "egress" else ("!=", "==")
        return [
            f'iifname {opened} "{GUEST_IF}" ct direction original',
            f'iifname {answers} "{GUEST_IF}" ct direction reply',
        ]
    if direction == "both":
        return [f"ip saddr {address}", f"ip daddr {address}"]
    opened, answers = ("saddr", "daddr") if direction == "egress" else ("daddr", "saddr")
    return [f"ip {opened} {address} ct direction original", f"ip {answers} {address} ct direction reply"]


def outage_script(table: str, direction: str, address: str | None, refuse: bool) -> str:
    """What starts an outage, as one transaction."""
    answers = ("meta l4proto tcp reject with tcp reset", "reject with icmp admin-prohibited") if refuse else ()
    verdicts = (*(f"ct direction original {answer}" for answer in answers), "drop")
    rules = [f"{match} {verdict}" for match in outage_rules(direction, address) for verdict in verdicts]
    return "; ".join(f"add rule ip {table} drops {rule}" for rule in rules)


class Truth:
    """Injects outages into running routers. Several at once are kept apart by the names of their tables."""

    def __init__(self) -> None:
        self._library = load_library()
        self._lock = threading.Lock()  # libnftables keeps some state of its own between contexts
        self._numbers = count(1)

    def outage(
        self,
        routers: Sequence[str],
        direction: str,
        address: str | None,
        wait: Callable[[], None],
        refuse: bool = False,
    ) -> tuple[Moment, Moment]:
        """Drop or refuse from now until ``wait`` returns (or raises), in all ``routers``; the true start and end."""
        table = f"outage{next(self._numbers)}"
        hook = "prerouting priority -199" if address is None else "forward priority -300"
        with ExitStack() as stack:
            with self._lock:
                filters = [stack.enter_context(PacketFilter(self._library, router)) for router in routers]
                for each in filters:
                    each.commit(f"add table ip {table}; add chain ip {table} drops {{ type filter hook {hook}; }}")
            start = self._commit(filters, outage_script(table, direction, address, refuse))
            try:
                wait()
            finally:
                end = self._commit(filters, f"flush chain ip {table} drops")
                with self._lock:
                    for each in filters:
                        each.commit(f"delete table ip {table}")
        return start, end

    def _commit(self, filters: Sequence[PacketFilter], script: str) -> Moment:
        with self._lock:
            before, utc = time.monotonic_ns(), time.time_ns()
            for each in filters:
                each.commit(script)
            after = time.monotonic_ns()
        half = (after - before + 1) // 2
        return Moment(before + half, utc + half, half)


def describe(direction: str, target: str, routers: Sequence[str], moments: tuple[Moment, Moment]) -> Outage:
    """The outage as it is told to whoever asked for it."""
    return Outage(direction, target, tuple(routers), *moments)
