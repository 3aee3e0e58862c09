"""How a key of a profile is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any


def key(read: Callable[[Any], Any], default: Any, help_text: str) -> Any:
    """Declare a key, a field of its table: how its value is read (``values``), what it is if left out, and its help."""
    return field(default=default, metadata={"read": read, "help": help_text})
