"""Who answers on which public address and port, and the rules that let the harness in and the guests out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vrbench.cloud.build_steps import Address, BuildContext, Built, Forward, Intent, Vm, call_journaled, job_journaled
from vrbench.cloud.errors import CloudError
from vrbench.cloud.facade import Answer, Param
from vrbench.cloud.offerings import STATIC_NAT
from vrbench.cloud.own_address import allowed_source

SSH_PORT = 22
SHARED_PORT = 2200  # VM i that shares an address answers on port 2200 + i


def assign_forwards(vms: int, public_ips: int) -> tuple[Forward, ...]:
    """Give every address a VM and every VM an address; VMs beyond the addresses share them on other ports."""
    first = [Forward(address, SSH_PORT, address % vms) for address in range(public_ips)]
    shared = [Forward(vm % public_ips, SHARED_PORT + vm, vm) for vm in range(public_ips, vms)]
    return (*first, *shared)


def access_rules(context: BuildContext, built: Built) -> list[Callable[[], None]]:
    """Return one call per rule to make; the rules don't depend on one another."""
    rules: list[Callable[[], None]] = []
    for number, address in enumerate(built.addresses):
        rules.append(
            partial(_open, context, address, f"ip{number + 1}-icmp", protocol="icmp", icmptype=-1, icmpcode=-1)
        )
    for forward in built.forwards:
        address, port = built.addresses[forward.address], forward.port
        key = f"ip{forward.address + 1}-port{port}"
        rules.append(partial(_open, context, address, key, protocol="tcp", startport=port, endport=port))
        lead = _static_nat if context.plan.access == STATIC_NAT else _port_forward
        rules.append(partial(lead, context, built.network_id, address, forward, built.vms[forward.vm]))
    if not context.resolved.egress_allowed:
        rules.append(partial(_open_egress, context, built.network))
    return rules


def _open(context: BuildContext, address: Address, key: str, **rule: Param) -> None:
    cidr = allowed_source(context.plan.source_cidr, address.ip)
    job_journaled(
        context,
        Intent("firewall", context.named(key), {"address": address.id}),
        "createFirewallRule",
        ipaddressid=address.id,
        cidrlist=cidr,
        **rule,
    )


def _port_forward(context: BuildContext, network_id: str, address: Address, forward: Forward, vm: Vm) -> None:
    key = context.named(f"ip{forward.address + 1}-port{forward.port}-to-vm{forward.vm + 1}")
    job_journaled(
        context,
        Intent("port-forward", key, {"address": address.id}),
        "createPortForwardingRule",
        ipaddressid=address.id,
        networkid=network_id,
        virtualmachineid=vm.id,
        protocol="tcp",
        publicport=forward.port,
        privateport=SSH_PORT,
        openfirewall=False,  # else it would open the port to the whole world
    )


def _static_nat(context: BuildContext, network_id: str, address: Address, forward: Forward, vm: Vm) -> None:
    key = context.named(f"ip{forward.address + 1}-static-nat-to-vm{forward.vm + 1}")
    answer = call_journaled(
        context,
        Intent("static-nat", key, {"address": address.id}),
        "enableStaticNat",
        ipaddressid=address.id,
        virtualmachineid=vm.id,
        networkid=network_id,
    )
    if str(answer.get("success", "true")).lower() == "false":
        reason = answer.get("displaytext") or "no reason given"
        raise CloudError(
            f"enableStaticNat: the server refused it for address {address.ip}: {reason}. Look at that address in the "
            "cloud, or use port forwarding",
            command="enableStaticNat",
        )


def _open_egress(context: BuildContext, network: Answer) -> None:
    job_journaled(
        context,
        Intent("egress", context.named("egress"), {"network": network["id"]}),
        "createEgressFirewallRule",
        networkid=network["id"],
        protocol="all",
        cidrlist=network["cidr"],
    )
