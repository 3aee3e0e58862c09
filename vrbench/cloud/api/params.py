"""What a call's parameters are, how they are written, and which commands only look."""

from __future__ import annotations

from collections.abc import Mapping

from vrbench.core.model import Owner

_OF_AN_OWNER = frozenset(
    """
    registerSSHKeyPair deleteSSHKeyPair createNetwork deployVirtualMachine associateIpAddress listSSHKeyPairs
    listNetworks listVirtualMachines listPublicIpAddresses listRouters listTemplates listFirewallRules
    listEgressFirewallRules listPortForwardingRules
    """.split()
)  # the commands that make or show what belongs to somebody; others name the very thing that they are about
Param = str | int | bool | list[str] | tuple[str, ...] | None


def as_text(value: Param) -> str:
    """Write a value as CloudStack reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(value)
    return str(value)


def mutates(command: str) -> bool:
    """Return whether a command changes something."""
    return not command.startswith(("list", "query", "get"))


def names_of(owner: Owner, command: str) -> Mapping[str, str]:
    """Return the parameters by which a command is told whose things it is about; none where the caller's own are."""
    names = {"account": owner.account, "domainid": owner.domain_id, "projectid": owner.project_id}
    return {name: value for name, value in names.items() if value and command in _OF_AN_OWNER}
