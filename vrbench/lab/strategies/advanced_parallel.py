"""The new router boots beside the old one, unheard, and the cloud hands over at the switch.

Announced in 2018 as the step after the parallel restart ("configure the new router with its interfaces down, kill the
old one, bring the interfaces up"); CloudStack has not built it.

On the wire: nothing, while the new router boots and is given all its rules: both its ports are closed at the switch, so
no address is announced, none is answered for twice, and no packet reaches a router that does not know what to do with
it. Then the switch closes the old router's ports and opens the new one's in one step, and the new router announces its
addresses: the gateway's, under a new MAC, and the public ones, under the old MAC behind another port.

The outage is the time from the closing of the old ports to the moment a neighbour has heard the announcement: some
milliseconds. What remains are connections: nobody has told the new router of them. Linux takes an established TCP
connection up where it is when the rules let its next packet pass as new, and translate it to the same address
and port as before: so most live on. Where two guests had come to share a port, one of them does not.
"""

from __future__ import annotations

from vrbench.lab.strategies.parallel import bring_up, clear, program, reapply, remove, start
from vrbench.lab.strategies.ports import RouterOps, Strategy


def replace(ops: RouterOps) -> None:
    """Ready a second router, but unplugged; then let the ports change hands."""
    clear(ops)
    old = ops.routers()
    if not old:
        ops.announce(bring_up(ops))
        return
    new = ops.create(ops.timing.router_place_s)
    ops.boot(new, ops.timing.router_boot_s, plug=False)
    program(ops, new)
    ops.mark_running(new)
    ops.hand_over(old[0], new)
    for router in old:
        remove(ops, router)
    reapply(ops, new)


STRATEGY = Strategy("advanced-parallel", start, bring_up, replace)
