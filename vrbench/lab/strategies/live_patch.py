"""Nothing is replaced: the router's software is renewed in place. CloudStack since 4.17 (livepatch=true).

On the wire: the router goes on forwarding with its rules, its addresses, its MACs and its connections. New scripts are
copied into it; then those services that run are restarted (of those that this lab has: dnsmasq) and all rules are
applied again, in one commit.

The outage is that of the services: names are not answered for the moment that dnsmasq takes to end and to start, and a
guest that boots just then asks twice for its address. Packets in transit don't notice.
"""

from __future__ import annotations

from vrbench.lab.strategies.parallel import bring_up, program, start
from vrbench.lab.strategies.ports import RouterOps, Strategy


def replace(ops: RouterOps) -> None:
    """Patch every router that runs, one after the other; bring one up where none does."""
    running = [router for router in ops.routers() if router not in ops.expendable()]
    for router in running:
        ops.restart_services(router, ops.timing.router_patch_s)
        program(ops, router)
    if not running:
        ops.announce(bring_up(ops))


STRATEGY = Strategy("live-patch", start, bring_up, replace)
