"""What a call's parameters are, how they are written, and which commands only look."""

from __future__ import annotations

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
