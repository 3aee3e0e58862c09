"""Whether this account may ask this server for an operation: the server itself says so, call by call (listApis)."""

from __future__ import annotations

from vrbench.cloud.errors import CloudError, CloudRefused
from vrbench.cloud.facade import Answer, Cloud
from vrbench.core.plan.operations import OPERATIONS, Need

_NO_SUCH_CALL = "unable to find an api by that name"


def unmet_needs(cloud: Cloud, operation: str) -> tuple[list[str], list[str]]:
    """Return what keeps the account from an operation, and what can't be told; one line each."""
    problems: list[str] = []
    for need in OPERATIONS[operation].needs:
        try:
            call = _described(cloud, need.command)
        except CloudError as error:
            return problems, [f"whether {operation} is allowed here can't be told: {error}"]
        if problem := _unmet(need, call):
            problems.append(f"operation {operation!r} can't be asked for here: {problem}")
    return problems, []


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
