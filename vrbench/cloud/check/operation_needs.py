"""Whether this account may ask this server for an operation: the server itself says so, call by call (listApis)."""

from __future__ import annotations

from collections.abc import Iterable

from vrbench.cloud.api.facade import Answer, Cloud
from vrbench.cloud.errors import CloudError, CloudRefused
from vrbench.core.plan.operations import OPERATIONS, Need

_NO_SUCH_CALL = "unable to find an api by that name"


def unmet_needs(cloud: Cloud, operation: str, network: str) -> tuple[list[str], list[str]]:
    """Return what keeps the account from an operation on this kind of network, and what can't be told; a line each."""
    words = OPERATIONS[operation]
    if network not in words.networks:
        fit = " or ".join(map(repr, words.networks))
        return [f"operation {operation!r} needs environment.network = {fit}; the profile has {network!r}"], []
    try:
        found = lacking(cloud, words.needs)
    except CloudError as error:
        return [], [f"whether {operation} is allowed here can't be told: {error}"]
    return [f"operation {operation!r} can't be asked for here: {problem}" for problem in found], []


def lacking(cloud: Cloud, needs: Iterable[Need]) -> list[str]:
    """Return what the account lacks of what is needed, one line each. Raises CloudError where that can't be told."""
    return list(filter(None, (_unmet(need, _described(cloud, need.command)) for need in needs)))


def _described(cloud: Cloud, command: str) -> Answer | None:
    """Return the server's description of a call; None where the account has no such call."""
    try:
        return next(iter(cloud.list("listApis", "api", name=command)), None)
    except CloudRefused as error:
        if _NO_SUCH_CALL in error.text:
            return None
        raise


def _unmet(need: Need, call: Answer | None) -> str:
    if call is None:
        return f"this account may not use {need.command}. Use an administrator's keys, or another operation"
    lacking = set(need.params) - {param.get("name") for param in call.get("params", [])}
    if lacking:
        return f"this server's {need.command} has no {', '.join(sorted(lacking))}; it came with CloudStack {need.since}"
    return ""
