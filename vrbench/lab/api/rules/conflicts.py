"""Which rules the server does not let stand side by side."""

from __future__ import annotations

from vrbench.lab.api.state import errors
from vrbench.lab.api.state.entities import Rule
from vrbench.lab.api.state.errors import ApiError
from vrbench.lab.api.state.zone import Zone

TAKES_PORTS = {"PortForwarding", "LoadBalancing"}  # a public port belongs to one of these


def refuse_conflict(zone: Zone, rule: Rule) -> None:
    """Refuse a new rule that says what an existing one says already; call with the lock held."""
    for other in _neighbours(zone, rule):
        if rule.icmp is not None:
            if rule.icmp == other.icmp:
                raise errors.invalid(f"New rule conflicts with existing rule: {_describe(other)}")
        elif rule.ports is None and other.ports is None:
            text = f"There is already a firewall rule specified with protocol = {rule.protocol} and no ports"
            raise _conflict(rule, text)
        elif rule.ports is not None and other.ports is not None and _overlap(rule.ports, other.ports):
            raise _conflict(
                rule,
                f"The range specified, {_dashed(rule.ports)}, conflicts with rule {_describe(other)} which has "
                f"{_dashed(other.ports)}",
            )


def _conflict(rule: Rule, text: str) -> ApiError:
    """Refuse a conflict; of egress rules the server forgets which exception it was."""
    return ApiError(537, text) if rule.purpose == "Egress" else errors.conflict(text)


def _neighbours(zone: Zone, rule: Rule) -> list[Rule]:
    """Return the rules of one purpose and protocol on the same address or network, from and to the same places."""
    return zone.rules_where(
        lambda other: (
            (other.purpose == rule.purpose or {other.purpose, rule.purpose} <= TAKES_PORTS)
            and other.network is rule.network
            and other.address is rule.address
            and other.protocol == rule.protocol
            and (rule.purpose in TAKES_PORTS or _shared(rule.cidrs, other.cidrs))
            and _shared(rule.destinations, other.destinations)
        )
    )


def _shared(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Return whether two lists of CIDRs have one in common, or are both empty."""
    return bool(set(some) & set(others)) or not (some or others)


def _overlap(some: tuple[int, int], others: tuple[int, int]) -> bool:
    return some[0] <= others[1] and others[0] <= some[1]


def _dashed(ports: tuple[int, int]) -> str:
    return f"{ports[0]}-{ports[1]}"


def _describe(rule: Rule) -> str:
    return (
        f'FirewallRule {{"id":{rule.number},"networkId":{rule.network.number},"purpose":"{rule.purpose}",'
        f'"state":"{rule.state}","uuid":"{rule.uuid}"}}'
    )
