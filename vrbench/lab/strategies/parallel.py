"""The new router boots beside the old one: CloudStack since 4.11.1 (rolling restart of a non-redundant network).

On the wire: the new router comes up with the old one's gateway address under a new MAC, and with its public address
under the very same MAC. Each address is announced once as it comes up, before the rules arrive as one script. From
then until the old router is forced off, two routers answer for the same addresses. When it is off, the rules are
applied once more and the neighbours are told again.

The outage comes from that overlap, not from the boot. Guests follow the first announcement, so their packets reach a
router that has neither source NAT nor an egress rule yet; its public MAC is the old one's, and the switch sends what
comes from outside to whichever of the two spoke last. All that lasts until the rules are in.

What the old router knew of connections dies with it. The new one's connection tracking takes an established TCP
connection up where it is, as Linux does, if the first packet it sees fits the rules and is translated to the same
address and port as before; otherwise the connection is dead. A flow whose packets came before the NAT rules stays
untranslated for as long as it goes on. A neighbour that missed the announcements keeps the old gateway MAC until its
ARP entry has aged: up to three quarters of a minute, then five seconds of delay and three of asking.
"""

from __future__ import annotations

from vrbench.lab.strategies.ports import RouterOps, Strategy


def start(ops: RouterOps, router: str) -> None:
    """Boot, program everything in one pass."""
    timing = ops.timing
    ops.boot(router, timing.router_boot_s)
    program(ops, router)
    ops.mark_running(router)


def program(ops: RouterOps, router: str) -> None:
    """Program all rules as one script."""
    timing, rules = ops.timing, ops.rules()
    ops.program(router, rules, timing.router_program_s + len(rules) * timing.router_aggregate_s)


def bring_up(ops: RouterOps) -> str:
    """Place one and start it."""
    router = ops.create(ops.timing.router_place_s)
    start(ops, router)
    return router


def replace(ops: RouterOps) -> None:
    """Clear what an earlier failure left, bring up a second router, then force the old one off."""
    clear(ops)
    old = ops.routers()
    new = bring_up(ops)
    for router in old:
        remove(ops, router)
    reapply(ops, new)
    ops.announce(new)


def remove(ops: RouterOps, router: str) -> None:
    """Force off and destroy."""
    ops.stop(router, ops.timing.router_force_stop_s, forced=True)
    ops.destroy(router, ops.timing.router_destroy_s)


def reapply(ops: RouterOps, router: str) -> None:
    """Apply the same rules once more, as the server does when the routers have changed."""
    rules = ops.rules()
    ops.program(router, rules, len(rules) * ops.timing.router_aggregate_s)


def clear(ops: RouterOps) -> None:
    """Remove routers that don't run; when two or more would remain all the same, the last listed too."""
    dead = ops.expendable()
    rest = tuple(router for router in ops.routers() if router not in dead)
    for router in dead + rest[-1:] if len(rest) > 1 else dead:
        remove(ops, router)


STRATEGY = Strategy("parallel", start, bring_up, replace)
