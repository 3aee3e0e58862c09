"""Two routers, taken one after the other: CloudStack's restart of a redundant network.

On the wire: the backup goes first and nobody notices; a new router boots and joins as backup. After a pause the old
primary is forced off, which is the failover; then a second new router boots beside the one that has taken over.

The outage is that failover: until the backup misses the primary's advertisements, takes the gateway's address and
brings up its public side.
"""

from __future__ import annotations

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
    return ops.routers()[0]


def start(ops: RouterOps, router: str) -> None:
    """Boot and program in one pass."""
    timing = ops.timing
    ops.boot(router, timing.router_boot_s)
    rules = ops.rules()
    ops.program(router, rules, timing.router_program_s + len(rules) * timing.router_aggregate_s)
    ops.mark_running(router)


def replace(ops: RouterOps) -> None:
    """The backup, then, after a pause, the primary."""
    for router in _left_over(ops):
        _remove(ops, router)
    old = ops.routers()
    bring_up(ops)
    ops.wait(ops.timing.router_handover_s)
    for router in old:
        _remove(ops, router)
    bring_up(ops)


def replace_all(ops: RouterOps) -> None:
    """Both at once, where rolling restarts are switched off: down for as long as a boot takes."""
    for router in ops.routers():
        ops.stop(router, ops.timing.router_stop_s, forced=False)
        ops.destroy(router, ops.timing.router_destroy_s)
    bring_up(ops)


def _remove(ops: RouterOps, router: str) -> None:
    ops.stop(router, ops.timing.router_force_stop_s, forced=True)
    ops.destroy(router, ops.timing.router_destroy_s)


def _left_over(ops: RouterOps) -> tuple[str, ...]:
    """Routers that don't run; of two or more that do, the backup."""
    dead = ops.expendable()
    running = tuple(router for router in ops.routers() if router not in dead)
    return (*dead, ops.backup()) if len(running) >= PAIR else dead


ROLLING = Strategy("redundant-parallel", bring_up, replace)
SERIAL = Strategy("redundant-serial", bring_up, replace_all)
