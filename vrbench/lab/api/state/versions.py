"""Which server the API is: its number, its commands, and what it did otherwise than the one it is modelled on.

The model is 4.20.2. What older servers lack or want is in data/versions.json, as they list it themselves; how they
behave is decided where it matters, by ``ServerVersion.since``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from vrbench.lab.api.state.fixtures import CommandShape, base_shapes, load

MODEL = "4.20.2"
EVERYWHERE = ("jobid", "jobstatus")  # older servers don't list them for commands that are no jobs, but send them


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """One release, such as 4.11.2."""

    name: str

    @property
    def full(self) -> str:
        """As the server calls itself."""
        return f"{self.name}.0"

    def since(self, *release: int) -> bool:
        """Return whether what came with ``release`` is there."""
        return tuple(int(part) for part in self.name.split(".")) >= release

    def shapes(self) -> dict[str, CommandShape]:
        """Return its commands by their lower-case name."""
        return _shapes(self.name)

    def narrow(self, command: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take out of an answer the fields that this release doesn't have; leave errors as they are."""
        shape = self.shapes().get(command.lower())
        if self.name == MODEL or shape is None or "errorcode" in body:
            return dict(body)
        allowed = frozenset((*shape.response, *EVERYWHERE))
        if command.lower() == "queryasyncjobresult":
            return {name: value for name, value in body.items() if name in allowed}
        return {name: _narrowed(value, allowed) for name, value in body.items()}


def _narrowed(value: Any, allowed: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_narrowed(item, allowed) for item in value]
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if name in allowed}
    return value


@cache
def _shapes(version: str) -> dict[str, CommandShape]:
    if version == MODEL:
        return base_shapes()
    changes = load("versions.json")[version]
    absent = {name.lower() for name in changes["absent"]}
    changed = {name.lower(): change for name, change in changes["commands"].items()}
    return {name: _changed(shape, changed.get(name, {})) for name, shape in base_shapes().items() if name not in absent}


def _changed(shape: CommandShape, change: Mapping[str, Any]) -> CommandShape:
    params = {name: kind for name, kind in shape.params.items() if name not in change.get("-params", ())}
    fields = [name for name in shape.response if name not in change.get("-response", ())]
    return replace(
        shape,
        is_async=change.get("async", shape.is_async),
        params=params | change.get("+params", {}),
        response=(*fields, *change.get("+response", ())),
    )
