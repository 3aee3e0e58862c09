"""The new router boots beside the old one: CloudStack since 4.11.1 (rolling restart of a non-redundant network).

On the wire: the new router comes up with the old one's gateway address under a new MAC, and with its public address
under the very same MAC. Each address is announced once as it comes up, before the rules arrive as one script. From
then until the old router is forced off, two routers answer for the same addresses. When it is off, the rules are
applied once more and the neighbours are told again.

The outage comes from that overlap, not from the boot: neighbours that follow the first announcement send to a router
that has no rules yet; connections that the old router tracked die with it; a neighbour that missed the announcements
keeps the old gateway MAC until its ARP entry ages.
"""

from __future__ import annotations

from vrbench.lab.strategies.ports import RouterOps, Strategy


def bring_up(ops: RouterOps) -> str:
    """Place, boot, program everything in one pass."""
    timing = ops.timing
    router = ops.create(timing.router_place_s)
    ops.boot(router, timing.router_boot_s)
    rules = ops.rules()
    ops.program(router, rules, timing.router_program_s + len(rules) * timing.router_aggregate_s)
    ops.mark_running(router)
    return router


def replace(ops: RouterOps) -> None:
    """Clear what an earlier failure left, bring up a second router, then force the old one off."""
    for left_over in _left_over(ops):
        ops.stop(left_over, ops.timing.router_force_stop_s, forced=True)
        ops.destroy(left_over, ops.timing.router_destroy_s)
    old = ops.routers()
    new = bring_up(ops)
    for router in old:
        ops.stop(router, ops.timing.router_force_stop_s, forced=True)
        ops.destroy(router, ops.timing.router_destroy_s)
    rules = ops.rules()
    ops.program(new, rules, len(rules) * ops.timing.router_aggregate_s)
    ops.announce(new)


def _left_over(ops: RouterOps) -> tuple[str, ...]:
    """Routers that don't run; when two or more would remain all the same, the last listed too."""
    dead = ops.expendable()
    rest = tuple(router for router in ops.routers() if router not in dead)
    return dead + rest[-1:] if len(rest) > 1 else dead


STRATEGY = Strategy("parallel", bring_up, replace)
