"""Where the object shows that a creating call made, for calls whose answer was lost: they may have been carried out.

It is told by the names that we gave, or by what it hangs on. An address has neither: it is any of our own network's
that no answer has told us of. So it is looked for only while no other call for one is under way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from vrbench.cloud.api.facade import Answer, Cloud, Param

Sent = Mapping[str, Param]


@dataclass(frozen=True, slots=True)
class Trace:
    """The list call that shows what a command makes, and which of its rows that is.

    ``asked`` gives the list call's parameters, ``same`` the fields of the row, each with the command's own parameter of
    the same value. ``made`` is what an answer calls the object.
    """

    command: str
    name: str
    made: str
    asked: Mapping[str, str]
    same: Mapping[str, str]
    ready: str = ""  # the state in which it is of use; empty: once it is there
    hopeless: tuple[str, ...] = ()  # states in which it never will be
    has_job: bool = True  # else the answer comes when all is done

    def rows(self, cloud: Cloud, sent: Sent, known: Collection[object]) -> list[Answer]:
        """Return what may have come of the call; of nameless objects, those with an id that is not ``known``."""
        rows = cloud.list(self.command, self.name, **{there: sent[here] for there, here in self.asked.items()})
        # Asked for a network that is gone, a server shows all addresses of the account: so that is looked at, too.
        told_by = self.same or self.asked
        rows = [row for row in rows if all(_alike(row, there, sent.get(here)) for there, here in told_by.items())]
        return rows if self.same else [row for row in rows if row.get("id") not in known and not row.get("issourcenat")]


_ON_ADDRESS: Final = {"ipaddressid": "ipaddressid"}
_NAMED: Final = {"name": "name"}
_FIREWALL: Final = {"protocol": "protocol", "startport": "startport", "endport": "endport"}
_FORWARD: Final = {"protocol": "protocol", "publicport": "publicport", "virtualmachineid": "virtualmachineid"}
_LOST_VM: Final = ("Error", "Destroyed", "Expunging")  # Stopped it is at first, before its start begins

TRACES: Final[Mapping[str, Trace]] = {
    "registerSSHKeyPair": Trace("listSSHKeyPairs", "sshkeypair", "keypair", _NAMED, _NAMED, has_job=False),
    "createNetworkOffering": Trace(
        "listNetworkOfferings", "networkoffering", "networkoffering", _NAMED, _NAMED, has_job=False
    ),
    "createNetwork": Trace(
        "listNetworks", "network", "network", {"zoneid": "zoneid", "keyword": "name"}, _NAMED, has_job=False
    ),
    "deployVirtualMachine": Trace(
        "listVirtualMachines", "virtualmachine", "virtualmachine", {"networkid": "networkids"}, _NAMED, "Running",
        _LOST_VM,
    ),
    "associateIpAddress": Trace(
        "listPublicIpAddresses", "publicipaddress", "ipaddress", {"associatednetworkid": "networkid"}, {}, "Allocated"
    ),
    "createFirewallRule": Trace(
        "listFirewallRules", "firewallrule", "firewallrule", _ON_ADDRESS, _FIREWALL, "Active"
    ),
    "createPortForwardingRule": Trace(
        "listPortForwardingRules", "portforwardingrule", "portforwardingrule", _ON_ADDRESS, _FORWARD, "Active"
    ),
    "createEgressFirewallRule": Trace(
        "listEgressFirewallRules", "firewallrule", "firewallrule", {"networkid": "networkid"},
        {"protocol": "protocol"}, "Active",
    ),
    # The server notes it before the router has it. What comes next waits for the guests themselves.
    "enableStaticNat": Trace(
        "listPublicIpAddresses", "publicipaddress", "staticnat", {"id": "ipaddressid"},
        {"virtualmachineid": "virtualmachineid"}, has_job=False,
    ),
}  # fmt: skip


def _alike(row: Answer, field: str, sent: Param) -> bool:
    """Return whether a row shows what was sent; servers show numbers as text or as such."""
    shown = row.get(field)
    return shown is None if sent is None else str(shown).lower() == str(sent).lower()
