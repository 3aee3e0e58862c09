"""Changing rules that exist: where a forwarding rule leads, and what of the others only the records show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrbench.lab.api.request.call import Call, Task
from vrbench.lab.api.routers.ruleset import reprogram
from vrbench.lab.api.rules.commands import GONE, View
from vrbench.lab.api.rules.view import firewall_view, forwarding_view
from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Json, Machine, Rule


def _change(purpose: str, name: str, view: View, step: Callable[[Call, Rule], None]) -> Callable[[Call], Task]:
    """Return a command whose job does ``step`` and answers with the rule as it is then."""

    def handler(call: Call) -> Task:
        rule = call.target("id", Rule, GONE)
        if rule.purpose != purpose:
            raise errors.unknown_entity(call.shape.name, "id", rule.uuid)

        def run() -> Json:
            step(call, rule)
            with call.zone.lock:
                return {name: view(call.zone, rule, call.caller.is_root)}

        return Task(run, rule, "FirewallRule")

    return handler


def _keep(call: Call, rule: Rule) -> None:
    """Change nothing that the routers know of."""
    del call, rule


@dataclass(frozen=True, slots=True)
class _Destination:
    machine: Machine | None
    guest_ip: str
    private_ports: tuple[int, int] | None


def _redirect(call: Call, rule: Rule) -> None:
    with call.zone.lock:
        new = _destination(call, rule)
        rule.machine, rule.guest_ip, rule.private_ports = new.machine, new.guest_ip, new.private_ports
    if rule.network.implement_tried:
        reprogram(call.zone, rule.network)


def _destination(call: Call, rule: Rule) -> _Destination:
    """Return where the rule is to lead; raises ApiError 431."""
    port, machine = call.number("privateport"), call.entity("virtualmachineid", Machine)
    public = rule.ports or (0, 0)
    if port is not None and public[0] != public[1]:
        raise errors.invalid(
            "Unable to update the private port of port forwarding rule as  the rule has port range : "
            f"{public[0]} to {public[1]}"
        )
    if machine is None and call.text("vmguestip"):
        raise errors.invalid("vmguestip should be set along with virtualmachineid")
    if machine is not None and (machine.removed or machine.network is not rule.network):
        raise errors.invalid("Vm doesn't belong to network associated with ipAddress")
    ports = rule.private_ports if port is None else (port, call.number("privateendport") or port)
    if machine is None:
        return _Destination(rule.machine, rule.guest_ip, ports)
    if call.text("vmguestip") not in (None, "", machine.nic.ip):
        raise errors.invalid("Vm doesn't have an ip address associated in network with specified vmguestip")
    return _Destination(machine, machine.nic.ip, ports)


COMMANDS = {
    "updateFirewallRule": _change("Firewall", "firewallrule", firewall_view, _keep),
    "updateEgressFirewallRule": _change("Egress", "firewallrule", firewall_view, _keep),
    "updatePortForwardingRule": _change("PortForwarding", "portforwardingrule", forwarding_view, _redirect),
}
