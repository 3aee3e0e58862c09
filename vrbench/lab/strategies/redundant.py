"""Two routers, taken one after the other: CloudStack's restart of a redundant network (since 4.11.1).

On the wire: both routers have an address of their own in the guest network; keepalived gives the gateway's address to
the primary, which advertises itself once a second (lab/redundancy.py). Both have the same public addresses and the same
public MAC, but the backup's public link is down. conntrackd tells the backup of every connection.

Restart: the backup goes first, and nobody notices. A new router boots and joins as backup: it finds a primary, and
nopreempt keeps it from wanting more. After a pause (ten seconds in CloudStack) the old primary is forced off: no last
advertisement, it is just gone. Then a second new router boots beside the one that has taken over.

The outage is that failover: the backup waits until it has missed three advertisements, and then for its skew (at most
3.6 s after the last one it heard); it takes the gateway's address and announces it; its notify script raises the public
link, sets the default route, announces the public addresses, and commits the connections it knows. So egress returns a
little after the address, ingress with the public link, and established connections go on unless they spoke between the
link and the commit. How long a given outage is depends on where in the second the old primary died.
"""

from __future__ import annotations

from vrbench.lab.ground.specs import Vrrp
from vrbench.lab.strategies.parallel import remove, start
from vrbench.lab.strategies.ports import RouterOps, StartFailed, Strategy

PAIR = 2


def bring_up(ops: RouterOps) -> str:
    """Create what is missing of the pair, then start what doesn't run; one that runs makes up for one that won't."""
    while len(ops.routers()) < PAIR:
        ops.create(ops.timing.router_place_s)
    for router in ops.expendable():
        try:
            start(ops, router)
        except StartFailed:
            if len(ops.expendable()) == PAIR:
                raise
    ops.await_primary()
    return ops.routers()[0]


def replace(ops: RouterOps) -> None:
    """Replace the backup, then, after a pause, the primary."""
    for router in _left_over(ops):
        remove(ops, router)
    old = ops.routers()
    bring_up(ops)
    ops.wait(ops.timing.router_handover_s)
    for router in old:
        remove(ops, router)
    bring_up(ops)


def replace_all(ops: RouterOps) -> None:
    """Replace both at once, where rolling restarts are off: down for as long as a boot takes."""
    for router in ops.routers():
        ops.stop(router, ops.timing.router_stop_s, forced=False)
        ops.destroy(router, ops.timing.router_destroy_s)
    bring_up(ops)


def _left_over(ops: RouterOps) -> tuple[str, ...]:
    """Return routers that don't run; of two or more that do, the backup."""
    dead = ops.expendable()
    running = tuple(router for router in ops.routers() if router not in dead)
    return (*dead, ops.backup()) if len(running) >= PAIR else dead


STRATEGY = Strategy("redundant", start, bring_up, replace, Vrrp())
SERIAL = Strategy("redundant-serial", start, bring_up, replace_all, Vrrp())
