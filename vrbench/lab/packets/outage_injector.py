"""Known outages, to hold the instrument against: injected in the router's data path, timed around the commit.

Link toggles are no truth (carrier events are batched for up to a second), so a rule drops the packets. What is
dropped are whole flows, by who opened them: ``egress`` silences every flow that a guest opened, both its packets and
their answers; ``ingress`` every flow opened from outside, answers too; ``both`` everything, tracked or not. So while
egress is out a guest's ping gets no answer, and a connection from outside to that same guest does.

For all traffic the rule stands right behind connection tracking in prerouting, and so silences the router's own
answers to pings of a public address as well. For one VM it stands in the forward path, before any other filter,
where a packet bears the guest's own address in either direction. Which side of the router an interface is on, its
group says: so the tiers of a VPC and further public subnets are covered like the one interface of each that an isolated
network has. From one tier to another it is a flow that a guest opened.

An outage is silent, or it refuses: what opens or continues a flow is answered by the router with a reset (TCP) or with
"administratively prohibited" (all else; the kernel sends few of those a second), and the answers are still dropped. Or
answers come late (``late``), or source NAT is missing while the router forwards: its rules are taken out and all echo
flows are forgotten. Flows that go on meanwhile are bound without translation, as connection tracking does it, and stay
dead when the rules are back; they are forgotten ``held_s`` later, so that this end is known too.

The rules are committed by libnftables over a netlink socket opened beforehand, so that a commit takes a millisecond or
two; the moment given is the middle between the clock readings before and after it.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import TracebackType

from vrbench.lab.ground.port import GroundError
from vrbench.lab.packets.conntrack import ConnectionTable
from vrbench.lab.packets.nftables import GUEST_GROUP, PUBLIC_GROUP, TABLE
from vrbench.lab.packets.reply_delay import GROUP, MARK, Delayer
from vrbench.lab.status import Moment, Outage
from vrbench.lab.system.namespaces import inside

DIRECTIONS = ("egress", "ingress", "both")
KINDS = ("silence", "refusal", "late", "no-nat")
MARKING_S = 1.0  # until every flow of a stream, whatever its interval, has sent a packet
# Listing connections walks the whole machine's hash table within the kernel, which may hold up what else wants that
# core for tens of milliseconds, probers too: so it is done this long before the moment that matters.
ASIDE_S = 0.15
Wait = Callable[[float], bool]


class PacketFilter:
    """An open netlink conversation with the packet filter of one node. Not to be used from two threads at once."""

    def __init__(self, library: ctypes.CDLL, netns: str) -> None:
        self._library = library
        # The socket within belongs to the namespace of the thread that opens it.
        self._context = ctypes.c_void_p(inside(netns, lambda: library.nft_ctx_new(0)))
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_buffer_output(self._context)

    def __enter__(self) -> PacketFilter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._library.nft_ctx_free(self._context)

    def commit(self, script: str) -> str:
        """Apply a script as one transaction; what it lists. GroundError with nft's words when it is refused."""
        if self._library.nft_run_cmd_from_buffer(self._context, script.encode()) != 0:
            said = self._library.nft_ctx_get_error_buffer(self._context)
            raise GroundError(f"nftables refused: {(said or b'').decode(errors='replace').strip()}")
        return (self._library.nft_ctx_get_output_buffer(self._context) or b"").decode()


def load_library() -> ctypes.CDLL:
    """Load libnftables, which comes with the nft command."""
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise GroundError(f"libnftables is missing ({error}): install the package libnftables1") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
    return library


def outage_rules(direction: str, address: str | None) -> list[str]:
    """Return the matches that drop a direction, for all traffic or for the guest at ``address``."""
    if address is None:
        if direction == "both":
            return [""]
        opened, answers = ("==", "!=") if direction == "egress" else ("!=", "==")
        return [
            f"iifgroup {opened} {GUEST_GROUP} ct direction original",
            f"iifgroup {answers} {GUEST_GROUP} ct direction reply",
        ]
    if direction == "both":
        return [f"ip saddr {address}", f"ip daddr {address}"]
    opened, answers = ("saddr", "daddr") if direction == "egress" else ("daddr", "saddr")
    return [f"ip {opened} {address} ct direction original", f"ip {answers} {address} ct direction reply"]


def outage_script(table: str, direction: str, address: str | None, refuse: bool) -> str:
    """Return what starts an outage, as one transaction."""
    answers = ("meta l4proto tcp reject with tcp reset", "reject with icmp admin-prohibited") if refuse else ()
    verdicts = (*(f"ct direction original {answer}" for answer in answers), "drop")
    rules = [f"{match} {verdict}" for match in outage_rules(direction, address) for verdict in verdicts]
    return "; ".join(f"add rule ip {table} drops {rule}" for rule in rules)


def late_script(table: str, direction: str, address: str | None) -> str:
    """Return what starts holding back the answers of a direction's flows, as one transaction."""
    sides = {"egress": (GUEST_GROUP, "ct original ip saddr"), "ingress": (PUBLIC_GROUP, "ct reply ip saddr")}
    rules = [
        f"oifgroup {group} {f'{guest} {address} ' if address else ''}ct direction reply meta mark != {MARK}"
        for name, (group, guest) in sides.items()
        if direction in (name, "both")
    ]
    return "; ".join(f"add rule ip {table} drops {rule} log group {GROUP} drop" for rule in rules)


@dataclass(frozen=True, slots=True)
class Order:
    """What to inject into ``routers``: an outage of a kind, in a direction, for one guest or for all traffic.

    ``address`` is the guest's, None for all traffic.
    ``beats``: down, up, down, … seconds. ``delay_s``: by how much answers are late. ``held_s``: how long flows stay
    bound without translation when source NAT is back. ``marking_s``: how long before it goes every old flow has sent.
    """

    routers: tuple[str, ...]
    direction: str
    address: str | None
    kind: str
    beats: tuple[float, ...]
    delay_s: float = 0.0
    held_s: float = 0.0
    marking_s: float = MARKING_S


@dataclass(frozen=True, slots=True)
class Injected:
    """When each time down truly began and ended; of missing NAT also when the old flow lost its translation, and when
    it was freed of being bound without any."""

    pieces: tuple[tuple[Moment, Moment], ...]
    bound: tuple[Moment, Moment] | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    """One router's packet filter and connection tracking."""

    filter: PacketFilter
    table: ConnectionTable


class OutageInjector:
    """Injects outages into running routers. Several at once are kept apart by the names of their tables."""

    def __init__(self) -> None:
        self._library = load_library()
        self._lock = threading.Lock()  # libnftables keeps some state of its own between contexts
        self._numbers = count(1)

    def inject(self, order: Order, wait: Wait) -> Injected:
        """Carry an order out. ``wait`` waits so many seconds, and is False when the rest is not wanted any more."""
        number = next(self._numbers)
        with ExitStack() as stack:
            nodes = [self._node(stack, router) for router in order.routers]
            if order.kind == "no-nat":
                return self._without_nat(nodes, number, order, wait)
            if order.kind == "late":
                return self._late(nodes, number, order, wait)
            hook = "prerouting priority -199" if order.address is None else "forward priority -300"
            with self._table(nodes, f"outage{number}", hook) as table:
                script = outage_script(table, order.direction, order.address, order.kind == "refusal")
                return Injected(self._beats(nodes, script, f"flush chain ip {table} drops", order.beats, wait))

    def _node(self, stack: ExitStack, router: str) -> _Node:
        with self._lock:
            opened = stack.enter_context(PacketFilter(self._library, router))
        return _Node(opened, stack.enter_context(ConnectionTable(router)))

    @contextmanager
    def _table(self, nodes: Sequence[_Node], name: str, hook: str) -> Iterator[str]:
        """Keep a table with an empty chain ``drops`` in every router for as long as the block lasts."""
        self._commit(nodes, f"add table ip {name}; add chain ip {name} drops {{ type filter hook {hook}; }}")
        try:
            yield name
        finally:
            self._commit(nodes, f"delete table ip {name}")

    def _beats(
        self, nodes: Sequence[_Node], begin: str, end: str, beats: Sequence[float], wait: Wait
    ) -> tuple[tuple[Moment, Moment], ...]:
        """Begin and end again and again, ending with an end whatever happens."""
        pieces = []
        for down, up in zip(beats[::2], (*beats[1::2], 0.0), strict=True):
            start = self._commit(nodes, begin)
            try:
                going = wait(down)
            finally:
                stop = self._commit(nodes, end)
            pieces.append((start, stop))
            if not going or (up and not wait(up)):
                break
        return tuple(pieces)

    def _late(self, nodes: Sequence[_Node], number: int, order: Order, wait: Wait) -> Injected:
        """Hold answers back, and return when the last one has been sent on."""
        with self._table(nodes, f"outage{number}", "postrouting priority 300") as table:
            self._commit(
                nodes,
                f"add chain ip {table} own {{ type filter hook output priority -300; }}; "
                f"add rule ip {table} own meta mark {MARK} notrack",
            )
            script = late_script(table, order.direction, order.address)
            with ExitStack() as stack:
                for router in order.routers:
                    stack.enter_context(Delayer(router, order.delay_s))
                return Injected(self._beats(nodes, script, f"flush chain ip {table} drops", order.beats, wait))

    def _without_nat(self, nodes: Sequence[_Node], number: int, order: Order, wait: Wait) -> Injected:
        """Take source NAT out and forget the old flows; later put it back; later forget what was bound meanwhile.

        A flow is old, and marked so, from its second packet on: new flows need no forgetting.
        """
        before, meanwhile = (0x76000000 + 4 * number + 2 * n for n in (0, 1))
        with self._table(nodes, f"outage{number}", "prerouting priority -150") as table:
            self._commit(nodes, _marking(table, before))
            going = wait(order.marking_s)
            with self._lock:
                rules = [node.filter.commit(f"list chain {TABLE} translate_out") for node in nodes]
            old = [node.table.marked(before + 1) for node in nodes]
            going = going and wait(ASIDE_S)
            start = self._commit(
                nodes, f"flush chain {TABLE} translate_out; flush chain ip {table} drops; {_marking(table, meanwhile)}"
            )
            bound = self._forget(nodes, old)
            try:
                going = going and wait(order.beats[0])
            finally:
                end = self._at_once([partial(n.filter.commit, rule) for n, rule in zip(nodes, rules, strict=True)])
            going = going and wait(order.held_s / 2)
            untranslated = [node.table.marked(meanwhile + 1) for node in nodes]
            if going:
                wait(order.held_s / 2)
            freed = self._forget(nodes, untranslated)
        return Injected(((start, end),), (bound, freed))

    def _forget(self, nodes: Sequence[_Node], connections: Sequence[Sequence[bytes]]) -> Moment:
        return self._at_once([partial(n.table.forget, c) for n, c in zip(nodes, connections, strict=True)])

    def _commit(self, nodes: Sequence[_Node], script: str) -> Moment:
        return self._at_once([partial(node.filter.commit, script) for node in nodes])

    def _at_once(self, acts: Sequence[Callable[[], object]]) -> Moment:
        """Do all of it as soon as nobody else is at it; when that was."""
        with self._lock, _urgently():
            before, utc = time.monotonic_ns(), time.time_ns()
            for act in acts:
                act()
            after = time.monotonic_ns()
        half = (after - before + 1) // 2
        return Moment(before + half, utc + half, half)


def _marking(table: str, mark: int) -> str:
    """Return rules that mark a guest's echo flow with ``mark`` by its first packet and the next number by its second.

    A flow may bear an older mark, which is smaller.
    """
    flows = f"add rule ip {table} drops iifgroup {GUEST_GROUP} meta l4proto icmp ct mark"
    return f"{flows} {mark} ct mark set {mark + 1}; {flows} < {mark} ct mark set {mark}"


@contextmanager
def _urgently() -> Iterator[None]:
    """Run before everything else here, where that is allowed: a moment is known only to within its commit."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def describe(order: Order, target: str, injected: Injected) -> Outage:
    """Return the outage as it is told to whoever asked for it."""
    return Outage(
        order.direction,
        target,
        order.routers,
        injected.pieces[0][0],
        injected.pieces[-1][1],
        injected.pieces,
        injected.bound,
    )
