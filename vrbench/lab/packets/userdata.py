"""What a guest is told at its first boot: the part of cloud-init that the lab's guests honour."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from typing import Any

from vrbench.lab.ground.port import GroundError

_HONOURED = frozenset({"ssh_authorized_keys", "write_files", "runcmd"})


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file to be written in the guest; ``mode`` as chmod takes it."""

    path: str
    content: bytes
    mode: int = 0o644
    append: bool = False


@dataclass(frozen=True, slots=True)
class ParsedUserData:
    """User data, understood. ``script`` is run by root at the first boot; ``ignored`` names what is not honoured."""

    authorized_keys: tuple[str, ...] = ()
    files: tuple[GuestFile, ...] = ()
    script: bytes = b""
    ignored: tuple[str, ...] = ()


def parse_user_data(raw: bytes) -> ParsedUserData:
    """Read a ``#!`` script or a ``#cloud-config`` (YAML or JSON); ignore anything else, as cloud-init does.

    Raises GroundError when a cloud-config can't be read.
    """
    if raw.startswith(b"#!"):
        return ParsedUserData(script=raw)
    if not raw.startswith(b"#cloud-config"):
        return ParsedUserData(ignored=("user data that is neither a script nor a cloud-config",) if raw.strip() else ())
    config = _read(raw.decode("utf-8"))
    try:
        return ParsedUserData(
            authorized_keys=tuple(map(str, config.get("ssh_authorized_keys") or ())),
            files=tuple(_file(entry) for entry in config.get("write_files") or ()),
            script=_script(config.get("runcmd") or ()),
            ignored=tuple(sorted(set(config) - _HONOURED)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GroundError(f"the cloud-config's shape is wrong: {error!r}") from error


def _read(text: str) -> dict[str, Any]:
    body = text.partition("\n")[2]
    try:
        config = json.loads(body)
    except ValueError:
        config = _read_yaml(body)
    if not isinstance(config, dict):
        raise GroundError("the cloud-config is not a mapping")
    return config


def _read_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise GroundError(f"the cloud-config can't be read: {error}") from error


def _file(entry: dict[str, Any]) -> GuestFile:
    content = str(entry.get("content", ""))
    encoded = str(entry.get("encoding", "")) in ("b64", "base64")
    return GuestFile(
        path=str(entry["path"]),
        content=base64.b64decode(content) if encoded else content.encode(),
        mode=int(str(entry.get("permissions", "0644")), 8),
        append=bool(entry.get("append", False)),
    )


def _script(commands: Any) -> bytes:
    """Return shell by cloud-init's rule: a list is a command with its arguments, a text is a line of shell."""
    if not commands:
        return b""
    lines = [command if isinstance(command, str) else shlex.join(map(str, command)) for command in commands]
    return "\n".join(["#!/bin/sh", *lines, ""]).encode()
