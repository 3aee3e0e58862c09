"""Old and new router agree on the handover, and connections move first: announced in 2018, not built by CloudStack.

Every router is able to be one of two, although a network has only one: it has an address of its own in the guest
network, runs keepalived and conntrackd, and holds the gateway's address as primary.

On the wire: the new router boots and joins as backup, with its public link down; it asks conntrackd on the old one for
all connections and waits until it has them. Then the old one gives up: keepalived ends in good order, with a last
advertisement of priority 0, so that the new one does not wait for three to be missed but only for its skew (8 ms at
priority 254). It takes the gateway's address and announces it; its notify script commits the connections to the kernel
before it raises the public link, so that no packet of theirs meets a router that does not know them.

The outage is the skew and that script: tens of milliseconds. Sessions live on, translated as before.
"""

from __future__ import annotations

from vrbench.lab.ground.specs import Vrrp
from vrbench.lab.strategies import parallel
from vrbench.lab.strategies.parallel import clear, reapply, remove, start
from vrbench.lab.strategies.ports import RouterOps, Strategy


def bring_up(ops: RouterOps) -> str:
    """Bring up one router, which finds itself alone and becomes primary."""
    router = parallel.bring_up(ops)
    ops.await_primary()
    return router


def replace(ops: RouterOps) -> None:
    """Bring up a second router as backup and tell it all connections; the old one releases, and goes."""
    clear(ops)
    old = ops.routers()
    new = parallel.bring_up(ops)
    if old:
        ops.synchronise(new)
    for router in old:
        ops.release(router)
    ops.await_primary()
    for router in old:
        remove(ops, router)
    reapply(ops, new)


STRATEGY = Strategy("negotiated", start, bring_up, replace, Vrrp(priority=254, commit_first=True))
