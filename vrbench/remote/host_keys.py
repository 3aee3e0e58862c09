"""The host keys that guests have shown, and what speaks for another one.

A key is pinned at the first login. Two things may add to a pin. The guest itself names all its keys, over a connection
that showed the pinned one (``trust``): so it may make new ones and say so. And while a guest boots for the first time,
what it showed before is worth no more than what it shows now: the pin may be made anew (``forget``), once, and never of
a key that an earlier run had pinned.
"""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from vrbench.remote.errors import HostKeyChanged, RemoteError


class HostKeyPins:
    """The host keys of guests, kept in a known_hosts file of mode 0600; safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._pins: dict[str, list[str]] = {}
        self._given_up: dict[str, list[str]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                name, _, key = line.partition(" ")
                self._pins.setdefault(name, []).append(key)
        self._inherited = frozenset(self._pins)

    def check(self, host: str, port: int, key_type: str, key: bytes) -> None:
        """Compare the key of ``host``:``port`` with its pins, if it has any. Raises HostKeyChanged."""
        name, shown = _pin(host, port, key_type, key)
        with self._lock:
            pinned, before = self._pins.get(name, [shown]), self._given_up.get(name, [])
        if shown in before:
            raise HostKeyChanged(
                f"{host} port {port} shows again the host key {_fingerprint(shown)} that another one had replaced: two "
                "machines answer there. Look for one that has the other's address"
            )
        if shown not in pinned:
            raise HostKeyChanged(
                f"{host} port {port} shows another host key than at first contact: {_fingerprint(shown)}, not "
                f"{_fingerprint(pinned[0])} as in {self.path}. Another machine answers there; if the guest was rebuilt "
                "on purpose, remove that line"
            )

    def keep(self, host: str, port: int, key_type: str, key: bytes) -> None:
        """Pin the key unless one is pinned already. Raises RemoteError when the file can't be written."""
        name, shown = _pin(host, port, key_type, key)
        with self._lock:
            if name not in self._pins:
                self._add(name, [shown])

    def trust(self, host: str, port: int, keys: Iterable[str]) -> None:
        """Pin what the guest itself calls its keys ("type base64"), over a connection that showed a pinned one."""
        name = _name(host, port)
        with self._lock:
            self._add(name, [key for key in keys if key not in self._pins.get(name, [])])

    def forget(self, host: str, port: int) -> bool:
        """Drop a pin of a guest that is still in its first boot; return whether that was allowed."""
        name = _name(host, port)
        with self._lock:
            if name in self._inherited or name in self._given_up:
                return False
            self._given_up[name] = self._pins.pop(name, [])
            lines = [f"{other} {key}\n" for other, keys in self._pins.items() for key in keys]
            self._write("".join(lines), os.O_TRUNC)
        return True

    def _add(self, name: str, keys: list[str]) -> None:
        if keys:
            self._write("".join(f"{name} {key}\n" for key in keys), os.O_APPEND)
            self._pins.setdefault(name, []).extend(keys)

    def _write(self, lines: str, how: int) -> None:
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | how, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(lines)
        except OSError as error:
            raise RemoteError(
                f"can't keep a guest's host key in {self.path}: {error.strerror}; is this machine's disk full, or the "
                "file not yours?"
            ) from error


def _name(host: str, port: int) -> str:
    """Return what known_hosts calls an address."""
    return host if port == 22 else f"[{host}]:{port}"


def _pin(host: str, port: int, key_type: str, key: bytes) -> tuple[str, str]:
    """Return the name and the key as a known_hosts line has them."""
    return _name(host, port), f"{key_type} {base64.b64encode(key).decode()}"


def _fingerprint(key: str) -> str:
    """Return the key's fingerprint as ``ssh-keygen -l`` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
