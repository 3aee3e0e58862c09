"""Who answers on which public address and port, and the rules that let the harness in and the guests out."""

from __future__ import annotations

from vrbench.cloud.api.answers import NO_REASON
from vrbench.cloud.api.facade import Answer, Param
from vrbench.cloud.build.making import Making
from vrbench.cloud.build.steps import Address, BuildContext, Built, Forward
from vrbench.cloud.check.offerings import STATIC_NAT
from vrbench.cloud.check.own_address import allowed_source
from vrbench.cloud.environment_plan import EnvironmentPlan
from vrbench.cloud.errors import CloudError

SSH_PORT = 22
SHARED_PORT = 2200  # VM i that shares an address answers on port 2200 + i


def assign_forwards(vms: int, public_ips: int, port: int = SSH_PORT) -> tuple[Forward, ...]:
    """Give every address a VM and every VM an address; VMs beyond the addresses share them on other ports."""
    first = [Forward(address, port, address % vms) for address in range(public_ips)]
    shared = [Forward(vm % public_ips, SHARED_PORT + vm, vm) for vm in range(public_ips, vms)]
    return (*first, *shared)


def forwards_of(plan: EnvironmentPlan) -> tuple[Forward, ...]:
    """Return which VM answers where; static NAT translates no port."""
    return assign_forwards(plan.vms, plan.public_ips, plan.ssh_port if plan.access == STATIC_NAT else SSH_PORT)


def access_rules(context: BuildContext, built: Built) -> list[Making[None]]:
    """Return the rules to make; they don't depend on one another."""
    rules: list[Making[None]] = []
    for number, address in enumerate(built.addresses):
        icmp: dict[str, Param] = {"protocol": "icmp", "icmptype": -1, "icmpcode": -1}
        rules.append(_opening(context, address, f"ip{number + 1}-icmp", icmp))
    for forward in built.forwards:
        address, port = built.addresses[forward.address], forward.port
        tcp: dict[str, Param] = {"protocol": "tcp", "startport": port, "endport": port}
        rules.append(_opening(context, address, f"ip{forward.address + 1}-port{port}", tcp))
        lead = _static_nat if context.plan.access == STATIC_NAT else _port_forward
        rules.append(lead(context, built, forward))
    if not context.resolved.egress_allowed:
        rules.append(_egress(context, built.network))
    return rules


def _opening(context: BuildContext, address: Address, key: str, what: dict[str, Param]) -> Making[None]:
    cidr = allowed_source(context.plan.source_cidr, address.ip)
    sent: dict[str, Param] = {"ipaddressid": address.id, "cidrlist": cidr, **what}
    noted = {"address": address.id}
    return Making("firewall", context.named(key), noted, "createFirewallRule", sent, _nothing)


def _port_forward(context: BuildContext, built: Built, forward: Forward) -> Making[None]:
    address, vm = built.ends(forward)
    key = context.named(f"ip{forward.address + 1}-port{forward.port}-to-vm{forward.vm + 1}")
    sent: dict[str, Param] = {
        "ipaddressid": address.id,
        "networkid": built.network_id,
        "virtualmachineid": vm.id,
        "protocol": "tcp",
        "publicport": forward.port,
        "privateport": context.plan.ssh_port,
        "openfirewall": False,  # else it would open the port to the whole world
    }
    return Making("port-forward", key, {"address": address.id}, "createPortForwardingRule", sent, _nothing)


def _static_nat(context: BuildContext, built: Built, forward: Forward) -> Making[None]:
    address, vm = built.ends(forward)
    key = context.named(f"ip{forward.address + 1}-static-nat-to-vm{forward.vm + 1}")
    sent: dict[str, Param] = {"ipaddressid": address.id, "virtualmachineid": vm.id, "networkid": built.network_id}

    def take(answer: Answer) -> None:
        if str(answer.get("success", "true")).lower() == "false":
            reason = answer.get("displaytext") or NO_REASON
            raise CloudError(
                f"enableStaticNat: the server refused it for address {address.ip}: {reason}. Look at that address in "
                "the cloud, or use port forwarding",
                command="enableStaticNat",
            )

    return Making("static-nat", key, {"address": address.id}, "enableStaticNat", sent, take)


def _egress(context: BuildContext, network: Answer) -> Making[None]:
    network_id = str(network["id"])
    sent: dict[str, Param] = {"networkid": network_id, "protocol": "all", "cidrlist": network.get("cidr")}
    noted = {"network": network_id}
    return Making("egress", context.named("egress"), noted, "createEgressFirewallRule", sent, _nothing)


def _nothing(_answer: Answer) -> None:
    """Take nothing from the answer: that there is one is enough."""
