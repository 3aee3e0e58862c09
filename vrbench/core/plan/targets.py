"""Which addresses can't serve as a target of pings, whoever answers there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from vrbench.core.findings import Blame, Finding, FindingState
from vrbench.core.plan.tables import ProbesTable

PLACEHOLDERS = ipaddress.ip_network("192.0.2.0/24")  # what the shipped profile leaves to be filled in


def impossible_targets(probes: ProbesTable) -> Iterator[Finding]:
    """Name the targets of a profile that stand for nobody, or for whoever pings them."""
    for name, address in (("egress target", probes.egress_target), ("control target", probes.control_target)):
        if address and (found := impossible(name, address)):
            yield found


def impossible(name: str, address: str) -> Finding | None:
    """Say what is wrong with an address as this target; None where nothing is."""
    asked = ipaddress.ip_address(address)
    if asked.is_loopback or asked.is_multicast or asked.is_unspecified or asked.is_link_local:
        return Finding(
            name, FindingState.BAD, f"{address} can't be reached by anybody else", "name a real one", Blame.OURS
        )
    if asked in PLACEHOLDERS:
        cure = f"name a real address in the profile: probes.{name.replace(' ', '_')}"
        return Finding(name, FindingState.BAD, f"{address} is an address for documentation", cure, Blame.OURS)
    return None
