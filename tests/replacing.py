"""Values with other fields: what ``copy.replace`` does from Python 3.13 on, for dataclasses and Structs alike."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def replace(value: T, /, **changes: Any) -> T:
    """Return the value with these fields changed."""
    changed = msgspec.structs.replace if isinstance(value, msgspec.Struct) else dataclasses.replace
    made: T = changed(value, **changes)  # type: ignore[type-var]
    return made
