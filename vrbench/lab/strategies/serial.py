"""The old router goes before the new one comes: CloudStack up to 4.9, or network.rolling.restart=false in any later.

On the wire: the old router forwards until its shutdown ends, then nobody answers for the gateway or the public
addresses. The new router boots, reboots once (its system VM unpacks itself on first boot) and comes up with the same
addresses but other MACs. Then its rules arrive one by one: an address works once it, its firewall opening and its
forwarding are in, so streams recover one after the other.

The outage is all of that: destroying, placing, two boots, and programming in proportion to the number of rules. Whoever
tracked the connections is gone, the addresses are at new MACs, and few connections wait that long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as changed

from vrbench.lab.ground.specs import RuleSet
from vrbench.lab.strategies.ports import RouterOps, Strategy


def start(ops: RouterOps, router: str) -> None:
    """Boot twice, program rule by rule."""
    timing = ops.timing
    ops.boot(router, timing.router_boot_s + timing.router_reboot_s)
    for rules in one_by_one(ops.rules()):
        ops.program(router, rules, timing.router_rule_s)
    ops.program(router, ops.rules(), timing.router_program_s)
    ops.mark_running(router)


def bring_up(ops: RouterOps) -> str:
    """Place one and start it."""
    router = ops.create(ops.timing.router_place_s)
    start(ops, router)
    return router


def replace(ops: RouterOps) -> None:
    """Stop and destroy every router gracefully, then bring up a new one."""
    for old in ops.routers():
        ops.stop(old, ops.timing.router_stop_s, forced=False)
        ops.destroy(old, ops.timing.router_destroy_s)
    ops.announce(bring_up(ops))


def one_by_one(rules: RuleSet) -> Iterator[RuleSet]:
    """Yield the rule set as it grows, in the server's order.

    The order is egress, addresses, static NAT, ingress, forwarding, lists. Hosts are known from the start: the server
    sends them before anything else.
    """
    grown = changed(rules, egress=(), public_ips=(), static_nat=(), firewall=(), port_forwards=(), acls=())
    for n in range(1, len(rules.egress) + 1):
        yield (grown := changed(grown, egress=rules.egress[:n]))
    for n in range(1, len(rules.public_ips) + 1):
        yield (grown := changed(grown, public_ips=rules.public_ips[:n]))
    for n in range(1, len(rules.static_nat) + 1):
        yield (grown := changed(grown, static_nat=rules.static_nat[:n]))
    for n in range(1, len(rules.firewall) + 1):
        yield (grown := changed(grown, firewall=rules.firewall[:n]))
    for n in range(1, len(rules.port_forwards) + 1):
        yield (grown := changed(grown, port_forwards=rules.port_forwards[:n]))
    for n, acl in enumerate(rules.acls):
        for m in range(1, len(acl.rules) + 1):
            yield (grown := changed(grown, acls=(*rules.acls[:n], changed(acl, rules=acl.rules[:m]))))


STRATEGY = Strategy("serial", start, bring_up, replace)
